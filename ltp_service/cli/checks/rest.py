"""Kraken's REST API: one question about all pairs, which is what the service asks where the feed fails."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from ltp_service.cli.checks import clock
from ltp_service.cli.checks.certificates import failed, judge_failure
from ltp_service.cli.checks.finding import Finding, Observation, broken, ok, warning
from ltp_service.cli.checks.reach import reach
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.domain.errors import ExchangeError
from ltp_service.domain.pairs import Pair, kraken_rest_symbol
from ltp_service.exchanges import kraken_rest_answers as answers
from ltp_service.rest.http_client import HttpAnswer, HttpClient
from ltp_service.version import VERSION

SUBJECT = "kraken REST"
CHECK = f"{SUBJECT}: answer"

ANSWER_SECONDS = 6.0
"""Seconds for one answer at most, whatever the service is set to."""

SLOW_SECONDS = 1.5
"""Seconds from which on an answer is slow: half of the default of KRAKEN_REQUEST_TIMEOUT."""

MOST_PAIRS = 200
"""Pairs asked about; a URL has room for some 250."""

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
"""By the reason of the error."""


def look(world: Surroundings) -> Iterator[Observation]:
    """All that can be seen of it, as far as the way is open."""
    findings, way = reach(SUBJECT, world.config.kraken_rest_url, world)
    yield from findings
    if not way.is_open:
        return
    http = HttpClient(world.clock, f"ltp_service/{VERSION}", ca_file=world.ca_file, environ=world.environ)
    try:
        yield from _ask(http, world)
    finally:
        http.close()


def _ask(http: HttpClient, world: Surroundings) -> Iterator[Observation]:
    url = world.config.kraken_rest_url.rstrip("/")
    pairs = world.config.supported_pairs[:MOST_PAIRS]
    params = {"pair": ",".join(map(kraken_rest_symbol, pairs))}
    asked_at, asked_wall = world.clock.monotonic(), world.clock.wall()
    try:
        answer = http.get(f"{url}/Ticker", params, ANSWER_SECONDS)
    except ExchangeError as error:
        yield _unanswered(url, error)
        return
    seconds = world.clock.monotonic() - asked_at
    if answer.date is not None:
        source = "the Date of an answer of kraken REST"
        yield clock.compare(source, answer.date, asked_wall, world.clock.wall(), step=1.0)
    try:
        told = list(_pairs_told(answer, pairs))
    except ExchangeError as error:
        yield _refused(http, url, pairs, error)
    else:
        yield judge(pairs, told, seconds, world.config.kraken_request_timeout)


def _unanswered(url: str, error: ExchangeError) -> Finding:
    text = str(error)
    if failed(text):
        return judge_failure(f"{SUBJECT}: certificate", text, essential=True)
    remedy = _REMEDIES.get(error.reason, "see the exchange's status page; the service tries again by itself")
    return broken(CHECK, text.removeprefix(f"{url}/Ticker").lstrip(": "), remedy)


def _pairs_told(answer: HttpAnswer, pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Raises ExchangeError."""
    result = answers.read_result(answer)
    for each in answers.read_tickers(result, pairs, None, answers.Evidence(0.0)):
        if isinstance(each, answers.Told):
            yield each.tick.pair


def _refused(http: HttpClient, url: str, pairs: Sequence[Pair], error: ExchangeError) -> Finding:
    if error.reason == answers.UNKNOWN_PAIR:
        unlisted = _unlisted(http, url, pairs)
        seen = f"{', '.join(unlisted) or 'one of the pairs'} refused: {error}"
        return broken(CHECK, seen, "correct its name in SUPPORTED_PAIRS, or take it out")
    if error.reason == answers.THROTTLED:
        seen = f"{error}: to be left alone for {error.retry_after or 0:.0f} s"
        remedy = "find what else on this address calls the exchange; the service keeps away by itself"
        return broken(CHECK, seen, remedy)
    remedy = _REMEDIES.get(error.reason, "see the exchange's status page")
    return broken(CHECK, str(error), remedy)


def _unlisted(http: HttpClient, url: str, pairs: Sequence[Pair]) -> list[str]:
    """The pairs that the exchange does not list; none where it does not say."""
    with suppress(ExchangeError):
        answer = http.get(f"{url}/AssetPairs", {}, ANSWER_SECONDS)
        listed = answers.read_listings(answers.read_result(answer)).symbols
        return [str(pair) for pair in pairs if pair not in listed]
    return []


def judge(pairs: Sequence[Pair], told: Sequence[Pair], seconds: float, timeout: float) -> Finding:
    """What a good answer means."""
    missing = [str(pair) for pair in pairs if pair not in told]
    if missing:
        remedy = "has it ever traded? If not, take it out of SUPPORTED_PAIRS"
        return warning(CHECK, f"no last price of {', '.join(missing)}", remedy)
    seen = f"{len(pairs)} pairs after {1000 * seconds:.0f} ms"
    if seconds > timeout:
        remedy = f"raise KRAKEN_REQUEST_TIMEOUT, which is {timeout:g} s, or use a faster line"
        return broken(CHECK, seen, remedy)
    if seconds > SLOW_SECONDS:
        return warning(CHECK, seen, "look for what slows the line: a proxy, or something else that loads it")
    return ok(CHECK, seen)
