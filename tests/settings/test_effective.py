"""The settings in force: their texts are read as the same settings again, and each names its origin."""

from pathlib import Path

from pydantic import SecretStr

from ltp_service.settings.config import Config, load_config
from ltp_service.settings.effective import settings_in_force

NO_FILES = Path("/nonexistent")


def test_the_texts_are_read_as_the_same_settings_again() -> None:
    environ = {
        "CACHE_TTL": "1500ms",
        "AUTH_KEY_TTL": "36h",
        "RATE_LIMIT_REFILL_RATE": "600/m",
        "SYMBOLS": "BTCUSDT,ETHUSDT",
        "AUTH_ENABLED": "TRUE",
        "PRICE_DIVERGENCE_LIMIT": "0.025",
    }
    texts = {
        each.name: each.value
        for each in settings_in_force(environ, NO_FILES)
        if Config.model_fields[each.name.lower()].annotation is not SecretStr
    }
    assert texts["CACHE_TTL"] == "1.5s"
    assert texts["HISTORY_KEEP"] == "90d"
    assert load_config(texts, NO_FILES) == load_config(environ, NO_FILES)


def test_the_strongest_place_that_names_a_setting_is_its_origin(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("port: 1\nhost: localhost\nredis_db: 3\n")
    (tmp_path / "config.staging.yaml").write_text("port: 2\nhost: localhost\n")
    settings = settings_in_force({"ENVIRONMENT": "staging", "PORT": "3"}, tmp_path)
    found = {each.name: (each.value, each.origin) for each in settings}
    assert found["PORT"] == ("3", "environment")
    assert found["HOST"] == ("localhost", "config.staging.yaml")
    assert found["REDIS_DB"] == ("3", "config.yaml")
    assert found["WEB_CONCURRENCY"] == ("1", "default")
