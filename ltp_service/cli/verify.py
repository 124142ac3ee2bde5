"""ltp verify: compares what a service says with the exchange's own trades."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import click

from ltp_service.cli.terminal import PAIR, Amount, key_of, told, track
from ltp_service.cli.verifying.said import Finding, Limits, moment
from ltp_service.cli.verifying.session import Outcome, Session
from ltp_service.client.settings import Settings
from ltp_service.domain.errors import LtpError
from ltp_service.exchanges.kraken_rest import KrakenRest
from ltp_service.rest.breaker import CircuitBreaker
from ltp_service.rest.http_client import HttpClient
from ltp_service.runtime.runtime import Runtime
from ltp_service.settings.config import Config, load_config
from ltp_service.version import VERSION

FOUND, NOT_JUDGED = 1, 2
"""Exit codes: something is wrong, and something could not be judged."""

LIMITS = Limits()


def _pairs(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    """The pairs of a comma list, each once; an empty result means all."""
    named = [] if text is None else text.split(",")
    return tuple(dict.fromkeys(str(PAIR.convert(each, parameter, context)) for each in named))


seconds_above_zero = Amount(0, min_open=True)


@click.command(epilog="Example: ltp verify http://localhost:8080 --seconds 300 --pairs BTC/USD,ETH/USD")
@click.argument("url")
@click.option(
    "--seconds", type=seconds_above_zero, default=60.0, show_default=True, help="How long to listen."
)
@click.option(
    "--pairs", callback=_pairs, help="Pairs to verify, separated by commas; all that are served unless given."
)
@click.option("--rest-url", help="The exchange's REST API; KRAKEN_REST_URL unless given.")
@click.option(
    "--late",
    type=seconds_above_zero,
    default=LIMITS.late,
    show_default=True,
    help="Seconds that a new price may take on its way.",
)
@click.option(
    "--rest-lag",
    type=Amount(0),
    default=LIMITS.rest_lag,
    show_default=True,
    help="Seconds by which the exchange's REST may be behind its feed.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line, the last one with the sums."
)
@click.pass_obj
def command(
    environ: Mapping[str, str],
    url: str,
    seconds: float,
    pairs: Sequence[str],
    rest_url: str | None,
    late: float,
    rest_lag: float,
    as_json: bool,
) -> None:
    """Verify what the service at URL says.

    It takes the stream and the answers for a while, compares them with the trades that the exchange's REST API tells,
    and prints each wrong, late or missing one. The exit code is 0 when nothing was found, 1 when something was found, and 2
    when the service or the exchange cannot be reached, so that not everything could be judged. LTP_API_KEY is the key,
    where the service wants one.
    """
    runtime = Runtime()
    try:
        settings = replace(Settings.read(url, key_of(environ), None), clock=runtime.clock.monotonic)
        config = load_config({**environ, "KRAKEN_REST_URL": rest_url} if rest_url else environ)
    except (ValueError, LtpError) as error:
        raise click.UsageError(told(error)) from error
    started = runtime.clock.wall() - runtime.clock.monotonic()
    found = Printed(started, as_json=as_json)
    limits = Limits(late=late, rest_lag=rest_lag)
    with track("verifying", 1.0) as progress:
        session = Session(settings, rest_of(config, runtime), pairs, limits, found.print, progress)
        outcome = session.run(seconds)
    found.sum_up(outcome)
    code = FOUND if found.count else NOT_JUDGED if outcome.reasons else 0
    click.get_current_context().exit(code)


def rest_of(config: Config, runtime: Runtime) -> KrakenRest:
    """The exchange's REST, asked as the service asks it."""
    http = HttpClient(runtime.clock, f"ltp_service/{VERSION}")
    return KrakenRest(config, http, CircuitBreaker(runtime), runtime)


class Printed:
    """What was printed."""

    def __init__(self, unix_ahead: float, *, as_json: bool) -> None:
        """`unix_ahead`: seconds to add to monotonic ones for this machine's unix time."""
        self._ahead, self._as_json = unix_ahead, as_json
        self.count = 0

    def print(self, finding: Finding) -> None:
        """One line."""
        self.count += 1
        at = moment(self._ahead + finding.at)
        if self._as_json:
            names = "moment", "finding", "pair", "said", "true"
            values = at, finding.kind, finding.pair, finding.said, finding.true
            line = json.dumps(dict(zip(names, values, strict=True)))
        else:
            line = f"{at} {finding.pair or '-'} {finding.kind}: {finding.said}; but {finding.true}"
        click.echo(line, file=sys.stdout)  # see `track`

    def sum_up(self, outcome: Outcome) -> None:
        """The last line, and on standard error what could not be judged."""
        if self._as_json:
            click.echo(json.dumps({"findings": self.count} | outcome._asdict()))
        else:
            rest = (
                "not everything could be judged"
                if outcome.reasons
                else f"{outcome.unjudged} could not be judged"
            )
            click.echo(
                f"{_number(self.count, 'finding')} in {_number(outcome.prices, 'price')} and"
                f" {_number(outcome.trades, 'trade')} of {_number(outcome.pairs, 'pair')}; {rest}"
            )
        for reason in outcome.reasons:
            click.echo(f"not judged: {reason}", err=True)


def _number(count: int, what: str) -> str:
    return f"{count} {what if count == 1 else f'{what}s'}"
