"""The normal form of a path, for the rate limiter, the key check, the metrics and the router."""


def normal_path(path: str) -> str:
    """PATH_INFO with one leading slash, without empty and dot segments. The server has decoded its escapes.

    So `//api/v1/pairs` and `/x/../api/./v1/pairs` are `/api/v1/pairs`, as nginx reads them (RFC 3986, section 5.2.4).
    A `..` above the root is dropped. A slash at the end stays, because no route has one.
    """
    if path.startswith("/") and "//" not in path and "/." not in path:
        return path
    segments: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            del segments[-1:]
        elif part not in ("", "."):
            segments.append(part)
    end = "/" if segments and parts[-1] in ("", ".", "..") else ""
    return f"/{'/'.join(segments)}{end}"
