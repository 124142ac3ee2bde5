"""What people see on the page while something is broken, and after how many seconds."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event, Thread

from tests.drill.feed_rows import FOLLOWS, PAIR
from tests.drill.followed import DEAD
from tests.drill.looks import SERVABLE, Look, Shown, seconds
from tests.drill.row import PAIRS, Stage, row
from tests.process.stream import Stream

TOLD = 0.3
"""Seconds from a change of a state in the service to the page."""

PROMPT = 1.0
"""Seconds to what the page learns by itself: a line that is cut, a device that is offline."""

DOWN = 15.0
"""Seconds, longer than a page may take to say that it is NOT LIVE."""

ANSWERED = 10.0
"""Longest wait of the page for an answer, which it begins anew then."""

BACK = 25.0
"""Seconds within which the page has tried again and shows live prices."""

LISTED = 65.0
"""Seconds to the next look at the list of pairs, while one is missing."""

LATE = 3.0
PLACES = 5
"""Streams that one address may have: the listener's, the client's, the page's, and two more."""

WAIT = 5.0
"""Seconds that the service asks a client to wait who finds no place."""

PAGE = {"page": True, "behind_nginx": True, "elsewhere": "process/test_page_served.py"}
AWAY = {"away": True, "several_workers": True}


def _is_live(look: Look) -> bool:
    """Every price is proven."""
    states = {each.state for each in look.pairs}
    return look.line == "live" and not look.covered and states <= {"live", "quiet"}


def _all(state: str) -> Callable[[Look], bool]:
    return lambda look: set(look.states().values()) == {state}


def _one(state: str) -> Callable[[Look], bool]:
    return lambda look: look.states().get(PAIR) == state


def _is_dead(look: Look) -> bool:
    return look.is_dead and not SERVABLE.intersection(look.states().values())


def _shown(stage: Stage, wanted: Callable[[Look], bool], since: float, bound: float, what: str) -> None:
    """Checks that the page showed it within that time."""
    assert stage.window is not None
    window = stage.window
    slack = stage.tempo.of(0.0, 2.0)
    stage.until(
        lambda: window.first(wanted, since) is not None, bound + 5.0 + slack, f"the page shows {what}"
    )
    moment = window.first(wanted, since)
    if moment is not None:
        took = moment - since
        stage.check(took - stage.queued(since, moment) <= bound + slack, f"{what} after {took:.2f} s")


@contextmanager
def _broken(stage: Stage, back: float = BACK) -> Iterator[float]:
    """The fault is on inside of it; afterwards the page has to come back by itself."""
    assert stage.window is not None
    with stage.faulty():
        yield time.monotonic()
    ended = time.monotonic()
    stage.until(partial(stage.window.shows, _is_live), back, "the page shows live prices again")
    stage.remarks.append(f"live again {time.monotonic() - ended:.1f} s after it ended")


@row("page_refused", "the page: WebSocket cut and refused", **PAGE)
def refused(stage: Stage) -> None:
    with _broken(stage) as since:
        stage.simulator.fault("refuse")
        stage.simulator.cut()
        _shown(stage, _all("fallback"), since, FOLLOWS + TOLD, "fallback")
        stage.hold(stage.tempo.of(5.0, 1.0))
        stage.simulator.clear()


@row("page_frozen", "the page: WebSocket frozen, no frame comes", **PAGE)
def frozen(stage: Stage) -> None:
    with _broken(stage) as since:
        stage.simulator.fault("freeze")
        _shown(stage, _all("fallback"), since, stage.tempo.idle + FOLLOWS + TOLD, "fallback")
        stage.mute(PAIRS, since, stage.tempo.idle + FOLLOWS + TOLD)
        stage.hold(stage.tempo.of(5.0, 1.0))
        stage.simulator.clear()


@row("page_dark", "the page: REST answers 500 while the WebSocket is gone", **PAGE)
def dark(stage: Stage) -> None:
    with _broken(stage, 65.0) as since:
        stage.simulator.fault("rest_status", status=500)
        stage.simulator.fault("refuse")
        stage.simulator.cut()
        stage.dark_from = since
        _shown(stage, _all("stale"), since, stage.tempo.ttl + TOLD, "stale")
        stage.hold(stage.tempo.of(5.0, 1.0))
        stage.simulator.clear()


@row("page_halted", "the page: the exchange is in maintenance", **PAGE)
def halted(stage: Stage) -> None:
    with _broken(stage) as since:
        stage.simulator.fault("status", system="maintenance")
        _shown(stage, _all("halted"), since, TOLD, "halted")
        stage.hold(stage.tempo.of(5.0, 1.0))
        stage.simulator.clear()


@row("page_delisted", "the page: a pair is delisted", away=True, **PAGE)
def delisted(stage: Stage) -> None:
    with _broken(stage, LISTED) as since:
        stage.simulator.fault("pair_status", pair=PAIR, status="delisted")
        _shown(stage, _one("stale"), since, TOLD, "stale")
        stage.hold(stage.tempo.of(5.0, 1.0))
        stage.simulator.fault("pair_status", on=False, pair=PAIR)


@row("page_late", f"the page: data comes {LATE:g} s late", unnoticed=LATE + 1.0, **PAGE)
def late(stage: Stage) -> None:
    """The ages on the page admit it, as long as it lasts."""
    assert stage.window is not None
    with _broken(stage) as since:
        stage.simulator.fault("late_data", seconds=LATE)
        _shown(stage, _is_aged, since, 2 * LATE, f"ages of {LATE - 1:g} s and more")
        stage.hold(since + 2 * LATE - time.monotonic())
        aged = time.monotonic()
        stage.hold(stage.tempo.of(6.0, 3.0))
        young = stage.window.first(lambda look: not _is_aged(look), aged)
        stage.check(young is None, "and none less from then on" if young is None else "younger ones later")
        stage.simulator.clear()


def _is_aged(look: Look) -> bool:
    return all(_age(each) >= LATE - 1.0 for each in look.pairs)


def _age(shown: Shown) -> float:
    age = seconds(shown.age)
    return float("inf") if age is None else age


@row("page_killed", "the page: the worker is killed (SIGKILL)", several_workers=True, **PAGE)
def killed(stage: Stage) -> None:
    with _broken(stage) as since:
        os.kill(stage.service.worker_pids()[0], signal.SIGKILL)
        _shown(stage, lambda look: look.line != "live", since, PROMPT, "that its line is cut")


@row("page_stopped", f"the page: the service stopped (SIGSTOP) for {DOWN:g} s", away=True, **PAGE)
def stopped(stage: Stage) -> None:
    service = stage.service
    with (
        _broken(stage, BACK + ANSWERED) as since,
        stage.stopped(service.master_pid, *service.worker_pids()),
    ):
        stage.hold(DOWN)
        _shown(stage, _is_dead, since, DEAD, "NOT LIVE")


@row("page_502", "the page: nginx answers 502", **AWAY, **PAGE)
def gone(stage: Stage) -> None:
    with _broken(stage) as since:
        stage.service.stop()
        _shown(stage, lambda look: _is_dead(look) and "502" in look.said, since, DEAD, "NOT LIVE and 502")
        stage.hold(stage.tempo.of(5.0, 1.0))
        stage.service = stage.begin_again()


@row(
    "page_429",
    "the page: its line is cut and others take its place, so it is answered 429",
    settings={"STREAM_MAX_PER_CLIENT": str(PLACES)},
    **PAGE,
)
def crowded(stage: Stage) -> None:
    assert stage.watched is not None
    assert stage.nginx is not None
    with _broken(stage, WAIT + BACK), ExitStack() as places:
        for _ in range(PLACES - 3):
            places.enter_context(Stream(stage.nginx.port))
        places.enter_context(_next_place(stage.nginx.port))
        stage.watched.cut()
        cut = time.monotonic()
        _shown(stage, lambda look: _is_dead(look) and "429" in look.said, cut, DEAD, "NOT LIVE and 429")
        stage.hold(stage.tempo.of(5.0, 1.0))


@contextmanager
def _next_place(port: int) -> Iterator[None]:
    """Takes the next place that is free."""
    ended = Event()

    def take() -> None:
        while not ended.is_set():
            with Stream(port) as stream:
                if stream.status == 200:
                    ended.wait()
            ended.wait(0.02)

    taking = Thread(target=take, name="next place", daemon=True)
    taking.start()
    try:
        yield
    finally:
        ended.set()
        taking.join()


@row("page_offline", f"the page: its device is offline for {DOWN:g} s", **PAGE)
def offline(stage: Stage) -> None:
    assert stage.window is not None
    with _broken(stage) as since:
        stage.window.go_offline()
        _shown(stage, _is_dead, since, PROMPT, "NOT LIVE")
        stage.hold(stage.tempo.of(DOWN, 3.0))
        stage.window.go_offline(False)


@row("page_asleep", "the page: its tab is frozen for 60 s", long=True, page=True, behind_nginx=True)
def asleep(stage: Stage) -> None:
    assert stage.window is not None
    with _broken(stage):
        with stage.window.asleep():
            stage.hold(stage.tempo.of(60.0, 18.0))
            woken = time.monotonic()
        _shown(stage, _is_dead, woken, PROMPT, "NOT LIVE, once it runs again,")
