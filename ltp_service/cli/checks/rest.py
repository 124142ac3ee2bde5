"""Kraken's REST API: one question about all pairs, which is what the service asks where the feed fails."""

import re
from collections.abc import Iterable, Iterator, Sequence

from ltp_service.cli.checks import clock
from ltp_service.cli.checks.certificates import failed, judge_failure
from ltp_service.cli.checks.finding import Finding, Observation, broken, named, ok, warning
from ltp_service.cli.checks.reach import reach
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.domain.errors import ExchangeError
from ltp_service.exchanges import kraken_rest_answers as answers
from ltp_service.exchanges.kraken_rest import KrakenRest
from ltp_service.meters import EXCHANGE_CALL_SECONDS, Histogram, Labels, Meters
from ltp_service.rest.breaker import CircuitBreaker
from ltp_service.rest.http_client import HttpClient
from ltp_service.rest.source import RestAnswer
from ltp_service.runtime.runtime import Runtime
from ltp_service.version import VERSION

SUBJECT = "kraken REST"
CHECK = f"{SUBJECT}: answer"

ANSWER_SECONDS = 6.0
"""Seconds for one answer at most, whatever the service is set to."""

ALL_ANSWERS_SECONDS = 12.0
"""Seconds for all calls, of which there are several where a pair is refused: they find out which."""

SLOW_SECONDS = 1.5
"""Seconds from which on an answer is slow: half of the default of KRAKEN_REQUEST_TIMEOUT."""

_REMEDIES = {
    "timeout": "raise KRAKEN_REQUEST_TIMEOUT if the line is slow; else see the exchange's status page",
    "proxy": "is that proxy the right one, and may it reach this host?",
    "redirect": "name the address it leads to in KRAKEN_REST_URL, if that is the exchange's",
    "too_large": "is KRAKEN_REST_URL that of the exchange's API?",
    "server_error": "the exchange is failing: see its status page; the service tries again by itself",
    "html": "something answers in the exchange's place: is KRAKEN_REST_URL right, and is there a login page on the way?",
    "malformed": "something answers in the exchange's place or spoils its answers: is KRAKEN_REST_URL right?",
    "client_error": "correct the path in KRAKEN_REST_URL",
}
"""The remedy by the reason of the error."""


def look(world: Surroundings) -> Iterator[Observation]:
    """Checks the way to REST, and asks a question where the way is open."""
    findings, way = reach(SUBJECT, world.config.kraken_rest_url, world)
    yield from findings
    if not way.is_open:
        return
    http = HttpClient(world.clock, f"ltp_service/{VERSION}", ca_file=world.ca_file, environ=world.environ)
    try:
        yield from _ask(http, world)
    finally:
        http.close()


class _Stopwatch(Meters):
    """Remembers how long the newest call took."""

    seconds = 0.0

    def observe(self, histogram: Histogram[*Labels], amounts: Sequence[float], *labels: *Labels) -> None:
        if histogram is EXCHANGE_CALL_SECONDS:
            self.seconds = amounts[-1]


def _ask(http: HttpClient, world: Surroundings) -> Iterator[Observation]:
    bounds = {
        "kraken_max_retries": 0,
        "kraken_request_timeout": ANSWER_SECONDS,
        "kraken_timeout": ALL_ANSWERS_SECONDS,
    }
    stopwatch = _Stopwatch()
    runtime = Runtime(world.clock, stopwatch)
    client = KrakenRest(world.config.model_copy(update=bounds), http, CircuitBreaker(runtime), runtime)
    try:
        answer = client.last_trades(world.config.pairs_to_try)
    except ExchangeError as error:
        yield _failed(error)
    else:
        yield from judge(answer, stopwatch.seconds, world.config.kraken_request_timeout)
    ahead = client.unix_ahead()
    if ahead is not None:
        received_at = world.clock.wall()
        told = world.clock.monotonic() + ahead
        source = f"the Date of an answer of {SUBJECT}"
        yield clock.compare(source, told, received_at - stopwatch.seconds, received_at, step=1.0)


def _failed(error: ExchangeError) -> Finding:
    seen = str(error)
    if failed(seen):
        return judge_failure(f"{SUBJECT}: TLS", seen, essential=True)
    if error.reason == answers.THROTTLED:
        seen = f"{seen}: to be left alone for {error.retry_after or 0:.0f} s"
        remedy = "find what else on this address calls the exchange; the service keeps away by itself"
        return broken(CHECK, seen, remedy)
    if error.reason == "closed":  # the library's text is that of its own classes
        seen = "the connection was closed without an answer"
    remedy = _REMEDIES.get(error.reason, "see the exchange's status page; the service tries again by itself")
    return broken(CHECK, _URL.sub("", seen), remedy)


_URL = re.compile(r"^https?://\S+[: ]+")


def judge(answer: RestAnswer, seconds: float, timeout: float) -> Iterator[Finding]:
    """What an answer means that took so long, where the service waits for `timeout` seconds."""
    if answer.unknown:
        remedy = "correct its name in SUPPORTED_PAIRS, or take it out"
        yield broken(CHECK, f"{_names(answer.unknown)} refused: not known to the exchange", remedy)
    told = {tick.pair for tick in answer.ticks}
    if missing := answer.asked - told - answer.unknown:
        remedy = "has it ever traded? If not, take it out of SUPPORTED_PAIRS"
        yield warning(CHECK, f"no last price of {_names(missing)}", remedy)
    if told:
        yield _timed(len(told), seconds, timeout)


def _names(pairs: Iterable[object]) -> str:
    return named(sorted(map(str, pairs)))


def _timed(number: int, seconds: float, timeout: float) -> Finding:
    seen = f"{number} {'pair' if number == 1 else 'pairs'} after {1000 * seconds:.0f} ms"
    if seconds > timeout:
        remedy = f"raise KRAKEN_REQUEST_TIMEOUT, which is {timeout:g} s, or use a faster line"
        return broken(CHECK, seen, remedy)
    if seconds > SLOW_SECONDS:
        return warning(CHECK, seen, "look for what slows the line: a proxy, or something else that loads it")
    return ok(CHECK, seen)
