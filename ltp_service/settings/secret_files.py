"""Secrets in files: REDIS_PASSWORD_FILE names the file that has REDIS_PASSWORD, and so for each other secret.

Docker's own images take their secrets so, and a volume, a mounted Secret or systemd's credentials give such files.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from ltp_service.settings.layers import Layer

SUFFIX = "_FILE"


def file_variables(settings: type[BaseSettings]) -> dict[str, str]:
    """The field of each secret, by the variable that may name its file."""
    return {
        f"{field.upper()}{SUFFIX}": field
        for field, info in settings.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, SecretStr)
    }


def read_secret_files(settings: type[BaseSettings], environ: Mapping[str, str], problems: list[str]) -> Layer:
    """The secrets that files hold, except those whose own variable is set. Adds the faults of the files to `problems`."""
    texts = {}
    for variable, field, path in _files(settings, environ):
        try:
            text = path.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            problems.append(f"{variable}: {str(path)!r} refused: must hold UTF-8 text")
        except OSError as error:
            problems.append(
                f"{variable}: {str(path)!r} refused: cannot be read ({error.strerror}); name a file that this user"
                f" may read, or set {field.upper()}"
            )
        else:
            texts[field] = text
            if not text:
                problems.append(f"{variable}: {str(path)!r} refused: is empty; write the secret into it")
    return Layer(settings, texts, lambda field: f"{field.upper()}{SUFFIX}", "secret file")


def _files(settings: type[BaseSettings], environ: Mapping[str, str]) -> Iterator[tuple[str, str, Path]]:
    for variable, field in file_variables(settings).items():
        path = environ.get(variable, "").strip()
        if path and not environ.get(field.upper(), "").strip():
            yield variable, field, Path(path)
