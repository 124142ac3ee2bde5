"""docs/migration.md names only what exists here, and translates nested keys as the service does."""

import re
from pathlib import Path

import pytest

from ltp_service.http.openapi.document import document
from ltp_service.http.params import MAX_PAIRS
from ltp_service.http.problems import PROBLEMS
from ltp_service.http.shapes import MAX_BODY_BYTES
from ltp_service.meters import METERS
from ltp_service.metrics.pairs import METRIC_PREFIX
from ltp_service.settings.config import Config, unknown_names
from ltp_service.settings.nested import flat_name
from ltp_service.settings.types import SHORTEST_ADMIN_KEY

PROJECT = Path(__file__).parent.parent
PAGE = (PROJECT / "docs" / "migration.md").read_text(encoding="utf-8")
OF_THE_OLDER_SERVICE = {"BUSINESS_SUPPORTED_PAIRS"}


def quoted(pattern: str) -> set[str]:
    """What stands between back quotes and looks so."""
    return set(re.findall(f"`({pattern})`", PAGE))


def test_every_metric_is_one_of_ours_with_its_labels() -> None:
    labels = {METRIC_PREFIX + meter.name: set(meter.labels) for meter in METERS}
    named = quoted(r"btc_ltp_\w+(?:\{[\w,]+\})?")
    assert len(named) > 8
    for text in named:
        name, _, given = text.removesuffix("}").partition("{")
        assert name in labels, text
        assert not given or set(given.split(",")) == labels[name], text


def test_every_setting_and_code_is_one_of_ours() -> None:
    ours = {field.upper() for field in Config.model_fields} | PROBLEMS.keys() | OF_THE_OLDER_SERVICE
    assert quoted(r"[A-Z]+(?:_[A-Z]+)*") - {"POST"} <= ours


def test_every_route_is_one_of_ours() -> None:
    routes = set(document()["paths"]) | {"/metrics"}
    assert quoted(r"/[a-z][\w/.-]*") <= routes
    assert set(re.findall(r"localhost:8080(/[\w/]+)", PAGE)) <= routes


def test_the_limits_are_those_of_the_code() -> None:
    assert f"above {MAX_PAIRS} pairs" in PAGE
    assert f"at most {MAX_BODY_BYTES} bytes" in PAGE
    assert f"at least {SHORTEST_ADMIN_KEY} printable" in PAGE


def test_every_file_that_it_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!#)([^)]+)\)", PAGE)
    assert links
    for link in links:
        assert (PROJECT / "docs" / link).is_file(), link


def nested() -> list[tuple[str, str, str]]:
    table = PAGE.partition("<!-- nested -->")[2].partition("<!-- /nested -->")[0]
    rows = re.findall(r"^\| (`.+`) \| `(\w+)` \| `(\w+)` \|$", table, re.MULTILINE)
    return [(key, flat, variable) for keys, flat, variable in rows for key in re.findall("`([^`]+)`", keys)]


@pytest.mark.parametrize(("key", "flat", "variable"), nested())
def test_a_nested_key_is_called_here_as_the_page_says(key: str, flat: str, variable: str) -> None:
    assert flat_name(tuple(key.split(".")), Config.model_fields) == flat
    assert variable == flat.upper()


def test_the_table_of_nested_keys_is_read() -> None:
    assert len(nested()) > 8


def test_the_older_names_are_warned_of() -> None:
    for name in OF_THE_OLDER_SERVICE:
        assert len(unknown_names({name: "x"})) == 1
