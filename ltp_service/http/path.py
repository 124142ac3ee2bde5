"""The normal form of a path, for the rate limiter, the key check, the metrics and the router."""

import re
from functools import cache


def normal_path(path: str) -> str:
    """PATH_INFO with one leading slash, without empty and dot segments. The server has decoded its escapes.

    So `//api/v1/pairs` and `/x/../api/./v1/pairs` are `/api/v1/pairs`, as nginx reads them (RFC 3986, section 5.2.4).
    A `..` above the root is dropped, and so is a slash at the end: `/api/v1/ltp/` is `/api/v1/ltp`.
    """
    if path.startswith("/") and "//" not in path and "/." not in path and not path.endswith("/"):
        return path
    segments: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del segments[-1:]
        elif part not in ("", "."):
            segments.append(part)
    return f"/{'/'.join(segments)}"


@cache
def documented(rule: str) -> str:
    """A rule of Flask's as OpenAPI spells it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)
