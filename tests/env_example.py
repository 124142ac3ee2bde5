"""python -m tests.env_example: writes env.example, a file of variables, from the settings and from docker-compose.yml."""

import re
from collections.abc import Iterator
from textwrap import wrap

from ltp_service.settings.config import Config
from ltp_service.settings.secret_files import file_variables
from tests.compose import settings
from tests.conftest import ROOT
from tests.settings_page import SECTIONS, accepted, explanations, written

FILE = ROOT / "env.example"

HEAD = """
Every setting with its default. Copy this file to .env for Docker Compose, to /etc/ltp_service/environment for systemd, or
to a file that `docker run --env-file` reads. Then take away the # before each variable that you change. A value stands as
it is, without quotes. Durations are written 500ms, 30s, 2m or 1m30s, and lists with commas. docs/settings.md says more.
`make docs` makes this file.
"""

OF_COMPOSE = {
    "HTTP_PORT": (
        "8080",
        "The port of nginx, for other machines too. 127.0.0.1:8080 keeps it to this machine.",
    ),
    "GRAFANA_PASSWORD": (
        "",
        "The password of Grafana's user admin at its very first start. Empty means that one is made.",
    ),
}
"""What docker-compose.yml reads beside the settings: its default and what it means."""


def text() -> str:
    """The whole file. A line that begins with `# ` is prose, one with # and a letter a variable."""
    return "\n".join([*prose(HEAD), *_settings(), *_of_compose()]) + "\n"


def _settings() -> Iterator[str]:
    meanings = explanations()
    files = {field: variable for variable, field in file_variables(Config).items()}
    for name, field in Config.model_fields.items():
        if name in SECTIONS:
            yield from ("", f"# --- {SECTIONS[name]}")
        rule = accepted(name)
        default = written(field.default, rule).strip("`").replace(", ", ",")
        short = plain(rule.partition(", written like")[0])
        yield from ("", *prose(f"{plain(meanings[name])} Accepted: {short or 'see docs/settings.md'}."))
        yield f"#{name.upper()}={'' if default == 'empty' else default}"
        if name in files:
            yield from ("# Or the file that has it:", f"#{files[name]}=")


def _of_compose() -> Iterator[str]:
    yield from ("", "# --- Docker Compose alone")
    for name, (default, meaning) in OF_COMPOSE.items():
        yield from ("", *prose(meaning), f"#{name}={default}")
    given = {name: text for name, text in settings(REDIS_PASSWORD="").items() if text}
    fixed = [name for name in given if settings(**{name: "another"})[name] != "another"]
    others = [f"{name}={text}" for name, text in given.items() if name not in fixed]
    yield from ("", *prose(f"Other defaults hold with Compose: {', '.join(others)}"))
    yield from ("", *prose(f"Compose sets these whatever .env says: {', '.join(fixed)}"))


def plain(markdown: str) -> str:
    """The text without its signs; a page is named by its path."""
    return re.sub(r"\[[^\]]+\]\(([^)]+)\)", r"docs/\1", markdown).replace("`", "")


def prose(paragraph: str) -> list[str]:
    return [
        f"# {line}" for line in wrap(paragraph.strip(), 116, break_long_words=False, break_on_hyphens=False)
    ]


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
