"""Where settings come from: the texts of the environment and of YAML files, each with its place."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from ltp_service.settings import nested
from ltp_service.settings.names import advice
from ltp_service.settings.types import ENVIRONMENT_NAME

MAY_BE_EMPTY = frozenset(
    {
        *("collectors", "cors_origins", "auth_api_key", "history_url", "substitute_sources"),
        *("redis_username", "redis_password", "redis_sentinels"),
    }
)

Text = str | tuple[str, ...]
Fields = Mapping[str, FieldInfo]


class Layer(PydanticBaseSettingsSource):
    """One source of settings: their texts or values by field, its own name, and `place`, which names a field's place in a
    problem."""

    def __init__(
        self,
        settings: type[BaseSettings],
        texts: Mapping[str, object],
        place: Callable[[str], str],
        origin: str = "environment",
    ) -> None:
        super().__init__(settings)
        self.texts = {
            field: text for field, text in texts.items() if text not in ("", ()) or field in MAY_BE_EMPTY
        }
        self.place = place
        self.origin = origin

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self.texts.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self.texts)


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
        if isinstance(node, yaml.MappingNode) and name not in settings.model_fields and nested.is_name(name):
            found = nested.refusals(key, node, settings.model_fields)
            problems += [f"{path.name}:{refusal}" for refusal in found]
            continue
        try:
            if name in texts:
                raise ValueError("given twice")
            texts[name] = _value(settings.model_fields, name, node)
        except ValueError as error:
            problems.append(f"{path.name}:{name}: {error} (line {key.start_mark.line + 1})")
    return Layer(settings, texts, lambda field: f"{path.name}:{field}", path.name)


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
