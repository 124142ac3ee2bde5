"""Imports point down only: what each room may know, read from the source without running it."""

import ast
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "ltp_service"

ROOMS = (
    "gunicorn.conf wsgi app __main__ cli http page metrics __init__ last_prices assembly streams redis exchanges rest feed"
    " collected history keys limits prices runtime settings meters domain version client simulator"
).split()
"""From the top down: a room may import those after it. A room is a package, or a module beside it."""

APART = "simulator"
"""A program of its own. It is the last room, so it may import no other. No other room may import it either, as a misread
protocol must not agree with itself."""

CONSUMERS = "client"
"""What programs that use the service import. It may import no other room, as it must be usable without them."""

KNOW_THE_CLIENT = ("cli", "last_prices")
"""The rooms that may import it: its words are those of every program that asks for prices."""

MOST_FLOORS = 12
"""Rooms above one another, from one that imports to one that imports nothing."""

# An outside library to the rooms that may import it.
ONLY_IMPORTER = {
    "requests": "rest.http_client",
    "urllib3": "rest.http_client",
    "websocket": "feed.connection",
    "gevent": "runtime.spawn http.long_polls http.worker",
    "greenlet": "runtime.spawn",
    "gunicorn": "runtime.logs http.worker http.thread_worker http.gunicorn_once",
    "prometheus_client": "metrics",
    "prometheus_flask_exporter": "metrics",
    "redis": "redis.client",
    "sqlite3": "runtime.database history.sqlite",
    "psycopg": "history.postgres history.postgres_link",
    "websockets": APART,  # no requirement of the service
    "click": "cli",
    "duckdb": "cli.export",  # the extra `parquet`
    "rich": "cli",
}

# Pure rooms: values in, values out. They may not even see a clock, a log, a socket or a framework.
PURE = (
    "streams.event_ids streams.events streams.question streams.board domain.decimals domain.pairs domain.pair_choice domain.tick domain.trade domain.book domain.exchange_time runtime.proxies runtime.http_dates http.client_address http.headers prices.accept prices.consensus prices.doubts prices.freshness history.evidence"
    " rest.probe feed.messages feed.subscriptions feed.backoff prices.quarantine"
    " exchanges.kraken_v1 exchanges.kraken_v2 exchanges.kraken_book_frames exchanges.kraken_books exchanges.bybit exchanges.binance"
    " exchanges.coinbase exchanges.bitstamp feed.handshake"
    " history.rows history.coverage history.candles history.digits history.blocks history.sql"
    " exchanges.kraken_lag exchanges.kraken_names exchanges.kraken_tickers exchanges.kraken_rest_answers domain.exchange_clock rest.sequence history.answers"
    " http.mcp.messages http.mcp.revisions"
    " cli.verifying.said cli.verifying.tape cli.verifying.prices cli.verifying.trades cli.verifying.promises cli.verifying.answers"
    " cli.verifying.judge"
).split()
IMPURE = set("flask gevent logging psycopg redis requests socket sqlite3 threading time websocket".split())

OF_A_FLEET = "redis", "history.postgres"
"""What a process of its own never loads: it needs no Redis and no PostgreSQL, and the package of the first takes 8 MB and a
sixteenth of a second."""

WITHOUT_FLASK = "assembly", "last_prices", "cli"
"""The in-process half, and what starts the service in a process of its own: neither these rooms nor anything they load may
import Flask."""


@dataclass(frozen=True)
class Import:
    """One import: who, of what, and whether it hides in a function. Names inside the package lack its prefix."""

    module: str
    target: str
    inside: bool
    hidden: bool

    def __str__(self) -> str:
        return f"{self.module} imports {self.target}"


@cache
def statements(source: str) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Of one file, read once for all rules."""
    return list(imports_at_run_time(ast.parse(source)))


def imports_at_run_time(
    node: ast.AST, hidden: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import below the node but those that only the type checker sees; True with those in functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, hidden
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from imports_at_run_time(ast.Module(child.orelse, []), hidden)
        else:
            yield from imports_at_run_time(
                child, hidden or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            )


def targets(statement: ast.Import | ast.ImportFrom, package: str, modules: set[str]) -> Iterator[str]:
    """The modules that the statement loads, in full; `from room import module` loads the module."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    origin = resolve_name("." * statement.level + (statement.module or ""), package)
    for alias in statement.names:
        name = f"{origin}.{alias.name}"
        yield name if name in modules else origin


def source_files(root: Path) -> Iterator[tuple[str, Path]]:
    """The full module name and the file of everything that the service runs."""
    for path in sorted(root.glob(f"{PACKAGE}/**/*.py")):
        yield ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), path
    for path in (root / "wsgi.py", root / "gunicorn.conf.py"):
        if path.exists():
            yield path.stem, path


def short(name: str) -> str:
    """The module's name as the table has it."""
    return "__init__" if name == PACKAGE else name.removeprefix(f"{PACKAGE}.")


def read_imports(root: Path) -> list[Import]:
    files = dict(source_files(root))
    found = []
    for module, path in files.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for statement, hidden in statements(path.read_text()):
            for name in targets(statement, package, set(files)):
                inside = name.partition(".")[0] == PACKAGE
                found.append(Import(short(module), short(name) if inside else name, inside, hidden))
    return found


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def room_of(module: str) -> str | None:
    return next((room for room in ROOMS if within(module, room)), None)


def homeless_modules(root: Path) -> list[str]:
    return [f"{module} is in no room" for name, _ in source_files(root) if not room_of(module := short(name))]


def arrows_that_point_up(root: Path) -> list[str]:
    return [str(found) for found in read_imports(root) if found.inside and not _may_import(found)]


def _may_import(found: Import) -> bool:
    importer, imported = room_of(found.module), room_of(found.target)
    return importer in ROOMS and imported in ROOMS and ROOMS.index(importer) <= ROOMS.index(imported)


def floors(root: Path) -> int:
    """The longest way down, in rooms of the package."""
    below: dict[str, set[str]] = {}
    for found in read_imports(root):
        importer, imported = room_of(found.module), room_of(found.target)
        if found.inside and importer and imported and importer != imported:
            below.setdefault(importer, set()).add(imported)

    @cache
    def height(room: str) -> int:
        return 1 + max(map(height, below.get(room, ())), default=0)

    return max(map(height, below))


def imports_of_test_code(root: Path) -> list[str]:
    return [
        str(found)
        for found in read_imports(root)
        if found.target.partition(".")[0] in {"tests", "benchmarks"}
    ]


def libraries_in_the_wrong_room(root: Path) -> list[str]:
    return [
        str(found)
        for found in read_imports(root)
        if (rooms := ONLY_IMPORTER.get(found.target.partition(".")[0]))
        and not found.inside
        and not any(within(found.module, room) for room in rooms.split())
        and found.module != "gunicorn.conf"  # its first line patches, its hooks drop metric files
    ]


def impure_imports_of_pure_rooms(root: Path) -> list[str]:
    return [
        str(found)
        for found in read_imports(root)
        if found.module in PURE and not found.inside and found.target.partition(".")[0] in IMPURE
    ]


def pure_rooms_that_do_not_exist(root: Path) -> list[str]:
    modules = {short(name) for name, _ in source_files(root)}
    return [f"{module} is not there" for module in PURE if module not in modules]


def flask_below_the_wiring(root: Path) -> list[str]:
    imports = read_imports(root)
    seen = set[str]()
    waiting = [each for name, _ in source_files(root) if room_of(each := short(name)) in WITHOUT_FLASK]
    while waiting:
        if (module := waiting.pop()) not in seen:
            seen.add(module)
            waiting += [found.target for found in imports if found.inside and found.module == module]
    return [str(found) for found in imports if found.module in seen and within(found.target, "flask")]


def import_cycles(root: Path) -> list[str]:
    graph: dict[str, set[str]] = {}
    for found in read_imports(root):
        if found.inside:
            graph.setdefault(found.module, set()).add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def imports_hidden_in_functions(root: Path) -> list[str]:
    """Three are meant: gunicorn's hooks import after the patch, Redis and PostgreSQL are loaded where they are configured, and
    LastPrices, and what it runs, where it is used."""
    return [
        str(found)
        for found in read_imports(root)
        if found.inside
        and found.hidden
        and found.module not in ("gunicorn.conf", "__init__", "last_prices.in_process")
        and not any(within(short(found.target), each) for each in OF_A_FLEET)
    ]


def simulator_code_in_the_service(root: Path) -> list[str]:
    return [
        str(found)
        for found in read_imports(root)
        if within(found.target, APART) and not within(found.module, APART)
    ]


def imports_across_the_client(root: Path) -> list[str]:
    return [
        str(found)
        for found in read_imports(root)
        if found.inside
        and within(found.module, CONSUMERS) is not within(found.target, CONSUMERS)
        and room_of(found.module) not in KNOW_THE_CLIENT
    ]


def assert_holds(rule: Callable[[Path], list[str]]) -> None:
    offences = rule(ROOT)
    assert not offences, "\n".join(["", *offences])


def test_every_module_has_a_room() -> None:
    assert_holds(homeless_modules)


def test_imports_point_down_only() -> None:
    assert_holds(arrows_that_point_up)


def test_the_house_is_no_higher_than_it_has_to_be() -> None:
    assert floors(ROOT) <= MOST_FLOORS


def test_imports_never_go_in_circles() -> None:
    assert_holds(import_cycles)


def test_no_import_hides_in_a_function() -> None:
    assert_holds(imports_hidden_in_functions)


def test_an_outside_library_is_known_to_one_room() -> None:
    assert_holds(libraries_in_the_wrong_room)


def test_pure_rooms_see_no_clock_no_log_and_no_socket() -> None:
    assert_holds(impure_imports_of_pure_rooms)
    assert_holds(pure_rooms_that_do_not_exist)


def test_what_does_not_serve_needs_no_flask() -> None:
    assert_holds(flask_below_the_wiring)


def test_the_service_knows_no_test_code() -> None:
    assert_holds(imports_of_test_code)


def test_the_simulator_may_import_no_other_room() -> None:
    assert ROOMS[-1] == APART


def test_no_other_room_imports_the_simulator() -> None:
    assert_holds(simulator_code_in_the_service)


def test_of_the_service_only_the_command_line_imports_the_client_which_imports_none_of_it() -> None:
    assert_holds(imports_across_the_client)


@pytest.mark.parametrize(
    ("rule", "file", "line"),
    [
        (homeless_modules, "ltp_service/helpers.py", ""),
        (arrows_that_point_up, "ltp_service/domain/pairs.py", "from ltp_service.prices import quotes"),
        (arrows_that_point_up, "ltp_service/prices/memory.py", "import ltp_service.feed.loop"),
        (arrows_that_point_up, "ltp_service/feed/loop.py", "from ltp_service.rest import poll"),
        (
            arrows_that_point_up,
            "ltp_service/feed/subscriptions.py",
            "from ltp_service.exchanges.kraken import v2",
        ),
        (arrows_that_point_up, "ltp_service/prices/quotes.py", "from ltp_service import metrics"),
        (arrows_that_point_up, "ltp_service/cli/__init__.py", "def main():\n    from ltp_service import app"),
        (
            arrows_that_point_up,
            "ltp_service/settings/config.py",
            "from ltp_service.runtime.clock import Clock",
        ),
        (import_cycles, "ltp_service/domain/tick.py", "from ltp_service.domain import tick"),
        (imports_hidden_in_functions, "ltp_service/app.py", "def f():\n    from ltp_service import assembly"),
        (libraries_in_the_wrong_room, "ltp_service/exchanges/kraken_rest.py", "import requests.adapters"),
        (
            libraries_in_the_wrong_room,
            "ltp_service/http/views/status.py",
            "from prometheus_client import Gauge",
        ),
        (impure_imports_of_pure_rooms, "ltp_service/exchanges/kraken_v2.py", "import logging"),
        (impure_imports_of_pure_rooms, "ltp_service/prices/freshness.py", "from time import monotonic"),
        (flask_below_the_wiring, "ltp_service/last_prices/running.py", "from flask import Flask"),
        (
            flask_below_the_wiring,
            "ltp_service/cli/keys.py",
            "from ltp_service.http.answers import raw_response",
        ),
        (imports_of_test_code, "ltp_service/assembly/prices.py", "from tests.fakes import FakeClock"),
        (
            arrows_that_point_up,
            "ltp_service/simulator/market.py",
            "from ltp_service.domain.pairs import Pair",
        ),
        (arrows_that_point_up, "ltp_service/simulator/wire.py", "import ltp_service"),
        (imports_of_test_code, "ltp_service/simulator/wire.py", "from tests.deadline import DEADLINE"),
        (
            simulator_code_in_the_service,
            "ltp_service/cli/__init__.py",
            "from ltp_service.simulator import wire",
        ),
        (simulator_code_in_the_service, "ltp_service/domain/pairs.py", "import ltp_service.simulator.market"),
        (imports_across_the_client, "ltp_service/client/wire.py", "from ltp_service.version import VERSION"),
        (imports_across_the_client, "ltp_service/metrics/merged.py", "from ltp_service.client import Prices"),
        (libraries_in_the_wrong_room, "ltp_service/feed/dialing.py", "from websockets.frames import Opcode"),
    ],
)
def test_one_wrong_import_is_noticed(
    rule: Callable[[Path], list[str]], file: str, line: str, project: Path
) -> None:
    spoiled = project / file
    was = spoiled.read_text() if spoiled.exists() else None
    before = rule(project)
    spoiled.write_text(f"{was or ''}\n{line}\n")
    noticed = rule(project)
    if was is None:
        spoiled.unlink()
    else:
        spoiled.write_text(was)
    assert len(noticed) == len(before) + 1


def test_an_import_for_the_type_checker_only_is_no_arrow(tmp_path: Path) -> None:
    room = tmp_path / PACKAGE / "pairs.py"
    room.parent.mkdir()
    room.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ltp_service import app\n")
    assert arrows_that_point_up(tmp_path) == []


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that a test may spoil and has to mend: other tests write in the project itself at the same time."""
    to = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / PACKAGE, to / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("wsgi.py", "gunicorn.conf.py"):
        if (ROOT / file).exists():
            shutil.copy(ROOT / file, to)
    return to
