"""What every test may ask for, and the rule that nothing is skipped unseen."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

from tests.deadline import IN_FULL
from tests.postgres_server import PostgresServer, new_cluster
from tests.programs import require_program
from tests.redis_server import RedisServer
from tests.simulator.client import Simulator
from tests.steered_clock import SteeredClock

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# Everything here speaks to this machine alone. A test that means a proxy names it.
for _name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)

# A shell that runs the tests in the background lets them ignore Ctrl-C, and every program that they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT.parent / "shared" / "recorded"
NOT_AT_HAND = "the recorded sessions are not at hand"
"""The one reason to skip a test that is none to fail it in CI: no program brings them."""

settings.register_profile(
    "ours",
    deadline=None,  # how long an example takes is no promise
    max_examples=100 if IN_FULL else 30,
    derandomize=not IN_FULL,  # new examples are looked for in full alone: no gate is red by chance
    database=None,
)
settings.load_profile("ours")


SLOWEST = (
    "test_evidence last_prices/test_in_process history/test_store history/test_day cli/test_verify history/test_store_property"
    " feed/test_dialing history/test_postgres redis/test_relay history/test_packing cli/test_doctor_feed test_deploy_prometheus"
    " test_many_pairs test_drill_chance cli/test_record last_prices/test_programs feed/test_last_trades"
    " history/test_postgres_link client/test_prices cli/test_cli keys/test_sqlite page/test_modules http/test_long_polls"
    " last_prices/test_forked cli/test_doctor_rest"
).split()
"""Files that take longest beside those of tests/process, in this order: those that wait are between those that compute. The
others follow, so that no long one is left to run alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the slowest files first. The order within a file stays."""
    here = Path(__file__).resolve().parent
    places = {here / f"{name}.py": place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path, len(SLOWEST)))


def pytest_collection_finish() -> None:
    """Leaves the thousands of tests out of every later search for garbage, which would take a tenth of all processor time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture
def recorded() -> Callable[[str], Path]:
    """Gives the file of a recorded exchange session by its path below the recordings' folder.

    Skips the test where the recordings are not at hand: they are too large to travel with the project.
    """

    def find(path: str) -> Path:
        file = RECORDED / path
        if not file.exists():
            # They stay outside the project, so a clone may be without them, also where CI=true (below).
            pytest.skip(f"{NOT_AT_HAND}: no {file}")
        return file

    return find


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """The exchange of a whole file. Its counters begin with the file, and only the file's services connect to it."""
    with Simulator.start() as running:
        yield running


@pytest.fixture
def exchange(simulator: Simulator) -> Iterator[Simulator]:
    """The same without any fault that another test left."""
    simulator.clear()
    yield simulator
    simulator.clear()


@pytest.fixture
def clock() -> SteeredClock:
    """Time that only the test, or a sleep on it, makes pass."""
    return SteeredClock()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    with RedisServer.start(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Path]:
    """The files of a PostgreSQL that has not run yet."""
    with new_cluster() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres(postgres_cluster: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL that tests share, each with a database of its own. It is neither stopped nor frozen."""
    with PostgresServer.start(postgres_cluster) as running:
        yield running


@pytest.fixture
def own_postgres(postgres_cluster: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, to be stopped, frozen and killed."""
    with PostgresServer.start(postgres_cluster) as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of `localhost`, signed by itself, in one file."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        f"{require_program('openssl')} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 2"
        f" -addext subjectAltName=DNS:localhost -keyout {file} -out {file}.crt".split(),
        check=True,
        capture_output=True,
    )
    with file.open("ab") as both:
        both.write(Path(f"{file}.crt").read_bytes())
    return file


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Lets the interpreter change threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _fail_if_skipped((yield))


def _fail_if_skipped(report: Report) -> Report:
    """With CI=true what skips itself has failed, for the reason it gave; an expected failure stays one."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if NOT_AT_HAND in str(reason):
            return report
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} skipped itself, which CI=true forbids: {reason}"
    return report
