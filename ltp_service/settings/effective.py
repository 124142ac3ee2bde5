"""The settings as they are in force, each as a text and with the place that it comes from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from ltp_service.settings.config import Config, load_config, read_layers
from ltp_service.settings.types import Fraction, Rate

DAY_SECONDS = 86_400


class Setting(NamedTuple):
    """One setting in force."""

    name: str
    """The name of the variable."""
    value: str
    """The text that the variable would have; a secret is masked."""
    origin: str
    """`environment`, `secret file`, the name of a file, or `default`."""


def settings_in_force(
    environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> list[Setting]:
    """All settings, in the order of Config. Raises ConfigError as load_config does."""
    config = load_config(environ, directory)
    layers = read_layers(environ, directory, [])
    origins = {field: layer.origin for layer in reversed(layers) for field in layer.texts}
    return [
        Setting(name.upper(), _text(field, getattr(config, name)), origins.get(name, "default"))
        for name, field in Config.model_fields.items()
    ]


def _text(field: FieldInfo, value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value))
        case float():
            return _number(field, value)
    return str(value)  # which masks a secret


def _number(field: FieldInfo, value: float) -> str:
    """The text of a number. All numbers with a fraction are seconds, except rates and fractions."""
    if _is_a(Rate, field):
        return f"{value:g}/s"
    if _is_a(Fraction, field):
        return f"{value:g}"
    days = value / DAY_SECONDS
    return f"{days:g}d" if days.is_integer() and days else f"{value:.6f}".rstrip("0").rstrip(".") + "s"


def _is_a(kind: Any, field: FieldInfo) -> bool:
    """Whether the field has the type: pydantic keeps the validators of an Annotated apart from it."""
    return all(each in field.metadata for each in kind.__metadata__)
