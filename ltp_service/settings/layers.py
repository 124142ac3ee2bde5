"""Where settings come from: the texts of the environment and of YAML files, each with its place."""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from ltp_service.settings.types import ENVIRONMENT_NAME

MAY_BE_EMPTY = frozenset(
    {"collectors", "cors_origins", "auth_api_key", "redis_username", "redis_password", "redis_sentinels"}
)

Text = str | tuple[str, ...]
Fields = Mapping[str, FieldInfo]


class Layer(PydanticBaseSettingsSource):
    """One source of settings: their texts by field, and `place`, which names a field's place in a problem."""

    def __init__(
        self, settings: type[BaseSettings], texts: Mapping[str, Text], place: Callable[[str], str]
    ) -> None:
        super().__init__(settings)
        self.texts = {field: text for field, text in texts.items() if text or field in MAY_BE_EMPTY}
        self.place = place

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self.texts.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self.texts)


def is_one_edit_away(name: str, other: str) -> bool:
    """Whether the names differ by one letter added, left out or changed, or by two neighbours swapped."""
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
    """What to write in place of `name`, or the settings with the same first word. Ignores the case."""
    names = {each.lower(): each for each in known}
    lower = name.lower()
    near = [each for each in names if each == lower or is_one_edit_away(lower, each)]
    # Settings with another first word are not what was meant.
    first, _, rest = lower.partition("_")
    kind = {other: each for each in names for begin, _, other in [each.partition("_")] if begin == first}
    if found := near or [kind[each] for each in get_close_matches(rest, kind, n=1, cutoff=0.6)]:
        return f"the nearest one is {names[found[0]]}"
    if kind:
        return f"those that begin so are {', '.join(names[each] for each in kind.values())}"
    return "docs/settings.md lists all"


def read_files(
    settings: type[BaseSettings], directory: Path, environment: str, problems: list[str]
) -> list[Layer]:
    """The YAML files of this environment, its own first. Adds what is wrong with them to `problems`."""
    paths = [directory / "config.yaml"]
    if not environment or re.fullmatch(ENVIRONMENT_NAME, environment, re.ASCII):
        paths.insert(0, directory / f"config.{environment or 'development'}.yaml")
        if environment not in {"", "development"} and not paths[0].is_file():
            problems.append(f"ENVIRONMENT: {environment!r} refused: there is no file {paths[0]}")
    return [_read_file(settings, path, problems) for path in paths if path.is_file()]


def _read_file(settings: type[BaseSettings], path: Path, problems: list[str]) -> Layer:
    texts: dict[str, Text] = {}
    for key, node in _entries(path, problems):
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        try:
            if name in texts:
                raise ValueError("given twice")
            texts[name] = _value(settings.model_fields, name, node)
        except ValueError as error:
            problems.append(f"{path.name}:{name}: {error} (line {key.start_mark.line + 1})")
    return Layer(settings, texts, lambda field: f"{path.name}:{field}")


def _entries(path: Path, problems: list[str]) -> list[tuple[yaml.Node, yaml.Node]]:
    """The top level of a YAML file. YAML's own error texts quote the file, a secret perhaps, so they are not used."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problems.append(
            f"{path.name}: not valid YAML at line {line}; write `key: value`, and quote unusual values"
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problems.append(f"{path.name}: cannot be read as UTF-8 text ({type(error).__name__})")
    else:
        if isinstance(root, yaml.MappingNode):
            entries: list[tuple[yaml.Node, yaml.Node]] = root.value
            return entries
        if root is not None:
            problems.append(f"{path.name}: must hold `key: value` lines, nothing else")
    return []


def _value(known: Fields, field: str, node: yaml.Node) -> Text:
    if field == "environment":
        raise ValueError("only the environment variable ENVIRONMENT says which file is read")
    if field not in known:
        raise ValueError(f"not a setting; {advice(field, known)}")
    if isinstance(node, yaml.SequenceNode) and get_origin(known[field].annotation) is tuple:
        return tuple(_scalar(item) for item in node.value)
    return _scalar(node)


def _scalar(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
        raise ValueError("must be one plain value; quote it when it begins with a special character")
    return "" if node.style is None and node.value in {"~", "null", "Null", "NULL"} else node.value.strip()
