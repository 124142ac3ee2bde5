"""python -m ltp_service.simulator: a fake Kraken (WebSocket v1 and v2, REST), Bybit, Binance, Coinbase and
Bitstamp, with faults on command."""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from ltp_service.simulator import child, control, exchanges, faults
from ltp_service.simulator.control import Control
from ltp_service.simulator.exchange import Exchange
from ltp_service.simulator.kraken import Kraken
from ltp_service.simulator.market import STANDARD_PAIRS, KrakenMarket, arbitrary_pair, invented_pairs
from ltp_service.simulator.replay import Player, Recording
from ltp_service.simulator.server import Server
from ltp_service.simulator.switches import from_command_line
from ltp_service.simulator.walk import Walk

REAL = exchanges.BINANCE_TERMS
SECONDS = (
    ("clock-ahead", 0.0, "how far the exchanges' clocks are ahead; negative: behind"),
    ("heartbeat", 1.0, "between two heartbeats of Kraken, and of Coinbase"),
    ("binance-ping", REAL.ping, "between two pings of Binance to a client"),
    ("binance-pong", REAL.pong, "after which Binance drops a client without a pong"),
    ("binance-lifetime", REAL.lifetime, "after which Binance closes a connection"),
)
SWITCH_INTERVAL = 0.0005
STDOUT = 1
LOST = 74
"""Exit code: standard output cannot be written. It is EX_IOERR of sysexits.h."""

FAULTS = """\
faults: NAME, NAME=VALUE of its first argument, or NAME={JSON of all arguments}.
Each one takes "exchange" (kraken, bybit, binance, coinbase or bitstamp) too, and acts on all exchanges that have it where none is given.
Those of REST take "only", a method such as Ticker.
"""


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ltp_service.simulator",
        description=__doc__,
        epilog=FAULTS + faults.described(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 (default): any free port, printed as JSON")
    add("--seed", type=int, default=1, help="the same seed gives the same market")
    add("--pair", action="append", default=[], metavar="BASE/QUOTE", help="a further pair; repeatable")
    add("--pairs", type=int, default=0, metavar="COUNT", help="list made-up pairs up to that number in all")
    add("--walk", nargs="?", type=float, const=5.0, default=0.0, metavar="RATE", help="trade by itself")
    add("--replay", type=Path, metavar="FILE.jsonl", help="play this recorded session to each client")
    add("--speed", type=float, default=1.0, help="how many times faster the session is played, 1 to 100")
    add("--fault", action="append", default=[], metavar="NAME[=ARG]", help="on from the start; repeatable")
    for name, default, what in SECONDS:
        add(f"--{name}", type=float, default=default, metavar="SECONDS", help=f"{what}; default {default}")
    add("--protocol", choices=("v1", "v2"), default="v2", help="the URL that --run passes on")
    add("--until-stdin-closes", action="store_true", help="end when standard input does")
    run = "run COMMAND against the simulator; its exit code is ours"
    add("--hold-signals", action="store_true", help="COMMAND begins with INT and TERM blocked")
    add("--run", nargs=argparse.REMAINDER, metavar="COMMAND", help=run)
    return parser


def main() -> int:
    parser = arguments()
    options = parser.parse_args()
    for number in child.ENDING:
        signal.signal(number, lambda *_: sys.exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, child.ENDING)  # `ltp demo` holds them back up to here
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        server = build(options)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        place = error.filename or f"{options.host}:{options.port}"
        print(f"{place} cannot be used: {os.strerror(error.errno or 0)}", file=sys.stderr)
        return 1
    server.start()
    addresses = addresses_of(options.host, server.port)
    try:
        # Not by way of Python's stream, which would try again at the end.
        os.write(STDOUT, f"{json.dumps(addresses)}\n".encode())
    except OSError as error:
        if not options.run:  # else the command has them from its environment
            print(f"standard output cannot be written: {error.strerror}", file=sys.stderr)
            return LOST
    if options.run:
        # Invented trades must not get among real ones, and what is only tried out leaves nothing behind.
        with TemporaryDirectory(prefix="ltp-simulated-") as folder:
            environment = environment_of(addresses, options.protocol, options.host, folder)
            return run_child(options.run, environment, holds_signals=options.hold_signals)
    return wait_for_the_end(watch_stdin=options.until_stdin_closes)


def build(options: argparse.Namespace) -> Server:
    """The listening server. Raises ValueError for bad options, OSError when it cannot bind or read."""
    recording = Recording(options.replay) if options.replay else None
    recorded = recording.pairs() if recording else ()
    further = [arbitrary_pair(name, options.seed) for name in options.pair]
    ahead = options.clock_ahead
    clock = (lambda: time.time() + ahead) if ahead else time.time
    known = (*recorded, *STANDARD_PAIRS, *further)
    made_up = invented_pairs(options.pairs - len(known), options.seed)
    market = KrakenMarket((*known, *made_up), options.seed, clock)
    kraken = Kraken(market, options.seed, options.heartbeat)
    if recording:
        recording.rewind(market)
        kraken.player = Player(recording, kraken, options.speed)
    terms = replace(
        REAL, ping=options.binance_ping, pong=options.binance_pong, lifetime=options.binance_lifetime
    )
    built = exchanges.build(kraken, options.seed, terms, clock)
    every: list[Exchange[Any]] = [kraken, *built.others.values()]
    for text in options.fault:
        name, its = from_command_line(text)
        for exchange in every:
            exchange.switch_fault(name, True, its)
    walk = Walk(every)
    walk.set_rate(options.walk)
    routes = built.routes | {control.PREFIX: Control(kraken, built.others, walk).answer}
    return Server(built.sockets, routes, options.host, options.port)


def addresses_of(host: str, port: int) -> dict[str, str | int]:
    return {
        "port": port,
        "kraken_v1": f"ws://{host}:{port}/",
        "kraken_v2": f"ws://{host}:{port}/v2",
        "kraken_rest": f"http://{host}:{port}/0/public",
        "bybit": f"ws://{host}:{port}{exchanges.BYBIT_PATH}",
        "binance": f"ws://{host}:{port}{exchanges.BINANCE_PATH}",
        "binance_rest": f"http://{host}:{port}/api/v3",
        "coinbase": f"ws://{host}:{port}{exchanges.COINBASE_PATH}",
        "bitstamp": f"ws://{host}:{port}{exchanges.BITSTAMP_PATH}",
        "bitstamp_rest": f"http://{host}:{port}/api/v2",
        "control": f"http://{host}:{port}/control",
    }


def environment_of(addresses: dict[str, str | int], protocol: str, host: str, folder: str) -> dict[str, str]:
    """Of a command that asks these exchanges, at `host` and through no proxy.

    Its history is in `folder`, and its keys unless DATABASE_PATH says where.
    """
    without = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    direct = f"{without},{host}" if without else host
    return {
        "DATABASE_PATH": f"{folder}/ltp.sqlite3",
        **os.environ,
        "no_proxy": direct,
        "NO_PROXY": direct,
        "KRAKEN_WEBSOCKET_URL": str(addresses[f"kraken_{protocol}"]),
        "KRAKEN_REST_URL": str(addresses["kraken_rest"]),
        "BYBIT_WEBSOCKET_URL": str(addresses["bybit"]),
        "BINANCE_WEBSOCKET_URL": str(addresses["binance"]),
        "COINBASE_WEBSOCKET_URL": str(addresses["coinbase"]),
        "BITSTAMP_WEBSOCKET_URL": str(addresses["bitstamp"]),
        "BITSTAMP_REST_URL": str(addresses["bitstamp_rest"]),
        "HISTORY_URL": f"sqlite:{folder}/history.sqlite3",
    }


def run_child(command: list[str], environment: dict[str, str], *, holds_signals: bool) -> int:
    """Runs the command in its own process group and returns its exit code; INT and TERM are passed on, HUP as TERM.

    On Linux it is sent TERM when this process is killed."""
    early: list[int] = []
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: FrameType | None = None) -> None:
        if children:
            children[0].send_signal(signal.SIGTERM if number == signal.SIGHUP else number)
        else:
            early.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    starter = [sys.executable, "-I", "-S", child.__file__, str(os.getpid()), str(int(holds_signals))]
    signal.pthread_sigmask(signal.SIG_BLOCK, child.ENDING)  # the child begins with them blocked
    children.append(subprocess.Popen([*starter, *command], env=environment, process_group=0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, child.ENDING)
    for missed in early:
        pass_on(missed)
    code = children[0].wait()
    return code if code >= 0 else 128 - code


def wait_for_the_end(*, watch_stdin: bool) -> int:
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    if watch_stdin:
        threading.Thread(target=end_with_stdin, args=(end,), daemon=True).start()
    end.wait()
    return 0


def end_with_stdin(end: threading.Event) -> None:
    sys.stdin.read()
    end.set()


if __name__ == "__main__":
    sys.exit(main())
