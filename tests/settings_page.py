"""python -m tests.settings_page: writes the tables of docs/settings.md from the settings themselves."""

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ltp_service.domain.errors import ConfigError
from ltp_service.settings.config import Config, load_config
from ltp_service.settings.types import HistoryUrl
from tests.marks import put_between_marks

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
MARK = "settings"
NO_FILES = Path("/nonexistent")

SECTIONS = {
    "port": "Listening and processes",
    "cache_backend": "Prices in memory or in Redis",
    "redis_addr": "Redis",
    "supported_pairs": "What is served and collected",
    "rate_limit_enabled": "Clients",
    "log_level": "Log and environment",
    "price_divergence_limit": "Checks of prices",
    "kraken_websocket_enabled": "Kraken",
    "auth_api_key": "Keys and the database",
    "history_url": "History",
}
"""The first setting of each section to its heading."""

REFUSED = ":"
"""A text that every setting refuses but those that take any text."""


def tables() -> str:
    """One table for each section, in the order of the fields."""
    return "\n".join(_lines()).lstrip("\n") + "\n"


def _lines() -> Iterator[str]:
    meanings = explanations()
    for name, field in Config.model_fields.items():
        if name in SECTIONS:
            yield f"\n## {SECTIONS[name]}\n\n| variable | default | accepted | meaning |\n|---|---|---|---|"
        rule = accepted(name)
        short = rule.partition(", written like")[0]
        yield f"| `{name.upper()}` | {written(field.default, rule)} | {short} | {meanings[name]} |"


def explanations() -> dict[str, str]:
    """The text below each field of Config, in one line, by the field's name."""
    (tree,) = ast.parse(inspect.getsource(Config)).body
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: " ".join(str(text.value.value).split())
        for field, text in pairwise(tree.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def accepted(name: str) -> str:
    """The rule of a setting, in the words of its refusal."""
    try:
        load_config({name.upper(): REFUSED}, NO_FILES)
    except ConfigError as error:
        rule = error.problems[0].partition(" refused: must be ")[2]
        return re.sub(r"'(\w+)'", r"`\1`", rule)
    return "any text"


def written(value: Any, rule: str) -> str:
    """A default as the environment would have it. The rule tells a duration and a rate from a number."""
    match value:
        case HistoryUrl():
            text = str(value)
        case SecretStr() | "" | ():
            return "empty"
        case tuple():
            text = ", ".join(map(str, value))
        case bool():
            text = str(value).lower()
        case float() if "number of seconds" in rule:
            text = f"{value / 86_400:g}d" if value >= 86_400 else f"{value:g}s"
        case float() if "per second" in rule:
            text = f"{value:g}/s"
        case float():
            text = f"{value:g}"
        case _:
            text = str(value)
    return f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(put_between_marks(PAGE.read_text(encoding="utf-8"), MARK, tables()), encoding="utf-8")
