"""Every meter: its name, its help text, its labels. Each is declared here once, and the parts report by it.

A part receives Meters and reports to them. It does not know whether a report becomes a metric.
"""

from collections.abc import Callable, Sequence
from typing import Generic, Literal, TypeVar, TypeVarTuple

Labels = TypeVarTuple("Labels")
Row = TypeVar("Row")

Mode = Literal["livemostrecent", "livemax", "livesum"]


class Meter(Generic[*Labels]):
    """One row of the table. Its type holds how many labels a report gives."""

    def __init__(self, name: str, text: str, *labels: *Labels) -> None:
        self.name, self.text, self.labels = name, text, tuple(map(str, labels))


class Counter(Meter[*Labels]):
    """A number that only grows."""


class Histogram(Meter[*Labels]):
    """How many observed amounts are at most as large as each bucket."""

    def __init__(self, name: str, text: str, buckets: Sequence[float], *labels: *Labels) -> None:
        super().__init__(name, text, *labels)
        self.buckets = buckets


class Gauge(Meter[*Labels]):
    """A present value. `mode` says which one a scrape of several workers shows."""

    def __init__(self, name: str, text: str, mode: Mode, *labels: *Labels) -> None:
        super().__init__(name, text, *labels)
        self.mode = mode


class Meters:
    """Ignores every report. The labels of a report follow the order of the table."""

    def count(self, counter: Counter[*Labels], *labels: *Labels, amount: int = 1) -> None:
        """Something happened `amount` times."""

    def observe(self, histogram: Histogram[*Labels], amounts: Sequence[float], *labels: *Labels) -> None:
        """These amounts were measured."""

    def later(self, report: Callable[["Meters", list[Row]], None], row: Row) -> None:
        """Calls `report` with many rows at once, for what happens thousands of times a second."""


_NEWEST: Mode = "livemostrecent"
_HIGHEST: Mode = "livemax"
_SUM: Mode = "livesum"

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG_SECONDS = (1, 5, 15, 60, 300, 900, 3600)
_BYTES = (64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_TOKENS = (0, 1, 5, 10, 25, 50, 75, 90, 100, 250, 1000)

# The table. `exchange` is a collector's name, `reason` a fixed word.
# fmt: off

# Requests.
REQUESTS = Counter("http_requests_total", "HTTP requests answered.", "method", "path", "status_code")
REQUEST_SECONDS = Histogram("http_request_duration_seconds", "Seconds from request to answer.", _SECONDS, "method", "path", "status_code")
REQUEST_BYTES = Histogram("http_request_size_bytes", "Bytes of request bodies.", _BYTES, "method", "path")
ANSWER_BYTES = Histogram("http_response_size_bytes", "Bytes of answer bodies.", _BYTES, "method", "path")

# Prices.
CACHE_OPERATIONS = Counter("cache_operations_total", "Looks into the price store.", "operation", "result")
CACHE_KEYS = Gauge("cache_keys", "Prices held.", _HIGHEST, "cache_type")
CACHE_HITS = Counter("cache_hits_total", "Prices served from memory.")
CACHE_MISSES = Counter("cache_misses_total", "Prices asked for and not in memory.")
PRICE_REQUESTS = Counter("price_requests_total", "Prices asked for.", "pair", "cache_result")
REFRESHES = Counter("price_refreshes_total", "Refreshes on demand.", "result")
CURRENT_PRICES = Gauge("current_prices", "Last traded price in quote currency.", _NEWEST, "pair")
PRICE_AGE = Gauge("price_age_seconds", "Seconds since the last evidence.", _HIGHEST, "pair")
PRICE_TIMESTAMP = Gauge("price_timestamp_seconds", "Unix time of the last evidence.", _NEWEST, "pair")
PRICE_STATE = Gauge("price_state", "1 for the state that the price is in.", _HIGHEST, "pair", "state")
PRICE_DEVIATING = Gauge("price_deviating", "1 while the price is far from the median of at least two other exchanges.", _HIGHEST, "pair")
SUBSTITUTED = Counter("prices_substituted_total", "Prices answered with another exchange's last trade.", "pair", "source")
PAIRS = Gauge("pairs", "Pairs by the state of their price.", _HIGHEST, "state")
DIVERGENCES = Counter("price_divergences_total", "WebSocket and REST told prices that cannot both be right.", "pair")

# REST.
EXCHANGE_CALLS = Counter("external_api_requests_total", "HTTP calls to exchanges.", "service", "endpoint", "status_code")
EXCHANGE_CALL_SECONDS = Histogram("external_api_request_duration_seconds", "Seconds per HTTP call to an exchange.", _SECONDS, "service", "endpoint")
EXCHANGE_RETRIES = Counter("external_api_retries_total", "HTTP calls tried again.", "service", "endpoint")
THROTTLED_CALLS = Counter("kraken_rate_limit_drops_total", "Calls that Kraken refused as too many.")
BREAKER_STATE = Gauge("circuit_breaker_state", "0 closed, 1 open, 2 half-open.", _HIGHEST, "service")
FALLBACKS = Counter("fallback_activations_total", "Times that REST had to stand in for the feed.", "reason")
FALLBACK_SECONDS = Histogram("fallback_duration_seconds", "Seconds for which REST stood in.", _LONG_SECONDS)
FALLBACK_ACTIVE = Gauge("fallback_active", "1 while REST stands in for the feed.", _HIGHEST)

# Feeds.
CONNECTED = Gauge("websocket_connection_status", "1 while connected.", _HIGHEST, "exchange")
LAG = Gauge("websocket_lag_seconds", "By how much a feed's data are late, by the exchange's own clock.", _HIGHEST, "exchange")
FRAMES = Counter("websocket_messages_total", "Frames received.", "exchange", "kind")
FRAMES_REFUSED = Counter("websocket_invalid_messages_total", "Frames or values not used.", "exchange", "reason")
CONNECTION_ERRORS = Counter("websocket_errors_total", "Connections that failed or broke.", "exchange", "reason")
RECONNECTIONS = Counter("websocket_reconnection_attempts_total", "Connections tried again.", "exchange", "reason")
DEAF_SUBSCRIPTIONS = Counter("subscription_deaf_total", "Subscriptions that kept silent about a trade.", "pair")
TRADES_HELD = Counter("quarantined_trades_total", "Lone trades far from all others that were held back.", "pair")
TRADES_STORED = Counter("trades_stored_total", "Trades stored.", "exchange", "symbol")
TRADES_DISCARDED = Counter("trades_discarded_total", "Trades not stored.", "exchange", "reason")
DEAF_BOOKS = Counter("books_deaf_total", "Order books whose subscription kept silent about changes.", "exchange")
TRADES_MISSED = Counter("trades_missed_total", "Trades that an exchange numbered and that never arrived.", "exchange")

# Streams. Why a client was dropped: `slow` took no byte for 30 s, `gone` closed the connection, `noisy` kept sending,
# `key` had a key that was revoked or expired,
# `ended` got a bye because the worker ends.
STREAM_CLIENTS = Gauge("stream_clients", "Streams open now.", _SUM)
STREAM_EVENTS = Counter("stream_events_total", "Events sent to clients of streams.", "event")
STREAM_DROPPED = Counter("stream_dropped_total", "Streams that ended.", "reason")

# History. The lag is that of the trade that has waited longest to be written.
HISTORY_ROWS = Counter("history_rows_total", "Trades written to the history.")
HISTORY_LOST = Counter("history_lost_total", "Trades dropped because the history could not be written.")
HISTORY_REFUSED = Counter("history_refused_total", "Trades not recorded, because they contradict what is recorded or the exchange's clock.")
HISTORY_GAP_SECONDS = Counter("history_gap_seconds_total", "Seconds of the history of which trades are missing for good.")
HISTORY_LAG = Gauge("history_lag_seconds", "For how long a trade has waited to be written.", _HIGHEST)
HISTORY_BYTES = Gauge("history_bytes", "Bytes of the history on the disk.", _HIGHEST)

# Guards, and the process.
LIMIT_DECISIONS = Counter("rate_limit_requests_total", "Requests that the limit saw.", "result")
TOKENS_LEFT = Histogram("rate_limit_tokens_remaining", "Tokens left to a client after its request.", _TOKENS)
KEYS_CHECKED = Counter("api_key_checks_total", "API keys checked.", "result")
LOG_LINES_DROPPED = Counter("log_lines_dropped_total", "Log lines lost, because their reader did not read them.")
APPLICATION_INFO = Gauge("application_info", "1; the version is the label.", _HIGHEST, "version")
FLEET_PROCESSES = Gauge("fleet_processes", "Processes that share prices, by what they do.", _SUM, "role")
UPTIME = Gauge("uptime_seconds", "Seconds since the worker started.", _HIGHEST)

# fmt: on

METERS = tuple(each for each in list(globals().values()) if isinstance(each, Meter))
"""The rows of the table in their order, which is the order of /metrics."""
