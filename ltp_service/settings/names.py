"""What was most likely meant by a name that is no setting."""

from collections.abc import Iterable
from difflib import get_close_matches


def is_one_edit_away(name: str, other: str) -> bool:
    """Whether one letter too many, too few or another one, or two in the wrong order, make the difference."""
    if name == other:
        return False
    same = next(
        (place for place, (a, b) in enumerate(zip(name, other, strict=False)) if a != b),
        min(len(name), len(other)),
    )
    rest, right = name[same:], other[same:]
    swapped = rest[:2] == right[1::-1] and rest[2:] == right[2:]
    return swapped or rest[1:] == right[1:] or rest[1:] == right or rest == right[1:]


def advice(name: str, known: Iterable[str]) -> str:
    """What to write in place of `name`, or which settings there are of its kind; the case does not count."""
    names = {each.lower(): each for each in known}
    lower = name.lower()
    near = [each for each in names if each == lower or is_one_edit_away(lower, each)]
    # Of those that begin with another word none was meant.
    first, _, rest = lower.partition("_")
    kind = {other: each for each in names for begin, _, other in [each.partition("_")] if begin == first}
    if found := near or [kind[each] for each in get_close_matches(rest, kind, n=1, cutoff=0.6)]:
        return f"the nearest one is {names[found[0]]}"
    if kind:
        return f"those with this beginning are {', '.join(names[each] for each in kind.values())}"
    return "docs/settings.md lists all"
