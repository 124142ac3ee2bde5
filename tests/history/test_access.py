"""Questions to the history, and where they cannot be answered."""

from typing import Any

import pytest

from ltp_service.history.access import History
from ltp_service.history.contract import HistoryStore
from ltp_service.runtime.spawn import NativeThread
from tests.fakes import BTC
from tests.history.fakes import FULL_DISK, FakeStore

RECORDER: Any = object()


def history(machine: str | None = None, *, is_shared: bool = False) -> History:
    return History(FakeStore(), NativeThread("reader"), RECORDER, lambda: machine, is_shared=is_shared)


def test_a_question_is_asked_of_the_store_and_its_error_is_raised() -> None:
    assert history().read(lambda store: store.coverage(BTC).runs) == ()

    def fail(_: HistoryStore) -> None:
        raise FULL_DISK

    with pytest.raises(type(FULL_DISK), match="no room"):
        history().read(fail)


def test_a_file_is_on_the_machine_that_feeds_the_fleet_and_a_server_everywhere() -> None:
    assert history().elsewhere() is None
    assert history("another", is_shared=True).elsewhere() is None
    told = history("another").elsewhere()
    assert told is not None
    assert "on the machine another, which feeds this fleet" in told
    assert "HISTORY_URL=postgresql://" in told


def test_without_numbered_trades_nothing_is_filled() -> None:
    assert history().runners == [RECORDER]
