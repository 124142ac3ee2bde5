"""What every test may ask for, and the rule that nothing is skipped unseen."""

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT.parent / "shared" / "recorded"


@pytest.fixture
def recorded() -> Callable[[str], Path]:
    """Gives the file of a recorded exchange session by its path below the recordings' folder.

    Skips the test where the recordings are not at hand: they are too large to travel with the project.
    """

    def find(path: str) -> Path:
        file = RECORDED / path
        if not file.exists():
            pytest.skip(f"no recorded session {path}: put the recordings into ../shared/recorded")
        return file

    return find


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a test that skips itself has failed, for the reason it gave."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI=true forbids: {_reason(report)}"
    return report


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
