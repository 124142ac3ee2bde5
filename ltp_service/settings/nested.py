"""Keys below keys in a YAML file, which many services have, and the flat setting that each of them means.

They are refused and not read: a key may mean something else in the service that it was written for, and its owner
should see what becomes of it.
"""

import re
from collections.abc import Collection, Iterator
from itertools import islice

import yaml

from ltp_service.settings.names import advice

MOST_KEYS = 200
"""Keys of one section that are told: a YAML file can refer to itself and then has no end."""

DEEPEST = 8
"""Keys below one another that are followed."""

_SECTIONS = frozenset("server http api app application service business config exchange exchanges".split())
"""Words over settings that say nothing about which setting is meant."""

_SAME = {"logging": "log", "logger": "log", "ratelimit": "rate_limit", "ws": "websocket", "address": "addr"}
"""A word of other services → ours."""

Path = tuple[str, ...]


def is_name(key: str) -> bool:
    """Whether a key may be the name of a section, and is no special sign of YAML's."""
    return bool(re.fullmatch(r"[A-Za-z][\w-]*", key, re.ASCII))


def refusals(key: yaml.Node, section: yaml.Node, known: Collection[str]) -> Iterator[str]:
    """`dotted.key: what to write in its place (line)` for each key in a section; values are never shown."""
    for path, line in islice(_keys((_name(key),), key, section), MOST_KEYS):
        yield f"{'.'.join(path)}: settings are not nested here{_remedy(path, known)} (line {line})"


def flat_name(path: Path, known: Collection[str]) -> str | None:
    """The setting that a nested key means: `server.port` is port, `cache.redis.addr` is redis_addr."""
    words = _in_our_words(path)
    for start in range(len(words)):
        name = "_".join(words[start:])
        # One word alone (port, host) means the service's own only where nothing else is named before it.
        if name in known and ("_" in name or _SECTIONS.issuperset(words[:start])):
            return name
    return None


def _remedy(path: Path, known: Collection[str]) -> str:
    name = flat_name(path, known)
    if name == "environment":
        return "; only the environment variable ENVIRONMENT says which file is read"
    if name is not None:
        return f"; write {name} at the beginning of a line, or set {name.upper()}"
    return f", and there is none for this; {advice(_nearest_kind(path, known), known)}"


def _nearest_kind(path: Path, known: Collection[str]) -> str:
    """The end of the path that begins as some settings do: `cache.redis.pool_size` → redis_pool_size."""
    words = _in_our_words(path)
    kinds = {name.partition("_")[0] for name in known}
    ends = ["_".join(words[start:]) for start in range(len(words))]
    return next((end for end in reversed(ends) if "_" in end and end.partition("_")[0] in kinds), ends[0])


def _in_our_words(path: Path) -> list[str]:
    return ["_".join(_SAME.get(word, word) for word in _snake(part).split("_")) for part in path]


def _snake(key: str) -> str:
    """`restUrl`, `RestURL` and `rest-url` are rest_url."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).replace("-", "_").lower()


def _keys(path: Path, key: yaml.Node, node: yaml.Node) -> Iterator[tuple[Path, int]]:
    """Each key at or below `path` that has none below it, and its line."""
    if not isinstance(node, yaml.MappingNode) or not node.value or len(path) == DEEPEST:
        yield path, key.start_mark.line + 1
        return
    for below, value in node.value:
        yield from _keys((*path, _name(below)), below, value)


def _name(key: yaml.Node) -> str:
    return key.value if isinstance(key, yaml.ScalarNode) else "?"
