"""The exchanges' feeds, from the name of the host to the first frame of each subscription."""

import re
import ssl
from collections.abc import Iterator
from socket import socket
from threading import Event

from ltp_service.cli.checks import rehearsal
from ltp_service.cli.checks.certificates import judge_failure, judge_life
from ltp_service.cli.checks.finding import Finding, Observation, ok, wrong
from ltp_service.cli.checks.reach import reach
from ltp_service.cli.checks.rehearsal import Feed, Rehearsal
from ltp_service.cli.checks.surroundings import Surroundings
from ltp_service.collected.kraken_tape import EXCHANGE as KRAKEN
from ltp_service.domain.errors import ExchangeError
from ltp_service.exchanges import kraken_v1, kraken_v2
from ltp_service.exchanges.kraken import CHANNELS, is_v2
from ltp_service.exchanges.registry import SOURCES, collector_of
from ltp_service.feed.contract import Terms
from ltp_service.feed.dialing import Dialer, Step
from ltp_service.feed.trades import TradeCollector
from ltp_service.settings.config import Config

OPEN_SECONDS = 6.0
"""Seconds for connection, TLS and handshake of a host that takes connections."""

_STATUS = re.compile(r"HTTP (\d{3})")

_REMEDIES: dict[Step, str] = {
    "name": "is the name right, and does this machine reach a name server (/etc/resolv.conf)?",
    "connection": "does the firewall let this machine out?",
    "proxy": "is that proxy the right one, and may it reach this host?",
    "tls": "does something on the way hold back large packets (MTU), or speak something else than TLS at this port?",
    "handshake": "is the URL that of a WebSocket? What stands between must pass on `Upgrade`",
}

_STATUS_REMEDIES = {
    "401": "does something on the way want a password?",
    "403": "the exchange's edge refuses this address: use another network, and do not connect again at once",
    "404": "correct the path of the URL",
    "429": "find what else on this address connects so often; the service waits by itself",
    "451": "the exchange does not serve this place: run the service elsewhere, or take the collector out of COLLECTORS",
}


def feeds(config: Config) -> Iterator[Feed]:
    """Every feed that the settings switch on."""
    if config.kraken_websocket_enabled:
        yield _kraken(config)
    for source in config.price_sources:
        if source in SOURCES:
            yield _source(config, source)
    for name in config.collectors:
        kind = collector_of(name, config)
        pairs = tuple(map(str, config.pairs_to_try))
        yield Feed(
            name,
            str(getattr(config, f"{kind.exchange}_websocket_url", kind.url)),
            kind.dialect,
            (kind.channel,),
            pairs if kind.exchange == KRAKEN else config.symbols,
            kind.terms,
            "either",
            () if issubclass(kind, TradeCollector) else (kind.channel,),
            essential=False,
        )


def _kraken(config: Config) -> Feed:
    dialect = kraken_v2 if is_v2(config) else kraken_v1
    symbols = [dialect.symbol_of(pair) for pair in config.pairs_to_try]
    # A trade channel of protocol v1 tells nothing before the next trade (recorded).
    at_once = CHANNELS if dialect is kraken_v2 else ("ticker",)
    url = config.kraken_websocket_url
    return Feed("kraken", url, dialect, CHANNELS, symbols, Terms(), "both", at_once, essential=True)


def _source(config: Config, name: str) -> Feed:
    kind = SOURCES[name]
    return Feed(
        name,
        str(getattr(config, f"{name}_websocket_url")),
        kind.dialect,
        kind.channels,
        [kind.symbol_of(pair) for pair in config.pairs_to_try],
        kind.terms,
        kind.proof,
        kind.channels[:1] if kind.proof == "both" else (),
        essential=False,
        may_lack_symbols=True,
    )


def look(feed: Feed, world: Surroundings) -> Iterator[Observation]:
    """Checks the way to the feed, and listens where the way is open."""
    findings, way = reach(feed.subject, feed.url, world, essential=feed.essential)
    yield from findings
    if not way.is_open:
        return
    dialer = _Dialer(
        feed.url,
        timeout=OPEN_SECONDS,
        trust=world.trust,
        resolve=lambda *_: way.addresses,
        environ=world.environ,
    )
    rehearsed = Rehearsal(feed, dialer, world.clock)
    try:
        heard = rehearsed.listen(Event())
    except ExchangeError as error:
        yield from _certified(feed, dialer, world.clock.wall())
        yield _not_opened(feed, dialer.step, error)
        return
    yield from _certified(feed, dialer, world.clock.wall())
    yield ok(f"{feed.subject}: handshake", f"open after {1000 * rehearsed.opened_after:.0f} ms")
    yield from rehearsal.judge(feed, heard)
    if rehearsed.reading is not None:
        yield rehearsed.reading


class _Dialer(Dialer):
    """Remembers the certificate that it believed."""

    good_until: float | None = None
    """Unix seconds; None where no WebSocket was opened over TLS."""

    def dial(self, stop: Event) -> tuple[socket, bytes]:
        opened, received = super().dial(stop)
        if isinstance(opened, ssl.SSLSocket) and (certificate := opened.getpeercert()):
            self.good_until = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        return opened, received


def _certified(feed: Feed, dialer: _Dialer, now: float) -> Iterator[Finding]:
    """The line on a certificate that was believed; none without TLS."""
    check = f"{feed.subject}: TLS"
    if dialer.good_until is not None:
        yield judge_life(check, dialer.good_until - now)
    elif dialer.step == "handshake" and feed.url.startswith("wss:"):
        yield ok(check, "certificate believed")


def _not_opened(feed: Feed, step: Step, error: ExchangeError) -> Finding:
    seen = str(error).removeprefix(f"{feed.url}: ").removeprefix(f"{feed.url} ")
    if step == "tls" and error.reason == "tls":
        return judge_failure(f"{feed.subject}: TLS", seen, essential=feed.essential)
    check = f"{feed.subject}: {'TLS' if step == 'tls' else step}"
    remedy = _REMEDIES[step]
    if status := _STATUS.search(seen):
        failing = "the exchange or what stands before it is failing: see its status page; the service tries again by itself"
        remedy = _STATUS_REMEDIES.get(status[1], failing if status[1] >= "500" else remedy)
    if error.reason == "proxy":  # its text has the remedy
        seen, _, remedy = seen.partition(": ")
    if step == "handshake" and error.reason == "closed":
        remedy = "the exchange, or what stands before it, takes no connection now: see its status page"
    if error.retry_after is not None:
        seen = f"{seen}, to be left alone for {error.retry_after:.0f} s"
    return wrong(check, seen, remedy, essential=feed.essential)
