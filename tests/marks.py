"""Pages that people write, with one part that a program writes: it stands between `<!-- name -->` and `<!-- /name -->`."""

import re


def put_between_marks(text: str, name: str, part: str) -> str:
    """The page `text` with `part`, which ends a line, in place of what stood between the marks. Raises ValueError."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    found, times = re.subn(
        f"{re.escape(begin)}.*{re.escape(end)}", lambda _: f"{begin}\n{part}{end}", text, flags=re.DOTALL
    )
    if not times:
        raise ValueError(f"the page has no {begin} … {end}")
    return found
