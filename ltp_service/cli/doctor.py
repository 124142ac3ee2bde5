"""ltp doctor: looks for what is wrong, one line per check."""

from collections.abc import Mapping, Sequence
from functools import partial

import click
from msgspec import json

from ltp_service.cli.checks import clock, feed, machine, own_settings, reach, rest, stores, stream
from ltp_service.cli.checks.finding import EXIT_CODES, ClockReading, Finding, Observation, broken, worst
from ltp_service.cli.checks.side_by_side import Look, run_all
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.cli.terminal import key_of, told, track
from ltp_service.client.wire import Base
from ltp_service.runtime.clock import SystemClock
from ltp_service.settings.config import Config

LONGEST_SECONDS = 27.0
"""Seconds for all checks together. The longest way that one can go takes 23."""

COLOURS = {"ok": "green", "warning": "yellow", "broken": "red"}


@click.command(epilog="Example: ltp doctor --url https://prices.example")
@click.option(
    "--url", help="The URL of a running service, as its clients reach it. Its streams are checked, too."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object: the worst level, and each check."
)
@click.pass_obj
def command(environ: Mapping[str, str], url: str | None, as_json: bool) -> None:
    """Look for what is wrong, and say what to do about it.

    A line has the verdict, the check, what was seen, and after -> the remedy. The command asks only the addresses that
    the settings name, and writes nothing. The exit code is 0 when all is well, 1 with warnings, and 2 when something is
    broken.
    """
    config, findings = own_settings.look(environ)
    looks = _looks(config, environ, url)
    with track("checking", len(looks)) as done:
        findings += _settle(config, run_all(looks, LONGEST_SECONDS, done))
    if as_json:
        report = {"level": worst(findings), "checks": [each._asdict() for each in findings]}
        click.echo(json.format(json.encode(report), indent=2))
    else:
        _print(findings, coloured=False if environ.get("NO_COLOR") else None)
    click.get_current_context().exit(EXIT_CODES[worst(findings)])


def _looks(config: Config | None, environ: Mapping[str, str], url: str | None) -> dict[str, Look]:
    """What is looked at, by its name in a line that says that it hangs."""
    looks: dict[str, Look] = {}
    if config is not None:
        world = Surroundings(config, environ)
        feeds = list(feed.feeds(config))
        further = {"bitstamp REST": config.bitstamp_rest_url} if "bitstamp" in config.price_sources else {}
        urls = [each.url for each in feeds] + [config.kraken_rest_url, *further.values()]
        looks["proxies"] = partial(reach.proxies, urls, environ)
        looks |= {each.subject: partial(feed.look, each, world) for each in feeds}
        looks[rest.SUBJECT] = partial(rest.look, world)
        looks |= {name: partial(_reached, name, address, world) for name, address in further.items()}
        looks |= {
            "redis": partial(stores.redis, world),
            "database": partial(stores.database, world),
            "history": partial(stores.history, world),
            "disk": partial(stores.disks, world),
            "port": partial(machine.port, world),
            "open files": partial(machine.open_files, world),
        }
    if url is not None:
        looks["stream"] = partial(stream.look, _checked(url), key_of(environ), SystemClock())
    return looks


def _reached(subject: str, url: str, world: Surroundings) -> list[Finding]:
    findings, _ = reach.reach(subject, url, world, essential=False)
    return findings


def _checked(url: str) -> str:
    try:
        return Base.read(url).url
    except ValueError as error:
        raise click.UsageError(told(error)) from error


def _settle(config: Config | None, seen: Sequence[Observation]) -> list[Finding]:
    """The lines of what was seen, and the one on the clock."""
    if config is None:
        remedy = "correct the settings first: they name what is to be looked at"
        return [*_lines(seen), broken("all else", "not looked at", remedy)]
    readings = [each for each in seen if isinstance(each, ClockReading)]
    return [*_lines(seen), *clock.judge(readings)]


def _lines(seen: Sequence[Observation]) -> list[Finding]:
    return [each for each in seen if isinstance(each, Finding)]


def _print(findings: Sequence[Finding], *, coloured: bool | None) -> None:
    """`coloured` None means that it is for the terminal to decide."""
    width = max(len(each.check) for each in findings)
    for each in findings:
        verdict = click.style(f"{each.level:<7}", fg=COLOURS[each.level])
        remedy = f" -> {each.remedy}" if each.remedy else ""
        click.echo(f"{verdict}  {each.check:<{width}}  {each.seen}{remedy}", color=coloured)
