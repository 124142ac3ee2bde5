"""ltp price: the last price of some pairs, for people and for scripts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import click

import ltp_service  # LastPrices is loaded where it is used
from ltp_service.cli.terminal import NONE, STALE, key_of, url_of, url_option
from ltp_service.client import Price, Prices, PricesError, PriceStale, SomeUnavailable
from ltp_service.domain import errors
from ltp_service.domain.decimals import plain
from ltp_service.domain.pairs import read_pair


@dataclass(frozen=True)
class Found:
    """What was found out about a pair. The other fields are None where it has no price that may be told."""

    pair: str
    price: str | None = None
    """Every digit of the exchange."""
    state: str | None = None
    """This and the following are None too where the price comes straight from the exchange."""
    source: str | None = None
    age: float | None = None
    """Seconds since the last evidence."""
    traded_at: datetime | None = None
    trade_id: int | None = None
    error: str | None = None
    """Why there is no price."""
    code: int = 0
    """The exit code that this alone would have."""


@click.command(epilog="Example: ltp price BTC/USD eth-usd")
@click.argument("pairs", metavar="PAIR...", nargs=-1, required=True)
@url_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with state, age and source.")
@click.option("--direct", is_flag=True, help="Ask the exchange itself, without a service.")
@click.pass_obj
def command(
    environ: Mapping[str, str], pairs: Sequence[str], url: Sequence[str], as_json: bool, direct: bool
) -> None:
    """Print the last price of each PAIR.

    A line has the pair and the price with the exchange's own digits. A price that may not be trusted now is not printed;
    its reason is, on standard error. Ends with 0 where all prices may be trusted, 3 where one is stale, and 4 where there
    is none. A service that wants a key is given LTP_API_KEY.
    """
    if direct and url:
        raise click.UsageError("--direct asks no service, so it takes no --url")
    found = list(_from_exchange(pairs) if direct else _from_service(environ, pairs, url))
    for each in found:
        if as_json:
            click.echo(_as_json(each))
        elif each.price is not None:
            click.echo(f"{each.pair} {each.price}")
    for reason in dict.fromkeys(each.error for each in found if each.error is not None):
        click.echo(reason, err=True)  # once, because one reason may hold for all
    click.get_current_context().exit(max(each.code for each in found))


def _from_service(environ: Mapping[str, str], pairs: Sequence[str], url: Sequence[str]) -> Iterator[Found]:
    failed: Mapping[str, PricesError] = {}
    try:
        with Prices(url_of(url, environ), api_key=key_of(environ)) as prices:
            found = prices.get_many(pairs)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except SomeUnavailable as error:
        found, failed = error.prices, error.errors
    except PricesError as error:
        found, failed = {}, dict.fromkeys(pairs, error)
    yield from map(_priced, found.values())
    for pair, each in failed.items():
        yield Found(pair, error=str(each), code=STALE if isinstance(each, PriceStale) else NONE)


def _priced(price: Price) -> Found:
    return Found(
        price.pair, price.price, price.state, price.source, price.age, price.traded_at, price.trade_id
    )


def _from_exchange(pairs: Sequence[str]) -> Iterator[Found]:
    with ltp_service.LastPrices(pairs=pairs) as prices:
        for pair in dict.fromkeys(str(read_pair(each)) for each in pairs):
            try:
                yield Found(pair, plain(prices.get_current_price(pair)))
            except errors.PriceUnavailable as error:
                code = STALE if isinstance(error, errors.PriceStale) else NONE
                yield Found(pair, error=str(error), code=code)


def _as_json(found: Found) -> str:
    return json.dumps(
        {
            "pair": found.pair,
            "price": found.price,
            "state": found.state,
            "source": found.source,
            "age_s": None if found.age is None else round(found.age, 3),
            "traded_at": None if found.traded_at is None else found.traded_at.isoformat(),
            "trade_id": found.trade_id,
            "error": found.error,
        }
    )
