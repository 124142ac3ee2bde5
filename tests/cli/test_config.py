"""ltp config: the settings in force, each with the place that it comes from."""

import json

from tests.cli.conftest import Run

CHOSEN = "correct-horse-battery-staple"


def test_each_setting_has_its_value_and_its_origin(run: Run) -> None:
    shown = run("config", PORT="9000", CACHE_TTL="1m30s")
    rows = {row.split()[0]: row.split()[1:] for row in shown.out.splitlines()}
    assert shown.code == 0
    assert rows["SETTING"] == ["VALUE", "FROM"]
    assert rows["PORT"] == ["9000", "environment"]
    assert rows["CACHE_TTL"] == ["90s", "environment"]
    assert rows["HOST"] == ["0.0.0.0", "default"]  # noqa: S104 - compared with, not bound


def test_json_has_the_same(run: Run) -> None:
    told = json.loads(run("config", "--json", ENVIRONMENT="production").out)
    assert told["ENVIRONMENT"] == {"value": "production", "origin": "environment"}
    assert told["KRAKEN_TIMEOUT"] == {"value": "10s", "origin": "default"}


def test_no_secret_is_shown(run: Run) -> None:
    shown = run(
        "config",
        REDIS_PASSWORD=CHOSEN,
        AUTH_API_KEY=CHOSEN,
        HISTORY_URL=f"postgresql://ltp:{CHOSEN}@db:5432/ltp",
    )
    assert "postgresql://***@db:5432/ltp" in shown.out
    rows = {row.split()[0]: row.split()[1:] for row in shown.out.splitlines()}
    assert rows["REDIS_PASSWORD"] == rows["AUTH_API_KEY"] == ["**********", "environment"]
    assert CHOSEN not in shown.out


def test_a_misspelt_setting_is_a_warning_with_the_one_that_was_meant(run: Run) -> None:
    shown = run("config", KRAKEN_TIMEOUTS="3s")
    assert (shown.code, shown.err.count("\n")) == (0, 1)
    assert shown.err.startswith("warning: KRAKEN_TIMEOUTS is not a setting")
    assert "KRAKEN_TIMEOUT" in shown.err


def test_refused_settings_are_told_all_at_once(run: Run) -> None:
    shown = run("config", PORT="x", CACHE_TTL="soon")
    assert (shown.code, shown.out) == (1, "")
    assert "PORT: 'x' refused" in shown.err
    assert "CACHE_TTL: 'soon' refused" in shown.err
