"""The history as it is joined with the feed: what Kraken's frames become on the disk."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from ltp_service.assembly.history import open_history
from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.pairs import Pair
from ltp_service.domain.tick import REST
from ltp_service.history.rows import Coverage
from ltp_service.history.store import SqlHistory
from ltp_service.prices.doubts import Reason
from ltp_service.runtime.spawn import Rests
from ltp_service.settings.types import HistoryUrl
from tests.conftest import ROOT
from tests.exchanges.kraken_frames import BEGUN, V1, ack, row, ticker, trade, trades, v1_ack, v1_trade
from tests.fakes import BTC
from tests.history.fakes import BEGINNING
from tests.service import NOWHERE, FreshService


class Fed:
    """A service whose feed a test plays, one frame after the other."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.service = FreshService(folder, supported_pairs=[BTC], **settings)
        self.parts = self.service.services
        self.clock = self.service.clock
        assert self.parts.history is not None
        assert self.parts.prices.kraken is not None
        self.history, self.kraken = self.parts.history, self.parts.prices.kraken

    def connect(self, *frames: str, channels: Sequence[str] = ("ticker", "trade")) -> None:
        """A new connection, on which the exchange accepts these channels and then sends these frames."""
        now = self.clock.monotonic()
        self.kraken._subscriptions.begin(now)  # noqa: SLF001 - as the loop does
        self.kraken.connected(now)
        is_v2 = self.parts.prices.tape is not None
        self.hear(*(ack(each, now - BEGUN) if is_v2 else v1_ack(each) for each in channels), *frames)

    def cut(self) -> None:
        self.kraken.disconnected(self.clock.monotonic())
        self.kraken._subscriptions.end()  # noqa: SLF001

    def hear(self, *frames: str) -> None:
        self.kraken._digest(frames, self.clock.monotonic())  # noqa: SLF001

    def rest_names(self, *numbers: int) -> None:
        """REST was asked just now for the newest trades, and these are they."""
        tape = self.parts.prices.tape
        assert tape is not None
        page = [each for _, each in tape._read(snapshot(*numbers), 0.0)]  # noqa: SLF001
        self.history.recorder.take(BTC, page, self.clock.monotonic())

    def silence(self, seconds: int) -> None:
        """Heartbeats, and no trade."""
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.kraken.confirm(self.kraken._subscriptions.proven(), self.clock.monotonic())  # noqa: SLF001
            self.history.recorder.turn()

    def coverage(self, pair: Pair = BTC) -> Coverage:
        return self.history.read(lambda store: store.coverage(pair))

    def evidence(self) -> float | None:
        """Seconds after NOON until which nothing followed the last trade."""
        until = self.coverage().evidence_until
        return None if until is None else (until - BEGINNING) / 1e6

    def runs(self) -> list[tuple[int, int]]:
        return [(each.first_trade_id, each.last_trade_id) for each in self.coverage().runs]


def snapshot(*numbers: int) -> str:
    return trades(*(row("100", number, number / 1000) for number in numbers), kind="snapshot")


@pytest.fixture
def fed(tmp_path: Path) -> Fed:
    """Connected, with the trades 1 and 2."""
    made = Fed(tmp_path)
    made.connect(snapshot(1, 2))
    made.rest_names(1, 2)
    made.silence(2)
    return made


def test_silence_after_a_snapshot_that_rest_confirms_is_evidence_up_to_a_second_ago(fed: Fed) -> None:
    assert fed.runs() == [(1, 2)]
    fed.silence(8)
    assert fed.evidence() == pytest.approx(10 - 1, abs=0.1)


def test_a_live_trade_goes_on_with_the_run(fed: Fed) -> None:
    fed.hear(trade("101", 3, 2.0))
    fed.silence(3)
    assert fed.runs() == [(1, 3)]
    assert fed.evidence() == pytest.approx(5 - 1, abs=0.1)


def test_its_thread_may_rest_before_each_frame_and_each_pair_that_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(Rests, "rest", lambda _: looks.append(1))
    made = Fed(tmp_path)
    made.connect(snapshot(1, 2))
    made.silence(2)
    looks.clear()
    made.hear(*(trade("101", number, 2.0) for number in range(3, 13)))
    made.history.recorder.turn()

    assert made.runs() == [(1, 12)]
    assert len(looks) == 10 + 1


def test_its_rests_begin_anew_with_each_piece_of_work(fed: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    monkeypatch.setattr(Rests, "begin", lambda _: begun.append(1))
    fed.history.recorder.turn()
    assert begun == [1]


@pytest.mark.parametrize("reason", get_args(Reason))
def test_a_doubt_about_the_pair_ends_the_evidence_until_it_is_settled(fed: Fed, reason: Reason) -> None:
    before = fed.evidence()
    now = fed.clock.monotonic()
    fed.parts.prices.doubts.open(BTC, reason, now, fed.parts.prices.store.all()[BTC])
    fed.silence(5)
    assert fed.evidence() == before

    fed.hear(trade("101", 3, 7.0))
    fed.silence(3)
    assert fed.runs() == [(1, 3)]
    assert fed.evidence() == pytest.approx(10 - 1, abs=0.1)


def test_an_unreadable_row_is_a_hole_and_no_evidence_reaches_over_it(fed: Fed) -> None:
    before = fed.evidence()
    fed.hear(trade('"x"', 3, 2.0))
    fed.silence(5)
    assert (fed.runs(), fed.evidence()) == ([(1, 2)], before)

    fed.hear(trade("101", 4, 7.0))
    fed.silence(1)
    assert fed.runs() == [(1, 2), (4, 4)]
    assert (fed.evidence() or 10.0) >= 7.0


def test_a_trade_that_the_quarantine_holds_back_is_recorded_and_ends_the_evidence_meanwhile(fed: Fed) -> None:
    before = fed.evidence() or 0.0
    fed.hear(trade("200", 3, 2.0))
    fed.silence(1)
    assert fed.runs() == [(1, 3)]
    assert (fed.evidence() or 0.0) <= before


def test_a_cut_is_a_hole_and_its_evidence_ends_with_the_next_run(fed: Fed) -> None:
    fed.cut()
    fed.silence(3)
    fed.connect(snapshot(7, 8))
    fed.silence(1)
    assert fed.runs() == [(1, 2), (7, 8)]


def test_a_cut_in_which_nothing_was_traded_leaves_no_hole(fed: Fed) -> None:
    fed.cut()
    fed.silence(3)
    before = fed.evidence()
    fed.connect(snapshot(1, 2))
    fed.silence(2)
    assert (fed.runs(), fed.evidence()) == ([(1, 2)], before)
    fed.rest_names(1, 2)
    fed.silence(1)
    assert fed.runs() == [(1, 2)]
    assert fed.evidence() == pytest.approx(8 - 1, abs=0.1)


def test_a_trade_of_a_cut_that_the_snapshot_lacks_is_never_passed_over(fed: Fed) -> None:
    fed.cut()
    fed.silence(3)
    fed.connect(snapshot(1, 2))
    fed.rest_names(1, 2, 3)
    fed.silence(3)
    assert (fed.runs(), fed.evidence()) == ([(1, 3)], None)


def test_a_live_trade_that_goes_on_with_the_ids_proves_a_connection_as_well(fed: Fed) -> None:
    fed.cut()
    fed.silence(3)
    fed.connect(snapshot(1, 2))
    fed.hear(trade("101", 3, 5.0))
    fed.silence(3)
    assert fed.runs() == [(1, 3)]
    assert fed.evidence() == pytest.approx(8 - 1, abs=0.1)


def test_a_connection_that_tells_no_trade_gives_no_evidence_before_rest_names_the_newest(fed: Fed) -> None:
    before = fed.evidence()
    fed.cut()
    fed.connect(ticker("100", 2.0, "snapshot"))
    fed.silence(4)
    assert fed.evidence() == before
    fed.kraken.tended(fed.clock.monotonic())  # the ticker has waited for its trade
    fed.silence(1)
    assert (fed.evidence(), list(fed.history.recorder.unproven)) == (before, [BTC])
    fed.rest_names(1, 2)
    fed.silence(1)
    assert list(fed.history.recorder.unproven) == []
    assert fed.evidence() == pytest.approx(8 - 1, abs=0.1)


def test_without_the_trade_channel_there_is_no_evidence(tmp_path: Path) -> None:
    fed = Fed(tmp_path)
    fed.connect(ticker("100", 0.0, "snapshot"), channels=["ticker"])
    fed.silence(5)
    assert (fed.runs(), fed.evidence()) == ([], None)


def test_the_exchange_numbers_anew(fed: Fed) -> None:
    fed.hear(trade("100", 900, 2.0))
    fed.silence(2)
    fed.cut()
    fed.connect(trades(row("101", 1, 4.0), row("102", 2, 4.1), kind="snapshot"))
    fed.silence(1)
    assert [(each.series, each.first_trade_id) for each in fed.coverage().runs][-1] == (1, 1)


def test_protocol_v1_is_observed(tmp_path: Path) -> None:
    fed = Fed(tmp_path, kraken_websocket_url=V1)
    fed.connect(v1_trade("100.5", 0.0))
    fed.clock.advance(1.0)
    fed.hear(v1_trade("100.6", 1.0))
    fed.silence(5)

    assert fed.runs() == []
    around = fed.history.read(lambda store: store.around(BTC, BEGINNING + 3_000_000))
    assert around.observation is not None
    assert str(around.observation.price) == "100.6"
    assert fed.history.backfill is None


def test_rest_alone_is_observed_by_the_clock_of_its_answers(tmp_path: Path) -> None:
    service = FreshService(tmp_path, supported_pairs=[BTC], kraken_websocket_enabled=False)
    parts = service.services
    assert parts.history is not None
    parts.prices.rest._exchange_time.learn(BEGINNING / 1e6, service.clock.monotonic())  # noqa: SLF001
    service.trade("100.5", source=REST, happened_at=None)
    parts.history.recorder.turn()

    around = parts.history.read(lambda store: store.around(BTC, BEGINNING + 10_000_000))
    assert around.observation is not None
    assert (str(around.observation.price), around.observation.source) == ("100.5", REST)


def test_trades_that_rest_told_a_stream_are_recorded_too(fed: Fed) -> None:
    fed.hear(trade("101", 5, 2.0))
    tape = fed.parts.prices.tape
    assert tape is not None
    frame = trades(row("100", 3, 1.0), row("100", 4, 1.5))
    tape.add(BTC, [each for _, each in tape._read(frame, 0.0)])  # noqa: SLF001 - as from a page
    fed.silence(1)
    assert fed.runs() == [(1, 5)]


def test_no_moment_is_recorded_that_the_exchange_has_not_told_on_a_late_line(tmp_path: Path) -> None:
    fed = Fed(tmp_path)
    fed.kraken.connected(BEGUN)
    fed.clock.advance(8.0)
    fed.hear(ack("trade", 0.05))
    fed.history.recorder.turn()
    assert fed.history.recorder.exchange_now() == BEGINNING + 50_000


def test_without_a_url_there_is_no_history_and_the_feed_keeps_nothing_for_it(tmp_path: Path) -> None:
    parts = FreshService(tmp_path, history_url="").services
    assert parts.history is None
    assert parts.prices.tape is not None
    assert (parts.prices.tape.recorded, parts.prices.tape.record) == (None, None)
    assert "history" not in [each.name for each in parts.tasks()]


def test_recorder_and_back_fill_run_beside_the_feed(tmp_path: Path) -> None:
    names = [each.name for each in FreshService(tmp_path).services.tasks()]
    assert {"history", "backfill"} <= set(names)


def test_postgresql_is_loaded_only_where_it_is_asked_for() -> None:
    program = "import sys; import ltp_service.assembly; print('psycopg' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "False\n"


def test_a_server_is_not_connected_before_it_is_needed() -> None:
    open_history(HistoryUrl(f"postgresql://someone:hunter2@{NOWHERE}/none"))


def test_status_and_metrics_say_whether_it_works(fed: Fed, tmp_path: Path) -> None:
    told = fed.service.get("/api/v1/status").get_json()["history"]
    assert told.pop("bytes") > 0
    assert told == {
        "recording": "writing",
        "error": None,
        "waiting_trades": 0,
        "lag_s": 0.0,
        "lost_trades": 0,
        "elsewhere": None,
    }

    (tmp_path / "file").touch()
    broken = Fed(tmp_path, history_url=f"sqlite:{tmp_path}/file/history.sqlite3")
    broken.connect(snapshot(1, 2))
    broken.silence(5)
    told = broken.service.get("/api/v1/status").get_json()["history"]
    assert (told["recording"], told["waiting_trades"], told["lag_s"]) == ("failing", 2, 5.0)
    assert "HISTORY_URL" in told["error"]
    assert b"btc_ltp_history_lag_seconds 5.0" in broken.service.get("/metrics").get_data()


def test_status_says_that_old_trades_are_not_deleted_while_new_ones_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: SqlHistory, before: int) -> int:
        raise StoreUnavailable("no room")

    monkeypatch.setattr(SqlHistory, "prune", fail)
    fed = Fed(tmp_path)
    fed.connect(snapshot(1, 2))
    fed.silence(5)
    told = fed.service.get("/api/v1/status").get_json()["history"]
    assert (told["recording"], told["waiting_trades"]) == ("writing", 0)
    assert told["error"] == "trades older than HISTORY_KEEP are not deleted: no room"


def test_prices_that_need_rest_come_before_the_holes_and_no_hole_keeps_them_from_it(fed: Fed) -> None:
    fed.hear(trade("101", 5, 2.0))
    fed.silence(1)
    backfill, prices = fed.history.backfill, fed.parts.prices
    assert backfill is not None
    prices.poll._needy = {BTC: fed.clock.monotonic()}  # noqa: SLF001 - as if it were late
    assert not backfill.look()
    prices.poll._needy = {}  # noqa: SLF001
    for _ in range(20):
        backfill.look()
        fed.silence(10)
    assert not prices.rest.is_free(), "it was asked, and did not answer"
    assert prices.breaker.state() == ("closed", 0, 0.0)


@pytest.mark.parametrize(("worker_class", "most"), [("gevent", 50), ("gthread", 8)])
def test_questions_that_wait_leave_most_places_of_a_worker_to_prices(
    tmp_path: Path, worker_class: str, most: int
) -> None:
    fed = Fed(tmp_path, worker_class=worker_class)
    for _ in range(most):
        fed.history._queue_up()  # noqa: SLF001 - as callers do that wait
    with pytest.raises(StoreUnavailable, match=f"{most} questions wait"):
        fed.coverage()
