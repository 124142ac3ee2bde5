"""docs/adding-an-exchange.md: its blocks of code, put together and run, so that the page cannot rot."""

import json
import re
import socket
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from ltp_service.feed.messages import Answered, Traded
from ltp_service.settings.config import Config
from ltp_service.simulator import exchanges
from ltp_service.simulator.connection import Connection, Terms
from ltp_service.simulator.dialect import SpotDialect
from ltp_service.simulator.market import SpotMarket
from ltp_service.simulator.questions import Kind
from ltp_service.simulator.spot import Spot
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "adding-an-exchange.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""One block of code: the file that it belongs to, and the code."""

EXCHANGE = "ltp_service/exchanges/coinhall.py"
REGISTRY = "ltp_service/exchanges/registry.py"
ITS_TEST = "tests/exchanges/test_coinhall.py"
SIMULATED = "ltp_service/simulator/coinhall.py"
PATHS = "ltp_service/simulator/exchanges.py"


def code(file: str) -> str:
    """What the page puts into this file."""
    return "".join(text for path, text in BLOCK.findall(PAGE) if path == file)


def load(monkeypatch: pytest.MonkeyPatch, file: str, source: str, **names: object) -> ModuleType:
    """The file as a module that the others can import until the test ends."""
    module = ModuleType(file.removesuffix(".py").replace("/", "."))
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source, f"<{file.rpartition('/')[2]} of the page>", "exec"), vars(module))  # noqa: S102 - the page's own code
    return module


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the exchange, which the others on the page import."""
    return load(monkeypatch, EXCHANGE, code(EXCHANGE))


def test_every_block_of_code_names_one_of_the_five_files() -> None:
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) == PAGE.count("```python")
    assert {path for path, _ in blocks} == {EXCHANGE, REGISTRY, ITS_TEST, SIMULATED, PATHS}


@pytest.mark.usefixtures("exchange")
def test_the_tests_on_the_page_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(monkeypatch, ITS_TEST, code(ITS_TEST))
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert len(tests) == code(ITS_TEST).count("\ndef test_") > 0
    for test in tests:
        test()


def test_the_frames_on_the_page_are_read_as_it_says(exchange: Any) -> None:
    dialect = exchange.Dialect()
    frames = re.findall(r"^\| (it [\w ]+) \| `(.*)` \|$", PAGE, re.MULTILINE)
    read = {meaning: dialect.parse(frame) for meaning, frame in frames}
    assert read["it accepts"].events == (Answered(1),)
    assert read["it refuses"].events == (Answered(1, "no such symbol: NOPE"),)
    assert [type(event) for event in read["it tells trades"].events] == [Traded]
    assert read["it gives one"].kind == "pong"
    assert len(read) == 4


def test_the_registry_takes_the_two_lines(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    imported, entry = (line for line in code(REGISTRY).splitlines() if line)
    source, places = re.subn(
        r"^COLLECTORS\b.*\{$",
        lambda opening: f"{opening[0]}\n{entry}",
        (ROOT / REGISTRY).read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert places == 1
    registry: Any = load(monkeypatch, "with_coinhall.py", f"{imported}\n{source}")
    assert registry.COLLECTORS["coinhall_trades"] is exchange.CoinhallTrades
    assert registry.unknown_collectors(Config(collectors=("coinhall_trades", "bybit_trades"))) == []


class Client(Connection[SpotDialect]):
    """A client of the simulated exchange, which keeps what it is told."""

    def __init__(self, exchange: Spot, peer: socket.socket) -> None:
        super().__init__(exchange, exchange.dialect, peer, "1")
        self.told: list[str] = []
        exchange.entered(self)

    def say(self, text: str, kind: Kind = Kind.ACK, pair: str | None = None) -> None:
        self.told.append(text)


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """A socket whose other end is silent."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


def test_the_simulation_agrees(exchange: Any, peer: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated: Any = load(monkeypatch, SIMULATED, code(SIMULATED))
    market, dialect = SpotMarket("coinhall", 1), exchange.Dialect()
    hall = Spot(market, simulated.Coinhall, Terms(idle=600.0))
    theirs = hall.dialect
    client = Client(hall, peer)
    request = exchange.Request("subscribe", "trades", ("BTCUSDT",))

    theirs.receive(client, dialect.write(request, 1))
    theirs.receive(client, dialect.write(exchange.Request("subscribe", "trades", ("NOPE",)), 2))
    theirs.receive(client, dialect.ping(3))
    assert [dialect.parse(text).kind for text in client.told] == ["acknowledgement", "refusal", "pong"]

    listing = market.find("BTCUSDT")
    assert listing is not None
    event = listing.event(market.now(), 3)
    topic, texts = theirs.trades(event)
    assert topic.name in client.topics
    trades = [trade for text in texts for trade in dialect.parse(text).events]
    assert [(trade.number, str(trade.price), trade.side) for trade in trades] == [
        (told.trade_id, told.price, told.side) for told in event
    ]
    assert [json.loads(trade.raw)["ms"] / 1000 for trade in trades] == [trade.traded_at for trade in trades]

    theirs.receive(client, dialect.write(exchange.Request("unsubscribe", "trades", ("BTCUSDT",)), 4))
    assert client.topics == {}


def test_the_simulated_exchange_gets_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = load(monkeypatch, SIMULATED, code(SIMULATED))
    names = {name: value for name, value in vars(exchanges).items() if not name.startswith("__")}
    module: Any = load(monkeypatch, "with_path.py", code(PATHS), **names, coinhall=simulated)
    found = exchanges.Exchanges()
    module._add_coinhall(found, SpotMarket("coinhall", 1))  # noqa: SLF001 - as the page names it
    assert list(found.sockets) == ["/coinhall"]
    assert found.others["coinhall"].name == "coinhall"
