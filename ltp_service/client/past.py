"""Questions about the past: the price at a moment, and candles. No I/O."""

from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar, get_args
from urllib.parse import parse_qsl, urlsplit

from ltp_service.client.ask import fetch, reason_of, refuse, worst_of
from ltp_service.client.errors import HistoryGap, HistoryUnknown, PricesError, Unreachable
from ltp_service.client.events import Candle, Coverage, Edge, Interval, PastPrice, Proof
from ltp_service.client.fields import Fields, fields_of, read_amount, read_integer, read_moment, read_text
from ltp_service.client.settings import Settings
from ltp_service.client.steps import Result, Step
from ltp_service.client.wire import Base, Broken, Response, read_json, request

AT, CANDLES = "/api/v1/ltp/at", "/api/v1/candles"

Answer = TypeVar("Answer")
Question = Callable[[Base], Generator[Step, Result, Answer]]


class AskPast:
    """Asks one base after the other, because each may have recorded what another one has missed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def at(self, pair: str, moment: datetime | float) -> Generator[Step, Result, PastPrice]:
        """The last price at a moment. Raises HistoryGap, HistoryUnknown and what keeps a question from its answer."""
        query = {"pair": pair, "time": written(moment)}

        def ask(base: Base) -> Generator[Step, Result, PastPrice]:
            content, _ = yield from self._get(base, AT, query)
            [item] = _list(content["ltp"])
            return _past_price(item)

        return self._first(ask)

    def candles(
        self,
        pair: str,
        interval: Interval,
        start: datetime | float | None,
        end: datetime | float | None,
        limit: int | None,
    ) -> Generator[Step, Result, list[Candle]]:
        """Every candle from `start` to before `end`, page by page; without `start` the last `limit` ones."""
        first = {"pair": pair, "interval": interval}
        if start is not None:
            first["start"] = written(start)
        if end is not None:
            first["end"] = written(end)
        if limit is not None and start is None:
            first["limit"] = str(limit)

        def ask(base: Base) -> Generator[Step, Result, list[Candle]]:
            found: list[Candle] = []
            query: Mapping[str, str] | None = first
            while query is not None and (limit is None or len(found) < limit):
                content, response = yield from self._get(base, CANDLES, query)
                name = read_text(content["pair"])
                found += [_candle(name, interval, each) for each in _list(content["candles"])]
                query = _next(response)
            return found[:limit]

        return self._first(ask)

    def _first(self, ask: "Question[Answer]") -> Generator[Step, Result, Answer]:
        """The first answer, else the error that tells most."""
        failures: list[PricesError] = []
        for base in self._settings.bases:
            try:
                return (yield from ask(base))
            except PricesError as error:
                failures.append(error)
            except ValueError as error:
                failures.append(Unreachable(f"{base.url}: {reason_of(error)}; is the service there?"))
        told = [each for kind in (HistoryGap, HistoryUnknown) for each in failures if isinstance(each, kind)]
        raise told[0] if told else worst_of(failures)

    def _get(
        self, base: Base, path: str, query: Mapping[str, str]
    ) -> Generator[Step, Result, tuple[Fields, Response]]:
        settings = self._settings
        try:
            content = request(base, path, query, settings.headers)
            response, body = yield from fetch(settings.clock, base, content)
            if response.status == 200:
                return fields_of(read_json(body)), response
        except (OSError, Broken) as error:
            raise Unreachable(f"{base.url}: {reason_of(error)}; is the service there?") from error
        _refuse_moment(response, body)
        refuse(base, response, body)
        raise Unreachable(f"{base.url} answered {response.status}; ask again later")


def written(moment: datetime | float) -> str:
    """As a question names it. Raises ValueError for a time without a zone."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(f"{moment!r} has no zone; write for example datetime(2026, 11, 21, tzinfo=UTC)")
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return format(Decimal(repr(moment)), "f")


def checked_interval(interval: str) -> Interval:
    """Raises ValueError for a word that is none."""
    if interval not in get_args(Interval):
        raise ValueError(f"interval is {interval!r}; write one of {', '.join(get_args(Interval))}")
    return interval  # type: ignore[return-value]


def _refuse_moment(response: Response, body: bytes) -> None:
    """Raises what keeps a pair from its price at a moment, where that is why there is no answer."""
    if response.status not in (404, 409):
        return
    try:
        errors = _list(fields_of(read_json(body))["errors"])
    except ValueError:
        return  # it is the answer of another program, or of a service that has not this route
    for each in errors:
        text = f"{each['pair']}: {each['message']}"
        if each["code"] == "HISTORY_GAP":
            raise HistoryGap(text, _edge(each.get("before")), _edge(each.get("after")))
        if each["code"] == "HISTORY_UNKNOWN":
            raise HistoryUnknown(text)


def _edge(value: Any) -> Edge | None:
    if value is None:
        return None
    fields = fields_of(value)
    trade_id, traded_at = read_integer(fields["trade_id"]), read_moment(fields["traded_at"])
    if trade_id is None or traded_at is None:
        raise ValueError("the edge of a gap lacks its id or time")
    return Edge(trade_id, traded_at, read_text(fields["price"]))


def _past_price(item: Fields) -> PastPrice:
    amount, text, until = (
        read_amount(item["amount"]),
        read_text(item["price"]),
        read_moment(item["evidence_until"]),
    )
    if read_amount(text) != amount:
        raise ValueError("amount and price differ")
    if until is None:
        raise ValueError("evidence_until is missing")
    return PastPrice(
        pair=read_text(item["pair"]),
        amount=amount,
        price=text,
        traded_at=read_moment(item["traded_at"]),
        trade_id=read_integer(item["trade_id"]),
        proof=_word(item["proof"], Proof),
        next_trade_id=read_integer(item["next_trade_id"]),
        evidence_until=until,
    )


def _candle(pair: str, interval: Interval, item: Fields) -> Candle:
    start, trades = read_moment(item["start"]), read_integer(item["trades"])
    if start is None or trades is None:
        raise ValueError("a candle lacks its start or its count")
    prices = {name: _price(item[name]) for name in ("open", "high", "low", "close", "vwap")}
    return Candle(
        pair=pair,
        interval=interval,
        start=start,
        **prices,
        volume=read_amount(item["volume"]) if trades else Decimal(0),
        trades=trades,
        first_trade_id=read_integer(item["first_trade_id"]),
        last_trade_id=read_integer(item["last_trade_id"]),
        coverage=_word(item["coverage"], Coverage),
        is_open=item.get("open_ended") is True,
    )


def _price(value: Any) -> Decimal | None:
    return None if value is None else read_amount(value)


def _word(value: Any, words: Any) -> Any:
    """A word that this client does not know is no proof, so it is refused."""
    if value not in get_args(words):
        raise ValueError(f"{value!r} is none of {', '.join(get_args(words))}")
    return value


def _list(value: Any) -> list[Fields]:
    if not isinstance(value, list):
        raise ValueError("a list is missing")
    return [fields_of(each) for each in value]


def _next(response: Response) -> Mapping[str, str] | None:
    """The question for the next page, from Link; None at the end."""
    target, _, relation = response.headers.get("link", "").partition(";")
    if relation.strip() != 'rel="next"':
        return None
    return dict(parse_qsl(urlsplit(target.strip().strip("<>")).query))
