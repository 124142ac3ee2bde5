"""Settings: where they come from, what is accepted, and how a refusal reads."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from ltp_service.domain.errors import ConfigError
from ltp_service.domain.pair_choice import Wildcard
from ltp_service.domain.pairs import Pair
from ltp_service.settings.config import Config, keep_or_load_config, load_config, unknown_names
from ltp_service.settings.layers import MAY_BE_EMPTY
from ltp_service.settings.nested import MOST_KEYS, flat_name

KEY = "ltp_" + "aB3_-" * 8 + "xyz"
NO_FILES = Path("/nonexistent")

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes config.yaml (and, by keyword, config.<name>.yaml) and gives their folder."""

    def to_folder(base: str = "", **named: str) -> Path:
        for name, text in {"": base, **{f".{name}": text for name, text in named.items()}}.items():
            (tmp_path / f"config{name}.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return to_folder


def load(directory: Path = NO_FILES, /, **environ: str) -> Config:
    return load_config(environ, directory)


def problems(directory: Path = NO_FILES, /, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        load(directory, **environ)
    return refused.value.problems


# --- where a value comes from


def test_without_anything_set_every_setting_has_its_default() -> None:
    assert load() == Config()


def test_the_shipped_files_leave_the_defaults_of_development_as_they_are() -> None:
    assert load_config({}) == Config()


def test_the_shipped_production_file_is_accepted() -> None:
    assert load_config({"ENVIRONMENT": "production"}).environment == "production"


def test_the_files_of_the_working_directory_come_before_those_of_the_package(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config({"ENVIRONMENT": "production"}).environment == "production"

    (tmp_path / "configs").mkdir()
    write("port: 1001").joinpath("config.yaml").rename(tmp_path / "configs" / "config.yaml")
    assert load_config({}).port == 1001


def test_the_environment_beats_the_named_file_which_beats_the_base_file(write: Write) -> None:
    directory = write(
        "port: 1001\ncache_ttl: 1s\nstale_after: 100s\nredis_db: 1", staging="port: 1002\ncache_ttl: 2s"
    )
    config = load(directory, ENVIRONMENT="staging", PORT="1003")
    assert (config.port, config.cache_ttl, config.stale_after, config.redis_db) == (1003, 2.0, 100.0, 1)
    assert config.kraken_timeout == 10.0


def test_only_the_file_of_this_environment_is_read(write: Write) -> None:
    directory = write(development="port: 1", staging="port: 2")
    assert load(directory).port == 1
    assert load(directory, ENVIRONMENT="development").port == 1
    assert load(directory, ENVIRONMENT="Staging").port == 2


def test_a_list_replaces_the_list_of_the_layer_below(write: Write) -> None:
    directory = write("symbols: [BTCUSDT, ETHUSDT]", development="symbols: [SOLUSDT]")
    assert load(directory).symbols == ("SOLUSDT",)


def test_the_process_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    assert load_config(directory=NO_FILES).port == 1234


def test_a_config_built_in_code_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    assert Config(cache_ttl=0.5).port == 8080


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().port = 1


def test_the_limits_hold_in_code_too() -> None:
    with pytest.raises(ValidationError, match="must be a whole number from 0 to 65535"):
        Config(port=70_000)


def test_an_empty_value_is_as_if_not_given(write: Write) -> None:
    directory = write("cache_ttl: 5s\nport:\nhost: null\nredis_db: ~\nlog_level: ''")
    assert load(directory, CACHE_TTL="  ") == Config(cache_ttl=5.0)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("collectors", "bybit_trades"),
        ("cors_origins", "*"),
        ("redis_sentinels", "a:1"),
        ("redis_password", "secret"),
        ("auth_api_key", KEY),
    ],
)
def test_an_empty_value_means_none_where_none_makes_sense(write: Write, field: str, given: str) -> None:
    directory = write(f"{field}: '{given}'")
    assert len(getattr(load(directory), field)) > 0
    assert len(getattr(load(directory, **{field.upper(): ""}), field)) == 0
    assert field in MAY_BE_EMPTY


# --- what is accepted


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        *(("CACHE_TTL", "30s", 30.0), ("CACHE_TTL", "500ms", 0.5), ("CACHE_TTL", "2m", 120.0)),
        *(("CACHE_TTL", "1m30s", 90.0), ("CACHE_TTL", "1h", 3600.0), ("CACHE_TTL", "1.5s", 1.5)),
        *(("CACHE_TTL", "12", 12.0), ("CACHE_TTL", " 0.25 ", 0.25)),
        ("AUTH_KEY_TTL", "7d", 604_800.0),
        ("AUTH_KEY_TTL", "1d12h", 129_600.0),
        *(("RATE_LIMIT_REFILL_RATE", text, 10.0) for text in ("10/s", "600/m")),
        ("RATE_LIMIT_REFILL_RATE", "36/h", 0.01),
        ("RATE_LIMIT_REFILL_RATE", "2.5", 2.5),
        ("PORT", "010", 10),
        ("PORT", "0", 0),
        *(("HOST", text, text) for text in ("127.0.0.1", "localhost", "[::1]", "unix:/run/ltp/ltp.sock")),
        ("HOST", "::", "[::]"),
        *(("WORKER_CLASS", text, "gthread") for text in ("gthread", "Gthread")),
        ("CACHE_BACKEND", "Memory", "memory"),
        *(("REDIS_ADDR", text, text) for text in ("cache.internal:6380", "10.0.0.1:6379")),
        ("REDIS_ADDR", "redis://localhost:6379/", "redis://localhost:6379"),
        ("REDIS_ADDR", "rediss://[::1]:6379", "rediss://[::1]:6379"),
        ("REDIS_SENTINELS", "a:26379, b:26379", ("a:26379", "b:26379")),
        ("SUPPORTED_PAIRS", "xbt-eur, ETHUSD,XXBTZEUR", (Pair("BTC", "EUR"), Pair("ETH", "USD"))),
        ("SYMBOLS", "BTCUSDT,1000PEPEUSDT,BTCUSDT", ("BTCUSDT", "1000PEPEUSDT")),
        ("COLLECTORS", "bybit_trades,", ("bybit_trades",)),
        ("CORS_ORIGINS", "https://a.org, http://localhost:3000", ("https://a.org", "http://localhost:3000")),
        ("CORS_ORIGINS", "*", ("*",)),
        ("KRAKEN_WEBSOCKET_URL", "wss://ws.kraken.com/", "wss://ws.kraken.com"),
        ("KRAKEN_WEBSOCKET_URL", "wss://ws.kraken.com/v2/", "wss://ws.kraken.com/v2"),
        *(("KRAKEN_WEBSOCKET_URL", text, text) for text in ("ws://127.0.0.1:4000/v2", "ws://[::1]:4000")),
        ("KRAKEN_REST_URL", "http://127.0.0.1:4000/0/public/", "http://127.0.0.1:4000/0/public"),
        ("KRAKEN_REST_URL", "http://kraken_simulator:80", "http://kraken_simulator:80"),
        ("KRAKEN_WEBSOCKET_ENABLED", "no", False),
        ("AUTH_ENABLED", "TRUE", True),
        *(("LOG_LEVEL", text, "warning") for text in ("WARN", "warning")),
        ("LOG_FORMAT", "text", "text"),
        ("LOG_FORMAT", "Auto", "auto"),
        ("PRICE_DIVERGENCE_LIMIT", "0.1", 0.1),
        ("DATABASE_PATH", "/var/lib/ltp/ltp.sqlite3", Path("/var/lib/ltp/ltp.sqlite3")),
    ],
)
def test_a_value_is_read(name: str, text: str, value: object) -> None:
    assert getattr(load(**{name: text}), name.lower()) == value


def test_secrets_are_read_and_shown_nowhere() -> None:
    environ = {"REDIS_PASSWORD": "hunter2", "AUTH_API_KEY": KEY}
    config = load(**environ)
    assert config.redis_password.get_secret_value() == "hunter2"
    assert config.auth_api_key.get_secret_value() == KEY
    assert "hunter2" not in repr(config)
    assert KEY not in repr(config)


# --- what is refused, and how that reads


@pytest.mark.parametrize(
    ("name", "text", "limit"),
    [
        ("PORT", "65536", "a whole number from 0 to 65535"),
        *(("PORT", text, "from 0 to 65535") for text in ("-1", "80.0", "٨٠", "9" * 5_000)),
        ("WEB_CONCURRENCY", "0", "from 1 to 256"),
        *(("DATABASE_PATH", text, "must name a file") for text in "/."),
        ("PRICE_SOURCES", "coinbase,bitstamp", "must name kraken too"),
        ("SUBSTITUTE_SOURCES", "coinbase", "must be among PRICE_SOURCES, which lacks coinbase; add it there"),
        ("SUBSTITUTE_SOURCES", "kraken", "must not name kraken"),
        ("PRICE_SOURCES", "coinbse", "must be 'kraken', 'coinbase' or 'bitstamp'"),
        ("TRUSTED_PROXIES", "true", "from 0 to 16"),
        ("CACHE_TTL", "99ms", "must be 100ms to 1d, written like 30s"),
        *(
            ("CACHE_TTL", text, "100ms to 1d")
            for text in ("25h", "30 s", "30s1m", "1:30", "-5s", "inf", "nan", "1e3")
        ),
        ("RATE_LIMIT_REFILL_RATE", "10/d", "per second, written like 10/s, 600/m or 10"),
        ("RATE_LIMIT_REFILL_RATE", "0", "0.001 to 1000000 per second"),
        ("PRICE_DIVERGENCE_LIMIT", "5%", "a fraction from 0.0001 to 1"),
        ("PRICE_DIVERGENCE_LIMIT", "0", "a fraction from 0.0001 to 1"),
        *(
            ("HOST", text, "an address, a host name or unix:/path")
            for text in ("999.1.1.1", "0.0.0.0:80", "unix:ltp.sock")
        ),
        ("WORKER_CLASS", "sync", "'gevent' or 'gthread'"),
        ("CACHE_BACKEND", "memcached", "'memory' or 'redis'"),
        *(
            ("REDIS_ADDR", text, "host:port")
            for text in ("localhost", "localhost:0", "localhost:70000", "http://localhost:6379")
        ),
        ("REDIS_ADDR", "redis://localhost:6379/2", "REDIS_DB"),
        ("REDIS_SENTINELS", "a", "host:port"),
        ("SUPPORTED_PAIRS", "BTC/USD/EUR", "BASE/QUOTE"),
        ("SUPPORTED_PAIRS", ",", "at least one"),
        ("SYMBOLS", "btcusdt", "2 to 20 of A-Z and 0-9"),
        ("SYMBOLS", ",".join(f"A{number}" for number in range(201)), "at most 200, not 201"),
        ("COLLECTORS", "Bybit Trades", "a collector's name"),
        *(("CORS_ORIGINS", text, "an exact origin") for text in ("https://a.org/", "*.example.org")),
        ("CORS_ORIGINS", "*,https://a.org", "* alone or exact origins"),
        (
            "KRAKEN_WEBSOCKET_URL",
            "https://ws.kraken.com",
            "ws://host[:port][/path] or wss://host[:port][/path]",
        ),
        *(
            ("KRAKEN_WEBSOCKET_URL", text, "ws://host")
            for text in ("wss:///v2", "wss://ws.kraken.com:port/v2", "wss://[::1/v2")
        ),
        ("KRAKEN_REST_URL", "ftp://api.kraken.com", "http://host"),
        ("KRAKEN_REST_URL", "https://api.kraken.com/0/public#x", "without credentials, query or fragment"),
        ("KRAKEN_REQUEST_TIMEOUT", "20s", "not be longer than KRAKEN_TIMEOUT (10s)"),
        ("KRAKEN_WEBSOCKET_ENABLED", "maybe", "true or false"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("ENVIRONMENT", "../../etc/passwd", "a name of a-z, 0-9, _ and -"),
    ],
)
def test_a_refusal_names_the_variable_the_value_and_the_limit(name: str, text: str, limit: str) -> None:
    (problem,) = problems(**{name: text})
    assert problem.startswith(f"{name}: '{text[:40]}")
    assert limit in problem


def test_a_list_names_the_item_that_is_refused() -> None:
    assert problems(SYMBOLS="BTCUSDT,eth,SOLUSDT,x y") == (
        "SYMBOLS: 'eth' refused: must be 2 to 20 of A-Z and 0-9, for example BTCUSDT",
        "SYMBOLS: 'x y' refused: must be 2 to 20 of A-Z and 0-9, for example BTCUSDT",
    )


@pytest.mark.parametrize(
    ("url", "shown", "file"),
    [
        ("sqlite:data/history.sqlite3", "sqlite:data/history.sqlite3", Path("data/history.sqlite3")),
        ("sqlite:/var/lib/history", "sqlite:/var/lib/history", Path("/var/lib/history")),
        ("postgresql://me:hunter2@db:5432/history", "postgresql://***@db:5432/history", None),
        ("postgres://me:hunt@er/2@one,two/h?password=hunter2", "postgres://***@one,two/h?***", None),
        ("postgresql:///history?host=/run/postgresql", "postgresql:///history?***", None),
        ("", "", None),
    ],
)
def test_the_address_of_the_history_is_shown_without_its_password(
    url: str, shown: str, file: Path | None
) -> None:
    config = load(HISTORY_URL=url)
    assert config.history_url.get_secret_value() == url
    assert (str(config.history_url), config.history_url.file) == (shown, file)
    assert "hunt" not in repr(config)


@pytest.mark.parametrize(
    "url", ["/var/lib/history", "sqlite:", "sqlite:///", "postgresql://", "mysql://a/b", ":"]
)
def test_an_address_of_no_history_is_refused_with_what_is_accepted(url: str) -> None:
    (problem,) = problems(HISTORY_URL=url)
    assert problem == (
        "HISTORY_URL: a value (not shown) refused: must be sqlite:path, postgresql://user:password@host:port/database,"
        " or empty for none"
    )


def test_all_problems_of_all_places_are_reported_at_once(write: Write) -> None:
    directory = write("cach_ttl: 30s\nport: http\nredis_db: x", staging="stale_after: 1y\nredis_db: 1")
    found = problems(directory, ENVIRONMENT="staging", LOG_LEVEL="loud", AUTH_API_KEY="hunter2")
    assert sorted(problem.partition(" ")[0] for problem in found) == [
        "AUTH_API_KEY:",
        "LOG_LEVEL:",
        "config.staging.yaml:stale_after:",
        "config.yaml:cach_ttl:",
        "config.yaml:port:",
    ]


def test_the_error_reads_as_one_line_per_problem() -> None:
    with pytest.raises(ConfigError) as refused:
        load(PORT="http", LOG_FORMAT="xml")
    assert str(refused.value).splitlines() == [
        "configuration refused, 2 problem(s):",
        "  PORT: 'http' refused: must be a whole number from 0 to 65535",
        "  LOG_FORMAT: 'xml' refused: must be 'auto', 'json' or 'text'",
    ]


@pytest.mark.parametrize(
    "environ",
    [
        {"AUTH_API_KEY": "ltp_hunter2"},
        {"AUTH_API_KEY": f"hunter2 {KEY}"},
        {"AUTH_API_KEY": "hunter2" * 200},
        {"REDIS_ADDR": "redis://:hunter2@localhost:6379"},
        {"REDIS_ADDR": "redis://user:hun@ter/hunter2@localhost:6379"},
        {"REDIS_SENTINELS": "a:1,:hunter2@b:2"},
        {"KRAKEN_REST_URL": "https://user:hunter2@api.kraken.com"},
        {"HISTORY_URL": "mysql://user:hunter2@host/history"},
        {"HISTORY_URL": "postgresql://user:hun ter2 hunter2@host/history"},
        {"KRAKEN_WEBSOCKET_URL": "wss://ws.kraken.com/v2?token=hunter2"},
        {"CORS_ORIGINS": "*,https://user:hunter2@example.org"},
    ],
)
def test_a_refusal_never_shows_a_secret(environ: dict[str, str]) -> None:
    (problem,) = problems(**environ)
    assert problem.startswith(f"{next(iter(environ))}: ")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "text",
    [
        *(KEY, "k" * 24, "k" * 1024, "correct-horse-battery-staple", "pa$$,word:with/all=of!these\"'~#"),
        *("ltp_that-is-no-key-of-ours", "550e8400-e29b-41d4-a716-446655440000"),
    ],
)
def test_any_text_that_is_long_enough_and_fits_into_a_header_may_be_the_admin_key(text: str) -> None:
    config = load(AUTH_API_KEY=f" {text} ")
    assert config.auth_api_key.get_secret_value() == text
    assert text not in f"{config!r} {config} {config.model_dump()}"
    assert Config(auth_api_key=SecretStr(text)).auth_api_key.get_secret_value() == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hunter2", "at least 24 characters, because a shorter one may be guessed"),
        ("k" * 23, "at least 24 characters"),
        ("two words", "at least 24 characters"),
        ("k" * 1025, "at most 1024 characters, because proxies refuse longer headers"),
        ("twenty four characters or more", "printable ASCII without blanks, because it is sent in a header"),
        ("k" * 24 + "\tk", "printable ASCII without blanks"),
        ("k" * 24 + "\x7f", "printable ASCII without blanks"),
        ("Schlüssel-aus-Zürich-mit-Umlaut", "printable ASCII without blanks"),
        ("k" * 24 + "\nk", "printable ASCII without blanks"),
    ],
)
def test_a_refused_admin_key_is_told_with_reason_and_remedy_and_never_shown(text: str, reason: str) -> None:
    (problem,) = problems(AUTH_API_KEY=text)
    assert problem.startswith("AUTH_API_KEY: a value (not shown) refused: must ")
    assert reason in problem
    assert "python -m ltp_service keys create" in problem
    assert text not in problem
    with pytest.raises(ValidationError) as refused:
        Config(auth_api_key=SecretStr(text))
    assert text not in str(refused.value)


def test_a_named_environment_needs_its_file(write: Write) -> None:
    directory = write()
    assert problems(directory, ENVIRONMENT="staging") == (
        f"ENVIRONMENT: 'staging' refused: there is no file {directory / 'config.staging.yaml'}",
    )


def test_one_try_over_rest_is_compared_with_the_operation_that_was_set_elsewhere(write: Write) -> None:
    (problem,) = problems(write("kraken_request_timeout: 4s"), KRAKEN_TIMEOUT="2s")
    assert problem == (
        "config.yaml:kraken_request_timeout: '4s' refused: "
        "must not be longer than KRAKEN_TIMEOUT (2s), of which it is one try"
    )


def test_a_shorter_operation_alone_is_accepted() -> None:
    assert load(KRAKEN_TIMEOUT="2s").kraken_timeout == 2.0


# --- YAML


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("port: 010", "port", 10),
        ("cache_ttl: 1m30s", "cache_ttl", 90.0),
        ("auth_enabled: on", "auth_enabled", True),
        ("redis_master: NO", "redis_master", "NO"),
        ("redis_master: 'null'", "redis_master", "null"),
        ("redis_master: 1_000", "redis_master", "1_000"),
        ("symbols: [BTCUSDT, 'ETHUSDT']", "symbols", ("BTCUSDT", "ETHUSDT")),
        ("symbols: BTCUSDT, ETHUSDT", "symbols", ("BTCUSDT", "ETHUSDT")),
        (
            "supported_pairs:\n- btc-usd\n- ETH/USD",
            "supported_pairs",
            (Pair("BTC", "USD"), Pair("ETH", "USD")),
        ),
        (
            'supported_pairs: [btc-usd, "*/USD"]',
            "supported_pairs",
            (Pair("BTC", "USD"), Wildcard("*", "USD")),
        ),
        ("cors_origins: []", "cors_origins", ()),
        ("host: &here 127.0.0.1\nredis_master: *here", "redis_master", "127.0.0.1"),
        ("\ufeffport: 1", "port", 1),
    ],
)
def test_yaml_values_are_read_as_text(write: Write, text: str, field: str, value: object) -> None:
    assert getattr(load(write(text)), field) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cache_ttl: 1:30", "config.yaml:cache_ttl: '1:30' refused: must be 100ms to 1d"),
        ("log_format: no", "config.yaml:log_format: 'no' refused: must be 'auto', 'json' or 'text'"),
        ("port: 1\nhost: a\nport: 1", "config.yaml:port: given twice (line 3)"),
        ("cach_ttl: 30s", "config.yaml:cach_ttl: not a setting; the nearest one is cache_ttl (line 1)"),
        ("PORT: 80", "config.yaml:PORT: not a setting; the nearest one is port (line 1)"),
        (
            "auth_paths_open: x",
            "config.yaml:auth_paths_open: not a setting; those with this beginning are auth_api_key,",
        ),
        ("zzz: x", "config.yaml:zzz: not a setting; docs/settings.md lists all (line 1)"),
        ("<<: {port: 1}", "config.yaml:<<: not a setting"),
        ("[port]: 1", "config.yaml:?: not a setting"),
        ("environment: production", "config.yaml:environment: only the environment variable ENVIRONMENT"),
        ("port: [1, 2]", "config.yaml:port: must be one plain value"),
        ("log_format: [json]", "config.yaml:log_format: must be one plain value"),
        ("port: {number: 1}", "config.yaml:port: must be one plain value"),
        ("symbols: [[BTCUSDT]]", "config.yaml:symbols: must be one plain value"),
        ("redis_password: !hunter2", "config.yaml:redis_password: must be one plain value; quote it"),
        ("redis_password: !hunter2!x", "config.yaml: not valid YAML at line 1"),
        ("port: 1\nredis_password: *hunter2", "config.yaml: not valid YAML at line 2"),
        ("redis_password: 'hunter2", "config.yaml: not valid YAML at line"),
        ("port: 1\n---\nport: 2", "config.yaml: not valid YAML at line"),
        ("redis_password: hunter2\x07", "config.yaml: cannot be read as UTF-8 text"),
        ("- port", "config.yaml: must hold `key: value` lines, nothing else"),
        ("hunter2", "config.yaml: must hold `key: value` lines, nothing else"),
    ],
)
def test_a_mistake_in_yaml_is_refused_by_file_and_key(write: Write, text: str, problem: str) -> None:
    (found,) = problems(write(text))
    assert found.startswith(problem)
    assert "hunter2" not in found


NESTED = """
server:
  port: 9999
  shutdown_timeout: 30s
cache:
  ttl: 30s
  redis: {addr: "hunter2@cache:6379", password: hunter2}
kraken:
  websocket_url: wss://ws.kraken.com
  restUrl: https://user:hunter2@api.kraken.com
rate_limit: {capacity: 100, refill-rate: 10}
logging: {level: info}
business:
  supported_pairs: [BTC/USD]
  cache_prefix: hunter2
"""


def test_nested_keys_are_refused_all_at_once_with_the_flat_name_of_each(write: Write) -> None:
    found = problems(write(NESTED + "cach_ttl: 1s"), LOG_LEVEL="loud")
    nested = [problem for problem in found if "not nested here" in problem]
    told = {problem.partition(": ")[0].removeprefix("config.yaml:"): problem for problem in nested}
    remedy = re.compile(r"write (\w+) at the beginning of a line, or set (\w+)")
    flat = {
        "server.port": "port",
        "server.shutdown_timeout": "shutdown_timeout",
        "cache.ttl": "cache_ttl",
        "cache.redis.addr": "redis_addr",
        "cache.redis.password": "redis_password",
        "kraken.websocket_url": "kraken_websocket_url",
        "kraken.restUrl": "kraken_rest_url",
        "rate_limit.capacity": "rate_limit_capacity",
        "rate_limit.refill-rate": "rate_limit_refill_rate",
        "logging.level": "log_level",
        "business.supported_pairs": "supported_pairs",
    }
    assert {key: remedy.findall(problem) for key, problem in told.items()} == {
        "business.cache_prefix": [],
        **{key: [(name, name.upper())] for key, name in flat.items()},
    }
    assert told["server.port"].endswith("(line 3)")
    assert "those with this beginning are cache_backend, cache_ttl" in told["business.cache_prefix"]
    assert len(found) == len(told) + 2
    assert "hunter2" not in str(found)
    assert "9999" not in str(found)


def test_every_setting_is_found_under_each_way_to_nest_it() -> None:
    for field in Config.model_fields:
        words = field.split("_")
        for cut in range(1, len(words)):
            path = ("_".join(words[:cut]), "_".join(words[cut:]))
            assert flat_name(path, Config.model_fields) == field
            assert flat_name(("exchange", *path), Config.model_fields) == field
            assert flat_name(tuple(words), Config.model_fields) == field
        for written in (field, "-".join(words), words[0] + "".join(word.title() for word in words[1:])):
            assert flat_name(("Server", written), Config.model_fields) == field
            assert flat_name(("app", written), Config.model_fields) == field


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        (
            "redis: {port: 6379}",
            "redis.port",
            "there is none for this; those with this beginning are redis_addr,",
        ),
        (
            "metrics: {port: 9090}",
            "metrics.port",
            ", and there is none for this; those with this beginning are metrics_per_pair",
        ),
        (
            "cache: {redis: {host: x}}",
            "cache.redis.host",
            "there is none for this; those with this beginning are redis_addr,",
        ),
        (
            "cache: {redis: {pool_size: 9}}",
            "cache.redis.pool_size",
            "those with this beginning are redis_addr,",
        ),
        ("cors: {allowed_origins: x}", "cors.allowed_origins", "the nearest one is cors_origins"),
        ("app: {environment: production}", "app.environment", "only the environment variable ENVIRONMENT"),
        ("server: {}", "server", "there is none for this; docs/settings.md lists all (line 1)"),
        ("server: {[a]: 1}", "server.?", ", and there is none for this"),
        ("server: {a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}}", "server.a.b.c.d.e.f.g", "there is none"),
    ],
)
def test_a_nested_key_without_equivalent_is_told_so(write: Write, text: str, key: str, remedy: str) -> None:
    (problem,) = problems(write(text))
    assert problem.startswith(f"config.yaml:{key}: settings are not nested here")
    assert remedy in problem


def test_a_file_that_refers_to_itself_is_refused_like_any_other(write: Write) -> None:
    found = problems(write("server: &all\n  port: 1\n  more: *all\n  again: *all"))
    assert len(found) == MOST_KEYS
    assert found[0].startswith("config.yaml:server.port: ")


def test_nested_keys_of_the_file_of_an_environment_name_that_file(write: Write) -> None:
    (problem,) = problems(write(staging="server: {port: 1}"), ENVIRONMENT="staging")
    assert problem.startswith("config.staging.yaml:server.port: ")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"host: \xff\xfe")
    assert problems(tmp_path) == ("config.yaml: cannot be read as UTF-8 text (UnicodeDecodeError)",)


# --- names that are not settings


def test_a_misspelt_variable_is_named_with_the_nearest_known_one() -> None:
    meant = {"AUTH_APIKEY": "AUTH_API_KEY", "KRAKEN_TIMOUT": "KRAKEN_TIMEOUT", "cache_ttl": "CACHE_TTL"}
    assert unknown_names({"PORT_NUMBER": "1", "PATH": "", **dict.fromkeys(reversed(meant), "hunter2")}) == [
        f"{name} is not a setting and has no effect; the nearest one is {right}"
        for name, right in meant.items()
    ]


def test_every_variable_one_edit_away_is_named_with_the_right_one() -> None:
    for field in Config.model_fields:
        name = field.upper()
        middle = len(name) // 2
        typed = [
            name[:middle] + name[middle + 1 :],
            name[:middle] + "Q" + name[middle:],
            name[:middle] + "Q" + name[middle + 1 :],
            name[1] + name[0] + name[2:],
            f"{name}S",
            name.lower(),
        ]
        for wrong in typed:
            (warning,) = unknown_names({wrong: "secret"})
            assert warning == f"{wrong} is not a setting and has no effect; the nearest one is {name}"


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("BUSINESS_SUPPORTED_PAIRS", "BTC/USD", "has no effect; it is called SUPPORTED_PAIRS here$"),
        ("REDIS_PORT", "6379", "REDIS_ADDR"),
        (
            "AUTH_UNAUTH_PATHS",
            "/health",
            "those with this beginning are AUTH_API_KEY, AUTH_KEY_TTL, AUTH_ENABLED, ",
        ),
    ],
)
def test_a_strange_name_is_told_what_there_is(name: str, text: str, remedy: str) -> None:
    (warning,) = unknown_names({name: text})
    assert re.search(remedy, warning)


def test_what_others_set_is_no_warning() -> None:
    for name in (
        "PATH HOME HOSTNAME USER LOGNAME SHELL PWD OLDPWD TERM LANG LC_ALL TZ SHLVL MAIL EDITOR DISPLAY XDG_RUNTIME_DIR"
        " VIRTUAL_ENV PYTHONPATH PYTHONUNBUFFERED GUNICORN_CMD_ARGS PROMETHEUS_MULTIPROC_DIR INVOCATION_ID JOURNAL_STREAM"
        " POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB DATABASE_URL KUBERNETES_SERVICE_HOST KUBERNETES_PORT"
        " REDIS_SERVICE_HOST REDIS_SERVICE_PORT REDIS_PORT REDIS_PORT_6379_TCP REDIS_PORT_6379_TCP_ADDR"
        " REDIS_SERVICE_PORT_TLS http_proxy HTTPS_PROXY no_proxy SSL_CERT_FILE GRAFANA_PASSWORD HTTP_PORT CI COLUMNS"
    ).split():
        assert unknown_names({name: "tcp://10.0.0.1:6379"}) == []


@pytest.mark.parametrize("prefix", ["KRAKEN", "CACHE", "REDIS", "RATE_LIMIT", "AUTH", "LOG", "CORS"])
def test_every_watched_prefix_is_watched(prefix: str) -> None:
    assert len(unknown_names({f"{prefix}_X": ""})) == 1


def test_known_variables_are_no_warning() -> None:
    assert unknown_names({field.upper(): "" for field in Config.model_fields}) == []


# --- a reload


def test_a_mistake_changes_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("ltp_service.settings.config._accepted", [])
    monkeypatch.setenv("CACHE_TTL", "45s")
    accepted = keep_or_load_config()
    monkeypatch.setenv("CACHE_TTL", "soon")

    assert keep_or_load_config() is accepted
    assert "CACHE_TTL: 'soon' refused" in caplog.text


def test_the_first_settings_of_a_process_must_be_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltp_service.settings.config._accepted", [])
    monkeypatch.setenv("CACHE_TTL", "soon")

    with pytest.raises(ConfigError, match="CACHE_TTL"):
        keep_or_load_config()


def test_a_check_of_somebody_else_refuses_with_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltp_service.settings.config._accepted", [])
    accepted = keep_or_load_config()

    assert keep_or_load_config(lambda config: [f"PORT: {config.port} refused"]) is accepted
    monkeypatch.setattr("ltp_service.settings.config._accepted", [])
    with pytest.raises(ConfigError, match="2 problem"):
        keep_or_load_config(lambda _: ["one"], lambda _: ["other"])
