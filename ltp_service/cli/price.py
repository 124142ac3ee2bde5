"""ltp price: the last price of some pairs, for people and for scripts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

import ltp_service  # what --direct needs is loaded where it is used
from ltp_service import client
from ltp_service.cli.terminal import NONE, PAIR, STALE, key_of, told, url_of, url_option
from ltp_service.client import Price
from ltp_service.domain import errors
from ltp_service.domain.pairs import Pair


@dataclass(frozen=True)
class Found:
    """What was found out about a pair."""

    pair: str
    price: Price | None
    """None when there is no price that may be told."""
    error: Exception | None = None
    """Why there is none."""

    @property
    def code(self) -> int:
        """The exit code that this alone would have."""
        if self.error is None:
            return 0
        return STALE if self.state == "stale" else NONE

    @property
    def state(self) -> str | None:
        """The state in the words of the service; None when it is not known."""
        if self.price is not None:
            return self.price.state
        if isinstance(self.error, client.PriceStale | errors.PriceStale):
            return "stale"
        return (
            "unknown" if isinstance(self.error, client.PriceUnavailable | errors.PriceUnavailable) else None
        )

    @property
    def age(self) -> float | None:
        """Seconds since the last evidence."""
        if self.price is not None:
            return self.price.age
        return self.error.age if isinstance(self.error, client.PriceStale) else None


@click.command(epilog="Example: ltp price BTC/USD eth-usd")
@click.argument("pairs", metavar="PAIR...", nargs=-1, required=True, type=PAIR)
@url_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line, with state, age and source."
)
@click.option("--direct", is_flag=True, help="Ask the exchange itself, without a service.")
@click.pass_obj
def command(
    environ: Mapping[str, str], pairs: Sequence[Pair], url: Sequence[str], as_json: bool, direct: bool
) -> None:
    """Print the last price of each PAIR.

    A line has the pair and the price with the exchange's own digits. A price that may not be trusted now is not printed,
    and standard error says why. Standard error also names the source of a price that another exchange substitutes for
    Kraken's. The exit code is 0 when all prices may be trusted, 3 when at least one is stale, and 4 when at least one is
    missing. LTP_API_KEY is the key, where the service wants one.
    """
    if direct and url:
        raise click.UsageError("--direct asks no service, so it takes no --url")
    names = list(map(str, pairs))
    found = list(_from_exchange(names) if direct else _from_service(environ, names, url))
    for each in found:
        if as_json:
            click.echo(_as_json(each))
        elif each.price is not None:
            click.echo(f"{each.pair} {each.price.price}")
            if each.price.state == "substitute":
                click.echo(f"{each.pair}: Kraken is silent; this price is from {each.price.source}", err=True)
    for reason in dict.fromkeys(told(each.error) for each in found if each.error is not None):
        click.echo(reason, err=True)  # once, because one reason may hold for all
    click.get_current_context().exit(max(each.code for each in found))


def _from_service(environ: Mapping[str, str], pairs: Sequence[str], url: Sequence[str]) -> Iterator[Found]:
    try:
        with client.Prices(url_of(url, environ), api_key=key_of(environ)) as prices:
            yield from _found(prices.get_many(pairs), {})
    except ValueError as error:
        raise click.UsageError(told(error)) from error
    except client.SomeUnavailable as error:
        yield from _found(error.prices, error.errors)
    except client.PricesError as error:
        yield from _found({}, dict.fromkeys(pairs, error))


def _from_exchange(pairs: Sequence[str]) -> Iterator[Found]:
    try:
        with ltp_service.LastPrices(pairs) as prices:
            yield from _found(prices.get_many(), {})
    except ltp_service.SomeUnavailable as error:
        yield from _found(error.prices, error.errors)


def _found(prices: Mapping[str, Price], failed: Mapping[str, Exception]) -> Iterator[Found]:
    yield from (Found(pair, price) for pair, price in prices.items())
    yield from (Found(pair, None, error) for pair, error in failed.items())


def _as_json(found: Found) -> str:
    """One line. Where there is no price, a stale one has its state and age, and all have the error."""
    price = found.price
    fields = {
        "pair": found.pair,
        "price": price and price.price,
        "state": found.state,
        "source": price and price.source,
        "age_s": None if found.age is None else round(found.age, 3),
        "traded_at": price and price.traded_at and price.traded_at.isoformat(),
        "trade_id": price and price.trade_id,
        "error": found.error and told(found.error),
    }
    return json.dumps(fields)
