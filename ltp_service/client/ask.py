"""One question about prices: which bases are asked, and what the answers mean. No I/O."""

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from ltp_service.client.errors import (
    KeyRefused,
    NotServed,
    PricesError,
    PriceStale,
    PriceUnavailable,
    RateLimited,
    Refused,
    SomeUnavailable,
    UnknownPair,
    Unreachable,
)
from ltp_service.client.events import Price
from ltp_service.client.policy import Told, read_price
from ltp_service.client.settings import MOST_PAIRS, Settings
from ltp_service.client.steps import Open, Receive, Result, Send, Step
from ltp_service.client.wire import LONGEST_BODY, Base, Broken, Response, read_json, request

ANSWER_SECONDS = 10.0
"""Longest time of one question to one base, all in all."""

PATH = "/api/v1/ltp"

Outcome = tuple[dict[str, Told], dict[str, PricesError]]
"""Of each pair: what was told, or why nothing."""


class Ask:
    """Asks for prices. `turn` remembers the base that answered last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = 0

    def one(self, pair: str) -> Generator[Step, Result, Price]:
        """The price of the pair. Raises what keeps it away."""
        prices, errors = yield from self._all([pair])
        for error in errors.values():
            raise error
        if len(prices) != 1:
            raise Unreachable(
                f"the service answered {len(prices)} prices to a question about one pair, {pair}"
            )
        return next(iter(prices.values()))

    def many(self, pairs: Sequence[str]) -> Generator[Step, Result, dict[str, Price]]:
        """The prices of the pairs, by pair; without pairs, of all that the service has. Raises SomeUnavailable."""
        prices: dict[str, Price] = {}
        errors: dict[str, PricesError] = {}
        for some in [pairs[at : at + MOST_PAIRS] for at in range(0, len(pairs), MOST_PAIRS)] or [()]:
            more, failed = yield from self._all(some)
            prices.update(more)
            errors.update(failed)
        if errors:
            raise SomeUnavailable(prices, errors)
        return prices

    def _all(
        self, pairs: Sequence[str]
    ) -> Generator[Step, Result, tuple[dict[str, Price], dict[str, PricesError]]]:
        """From the first base that has them all, else the best that one has."""
        settings, failures = self._settings, list[PricesError]()
        best: tuple[dict[str, Price], dict[str, PricesError]] | None = None
        first = self._turn
        for turn in range(len(settings.bases)):
            index = (first + turn) % len(settings.bases)
            try:
                found = yield from self._allowed(settings.bases[index], pairs)
            except PricesError as error:
                failures.append(error)
                continue
            if not found[1]:
                self._turn = index
                return found
            if best is None or len(found[0]) > len(best[0]):
                best = found
        if best is not None:
            return best
        raise worst_of(failures)

    def _allowed(
        self, base: Base, pairs: Sequence[str]
    ) -> Generator[Step, Result, tuple[dict[str, Price], dict[str, PricesError]]]:
        """What the policy allows. A price that is too old only because its answer was long under way is asked for again."""
        settings = self._settings
        for _ in range(2):
            told, errors = yield from self._ask(base, pairs, {})
            now = settings.clock()
            found = {pair: each.objection(settings.max_age, now) for pair, each in told.items()}
            objections = {pair: each[1] for pair, each in found.items() if each is not None}
            if not any(each and each[0] == "old" for each in found.values()):
                break
        stale = [pair for pair, error in errors.items() if isinstance(error, PriceStale)]
        if stale:  # how old they are, only the prices themselves tell
            try:
                shown, _ = yield from self._ask(base, stale, {"allow_stale": "true"})
            except PricesError:
                shown = {}
            for pair, each in shown.items():
                errors[pair] = self._stale(each, settings.clock())
        now = settings.clock()
        prices = {pair: each.as_price(now) for pair, each in told.items() if pair not in objections}
        for pair, reason in objections.items():
            each = told[pair]
            age = now - each.evidence_at
            errors[pair] = PriceUnavailable(reason) if each.amount is None else PriceStale(reason, age)
        return prices, errors

    def _stale(self, told: Told, now: float) -> PricesError:
        age, bound = now - told.evidence_at, self._settings.max_age
        allowed = "the service allows" if bound is None else f"max_age={bound:g} or the service allows"
        remedy = "" if bound is None else ", or raise max_age where that is the lower one"
        return PriceStale(
            f"{told.pair}: the last evidence is {age:.1f} s old, more than {allowed}; ask again later{remedy}",
            age,
        )

    def _ask(
        self, base: Base, pairs: Sequence[str], options: Mapping[str, str]
    ) -> Generator[Step, Result, Outcome]:
        settings = self._settings
        query = {"pair": ",".join(pairs)} if pairs else {}
        query |= {"detail": "true"} | dict(options)
        if settings.max_age is not None and not options:
            query["max_age"] = f"{settings.max_age:.3f}"
        started = settings.clock()
        try:
            content = request(base, PATH, query, settings.headers)
            response, body = yield from fetch(settings.clock, base, content)
            if response.status in (200, 206):
                return _read_prices(read_json(body), started)
        except (OSError, Broken, ValueError) as error:
            raise Unreachable(f"{base.url}: {reason_of(error)}; is the service there?") from error
        refuse(base, response, body)
        return {}, _read_errors(body)


def fetch(
    clock: Callable[[], float], base: Base, content: bytes
) -> Generator[Step, Result, tuple[Response, bytes]]:
    """The whole answer to a request. Raises Broken."""
    deadline = clock() + ANSWER_SECONDS
    yield Open(base)
    yield Send(content)
    response, body = Response(), bytearray()
    while not response.is_complete:
        left = deadline - clock()
        if left <= 0:
            raise Broken(f"no answer within {ANSWER_SECONDS:g} s")
        received = yield Receive(left)
        if received is not None:
            body += response.feed(received)
        if len(body) > LONGEST_BODY:
            raise Broken(f"the answer is longer than {LONGEST_BODY} bytes")
    return response, bytes(body)


def refuse(base: Base, response: Response, body: bytes) -> None:
    """Raises what an answer without prices means, unless it says for each pair why there is none."""
    status, code, message = response.status, *read_problem(body)
    told = f"{base.url}: {message}" if message else f"{base.url} answered {status}"
    if status in (401, 403):
        raise KeyRefused(f"{told}; give a key with read permission as api_key")
    if status in (404, 501):
        raise NotServed(
            told if message else f"{told}; is the URL that of the service, and its version new enough?"
        )
    if status == 429:
        wait = response.retry_after or 1.0
        raise RateLimited(f"{told}; ask again after {wait:g} s", wait)
    if status == 400:
        raise (UnknownPair if code == "UNSUPPORTED_PAIR" else Refused)(told)
    if location := response.headers.get("location"):
        raise Unreachable(f"{told}: moved to {location}; give the URL of the service itself")
    if status != 503 or not _read_errors(body):
        raise Unreachable(f"{told}; ask again later")


def reason_of(error: Exception) -> str:
    """In a few words."""
    if isinstance(error, Broken):
        return error.reason
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno).lower()
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"the answer cannot be read: {error}"


def _read_prices(content: Any, arrived: float) -> Outcome:
    items = content.get("ltp") if isinstance(content, dict) else None
    if not isinstance(items, list):
        raise ValueError("it has no list of prices")
    told = [read_price(item, arrived) for item in items]
    return {each.pair: each for each in told}, _pair_errors(content)


def _read_errors(body: bytes) -> dict[str, PricesError]:
    try:
        return _pair_errors(read_json(body))
    except ValueError:
        return {}


def _pair_errors(content: Any) -> dict[str, PricesError]:
    errors = content.get("errors") if isinstance(content, dict) else None
    return {
        str(each.get("pair")): _pair_error(
            str(each.get("pair")), str(each.get("code")), str(each.get("message"))
        )
        for each in (errors if isinstance(errors, list) else [])
        if isinstance(each, dict)
    }


def _pair_error(pair: str, code: str, message: str) -> PricesError:
    text = f"{pair}: {message}"
    if code == "UNSUPPORTED_PAIR":
        return UnknownPair(f"{text}; /api/v1/pairs lists those that are served")
    return PriceStale(text, None) if code == "PRICE_STALE" else PriceUnavailable(text)


def read_problem(body: bytes) -> tuple[str, str]:
    """Code and message of an error; empty for an answer that is not the service's."""
    try:
        content = read_json(body)
    except ValueError:
        return "", ""
    if not isinstance(content, dict):
        return "", ""
    code = content.get("code")
    return code if isinstance(code, str) else "", str(content.get("message", ""))


def worst_of(failures: Sequence[PricesError]) -> PricesError:
    """One error for all bases. It says that asking again cannot help only where that is so of each base."""
    limited = [error for error in failures if isinstance(error, RateLimited)]
    if limited or len(failures) == 1:
        return (limited or failures)[0]
    kind = Unreachable if any(isinstance(error, Unreachable) for error in failures) else type(failures[0])
    return kind("; ".join(map(str, failures)))
