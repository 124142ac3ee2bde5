"""ltp_service.feed.loop: the run loop, with a toy exchange that speaks in words."""

import logging
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest

from ltp_service.domain.errors import BadFrame, Rejected, Unreachable
from ltp_service.feed.connection import Connection
from ltp_service.feed.contract import Terms
from ltp_service.feed.loop import (
    ASIDE_BURST_FRAMES,
    ASIDE_TURN_SECONDS,
    ASK_AGAIN_AFTER_REFUSAL_SECONDS,
    LONGEST_TURN_SECONDS,
    SHORTEST_TURN_SECONDS,
    STABLE_AFTER_SECONDS,
    TEND_EVERY_SECONDS,
    TURNS_WITHOUT_A_PAUSE,
    WAITED_SECONDS,
    Collector,
    Handler,
)
from ltp_service.feed.messages import (
    HEARTBEAT,
    Acknowledged,
    Answered,
    Ended,
    Event,
    Invalid,
    LastTrade,
    Leaving,
    MarketChanged,
    Parsed,
    Refused,
    Request,
    Skipped,
)
from ltp_service.feed.requests import REST_SECONDS
from ltp_service.feed.subscriptions import PROOF_WITHIN_SECONDS, RETRY_REFUSED_AFTER_SECONDS, Subscriptions
from ltp_service.runtime.clock import SHORTEST_SLEEP
from tests.fakes import Script, ScriptedConnection, Step

EVENTS: dict[str, Callable[..., Event]] = {
    "ack": lambda symbol: Acknowledged("ticker", symbol),
    "end": lambda symbol: Ended("ticker", symbol),
    "no": lambda symbol: Refused("not supported", "ticker", symbol),
    "hurry": lambda symbol: Refused("Exceeded msg rate", "ticker", symbol),
    "never": lambda: Refused("slow down"),
    "trade": lambda symbol, price: LastTrade(symbol, price, Decimal(price)),
    "invalid": lambda reason, symbol=None: Invalid(reason, "cannot be", symbol),
    "status": MarketChanged,
    "answer": lambda number, error=None: Answered(int(number), error),
    "skip": Skipped,
    "leave": Leaving,
}
ERRORS: dict[str, Exception] = {
    "bad": BadFrame("bad", reason="shape"),
    "value": ValueError("not JSON"),
    "deep": RecursionError("too deep"),
}
OPEN = ["ack A", "trade A 1", "ack B", "trade B 2"]


class Words:
    """A dialect whose frames are words."""

    def write(self, request: Request, request_id: int) -> str:
        return f"{request_id} {request.verb} {request.channel} {' '.join(request.symbols)}"

    def ping(self, request_id: int) -> str:
        return f"{request_id} ping"

    def parse(self, frame: str) -> Parsed:
        word, *details = frame.split()
        if word in ERRORS:
            raise ERRORS[word]
        return Parsed(word, (EVENTS[word](*details),)) if word in EVENTS else HEARTBEAT


class Toy(Collector):
    """Remembers what it was told."""

    name = "toy"

    def __init__(self, script: Script) -> None:
        handlers: dict[type, Handler] = {LastTrade: self.take, MarketChanged: self.market_changed}
        super().__init__(Words(), Subscriptions(("A", "B"), ("ticker",)), script.equipment, handlers)
        self.taken: list[tuple[str, str]] = []
        self.confirmed: list[tuple[tuple[str, ...], float]] = []
        self.statuses: list[str] = []
        self.activations = 0
        self.seen: list[str] = []

    def take(self, trade: LastTrade, received_at: float) -> None:
        if trade.amount == 666:
            raise BadFrame("an evil number", reason="evil")
        self.taken.append((trade.symbol, trade.price))
        self._subscriptions.hear(trade.symbol)

    def confirm(self, symbols: Sequence[str], at: float) -> None:
        self.confirmed.append((tuple(symbols), at))

    def market_changed(self, change: MarketChanged, now: float) -> None:
        self.statuses.append(change.status)

    def activated(self) -> None:
        self.activations += 1

    def symbol_unusable(self, symbol: str, now: float) -> None:
        self.seen.append(f"contradicted {symbol}")


class Demanding(Toy):
    """Of an exchange that wants to be asked, and replaces its connections."""

    terms = Terms(ping_every=20.0, pong_within=10.0, symbols_per_request=1, lifetime=100.0, lifetime_jitter=0)


def again(times: int, *steps: Step) -> list[Step]:
    return list(steps) * times


def play(*connections: Sequence[Step] | Exception, kind: type[Toy] = Toy) -> tuple[Toy, Script]:
    script = Script(*connections)
    toy = kind(script)
    script.play(toy)
    return toy, script


def test_one_connection_subscribes_reads_and_takes_what_comes_in_order() -> None:
    toy, script = play([*OPEN, "trade A 3"])

    assert script.sent == ["1 subscribe ticker A B"]
    assert toy.taken == [("A", "1"), ("B", "2"), ("A", "3")]
    assert script.made[0].closed


def test_a_lost_connection_is_replaced_and_everything_is_asked_for_again() -> None:
    toy, script = play(OPEN, OPEN, OPEN)

    assert script.sent == ["1 subscribe ticker A B", "2 subscribe ticker A B", "3 subscribe ticker A B"]
    assert toy.taken == [("A", "1"), ("B", "2")] * 3
    assert toy.link().generation == 3
    assert all(connection.closed for connection in script.made)


NO_ROUTE = Unreachable("no route", reason="network")


def test_no_failure_to_connect_ends_the_feed() -> None:
    toy, script = play(*[NO_ROUTE] * 30, OPEN)

    assert toy.taken == [("A", "1"), ("B", "2")]
    assert script.meters.failures.count("network") == 30
    assert toy.link().attempts == 32


def test_the_waits_between_attempts_grow_and_are_interrupted_by_the_order_to_stop() -> None:
    _, script = play(*[NO_ROUTE] * 5)

    assert script.stop.waits == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_connections_that_bring_nothing_are_no_frames() -> None:
    toy, script = play([30.0, None], [*OPEN, 30.0, None], [30.0, None])

    assert len(script.made) == 3
    assert toy.link().last_frame_at == pytest.approx(1031.0)


def test_the_exchange_may_ask_for_a_longer_wait() -> None:
    _, script = play(Unreachable("429", reason="handshake_status", retry_after=60.0))

    assert script.stop.waits == [60.0]


@pytest.mark.parametrize("seconds", [86_400.0, 1e50, float("inf")])
def test_no_exchange_is_left_alone_for_longer_than_an_hour(seconds: float) -> None:
    _, script = play(Unreachable("429", reason="handshake_status", retry_after=seconds))

    assert script.stop.waits == [3600.0]


def test_a_connection_that_brought_data_starts_the_waits_over() -> None:
    _, script = play(*[[*OPEN, TEND_EVERY_SECONDS, None]] * 6)

    assert script.stop.waits == [1.0] * 6


def test_a_connection_that_brought_nothing_is_a_failure() -> None:
    _, script = play(*[["heartbeat"]] * 4)

    assert script.stop.waits == [1.0, 2.0, 4.0, 8.0]


def test_a_stable_connection_forgets_the_failures_before_it() -> None:
    steady: list[Step] = [*OPEN, *again(int(STABLE_AFTER_SECONDS / 5) + 2, 5.0, "heartbeat")]
    _, script = play(*[NO_ROUTE] * 4, steady, NO_ROUTE)

    assert script.stop.waits[:4] == [1.0, 2.0, 4.0, 8.0]
    assert script.stop.waits[4:] in ([1.0, 2.0], [1.0, 1.0])


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("bad", "shape"),
        ("value", "malformed"),
        ("deep", "malformed"),
        ("invalid future", "future"),
        ("trade A 666", "evil"),
        (BadFrame("bytes", reason="binary"), "binary"),
    ],
)
def test_what_cannot_be_used_is_counted_and_the_next_frame_is_taken(frame: Step, reason: str) -> None:
    toy, script = play([*OPEN, frame, "trade A 3"])

    assert script.meters.refused == {reason: 1}
    assert toy.taken == [("A", "1"), ("B", "2"), ("A", "3")]
    assert toy.link().generation == 1


def test_the_same_complaint_is_marked_so_that_the_log_holds_it_back(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ltp_service.feed.reading"):
        play([*OPEN, "bad", "bad", "value"])

    keys = [getattr(line, "once_a_minute", None) for line in caplog.records if "not used" in line.message]
    assert len(keys) == 3
    assert keys[0] == keys[1] != keys[2]
    assert None not in keys


def test_frames_are_counted_by_kind() -> None:
    _, script = play([*OPEN, "heartbeat", "heartbeat", "trade A 3"])

    assert script.meters.frames == {"ack": 2, "trade": 3, "heartbeat": 2}


def test_a_silent_connection_is_replaced_after_the_idle_timeout() -> None:
    toy, script = play([*OPEN, 9.9, "heartbeat", 9.9, None, 0.2, "trade A 99"], OPEN)

    assert "silent" in script.meters.failures
    assert ("A", "99") not in toy.taken
    assert toy.link().generation == 2


def test_heartbeats_alone_keep_a_connection() -> None:
    _, script = play([*OPEN, *again(20, 5.0, "heartbeat")])

    assert script.meters.failures == ["closed", "script_over"]


def test_an_unusable_frame_is_a_sign_of_life_too() -> None:
    bad = BadFrame("bytes", reason="binary")
    _, script = play([*OPEN, 9.0, bad, 9.0, bad, 9.0, "heartbeat"])

    assert "silent" not in script.meters.failures


def test_any_frame_confirms_what_was_acknowledged_and_heard_and_nothing_else() -> None:
    toy, script = play(
        ["ack A", "trade A 1", "ack B", TEND_EVERY_SECONDS, "heartbeat", TEND_EVERY_SECONDS, None]
    )

    assert toy.confirmed
    assert {symbols for symbols, _ in toy.confirmed} == {("A",)}
    assert toy.confirmed[-1][1] <= script.clock.monotonic() - TEND_EVERY_SECONDS


def test_silence_confirms_nothing() -> None:
    toy, _ = play([*OPEN, 1.0, "heartbeat", 3.0, None, 3.0, None])

    assert max(at for _, at in toy.confirmed) == pytest.approx(1001.0)


def test_a_missing_acknowledgement_is_asked_for_again_for_that_symbol_alone() -> None:
    _, script = play(["ack A", "trade A 1", *again(int(PROOF_WITHIN_SECONDS) + 1, 1.0, "heartbeat")])

    assert script.sent == ["1 subscribe ticker A B", "2 subscribe ticker B"]


def test_a_refused_symbol_is_retried_later_and_the_other_goes_on() -> None:
    meanwhile = again(int(RETRY_REFUSED_AFTER_SECONDS / 5) + 1, 5.0, "heartbeat")
    toy, script = play(["ack A", "trade A 1", "no B", *meanwhile, "trade A 2"])

    assert script.sent == ["1 subscribe ticker A B", "2 subscribe ticker B"]
    assert toy.taken == [("A", "1"), ("A", "2")]


def test_a_symbol_that_was_refused_for_too_many_messages_is_asked_for_again_after_the_rest() -> None:
    seen: list[tuple[dict[str, str], int]] = []

    def look() -> None:
        seen.append((toy.link().subscriptions, len(script.sent)))

    silence = again(int(REST_SECONDS / 0.5), 0.5, "heartbeat")
    script = Script(["ack A", "trade A 1", "hurry B", *silence[:-2], look, *silence[-2:], "heartbeat", look])
    toy = Toy(script)
    script.play(toy)

    assert seen[0] == ({"A": "active", "B": "asked"}, 1)
    assert script.sent == ["1 subscribe ticker A B", "2 subscribe ticker B"]


def test_a_subscription_that_the_exchange_ends_is_asked_for_again() -> None:
    _, script = play([*OPEN, 1.0, "end B", TEND_EVERY_SECONDS, "heartbeat"])

    assert script.sent == ["1 subscribe ticker A B", "2 subscribe ticker B"]


def test_a_refusal_is_shown_to_whoever_asks_about_the_link() -> None:
    script = Script()
    toy = Toy(script)
    seen: list[dict[str, str]] = []
    errors: list[str | None] = []

    def look() -> None:
        seen.append(toy.link().subscriptions)
        errors.append(toy.link().last_error)

    script = Script(["ack A", "trade A 1", "no B", look, "never", look])
    toy = Toy(script)
    script.play(toy)

    assert seen[0] == {"A": "active", "B": "refused: not supported"}
    assert errors == ["not supported", "slow down"]


def test_the_states_follow_the_connection_from_stopped_to_stopped() -> None:
    states: list[str] = []

    def look() -> None:
        states.append(toy.link().state)

    script = Script([look, *OPEN, TEND_EVERY_SECONDS, "heartbeat", look])
    toy = Toy(script)
    before = toy.link()
    script.play(toy)

    assert (before.state, before.connected, before.generation) == ("stopped", False, 0)
    assert states == ["subscribing", "active"]
    assert toy.link().state == "stopped"
    assert not toy.link().connected


def test_being_active_is_told_once_per_connection() -> None:
    toy, _ = play([*OPEN, 1.0, "heartbeat", 1.0, "heartbeat"], [*OPEN, 1.0, "heartbeat"])

    assert toy.activations == 2


def test_the_exchanges_status_is_passed_on() -> None:
    toy, _ = play(["status maintenance", *OPEN, "status online"])

    assert toy.statuses == ["maintenance", "online"]


def test_a_flood_gives_way_to_others_after_its_turn_and_not_at_every_frame() -> None:
    _, script = play([*OPEN, *again(100, "trade A 3", "trade A 4", SHORTEST_TURN_SECONDS / 10)])

    assert set(script.sleeps) == {SHORTEST_SLEEP}
    assert 8 <= len(script.sleeps) <= 15


def test_after_others_had_a_long_turn_the_flood_gets_one_as_long() -> None:
    flood = again(100, "trade A 3", SHORTEST_TURN_SECONDS / 10)
    _, script = play([*OPEN, "trade A 2", LONGEST_TURN_SECONDS, *flood])

    assert 5 <= len(script.sleeps) <= 9


def test_a_feed_that_stands_aside_gives_way_after_a_short_turn_whatever_others_had() -> None:
    class Aside(Toy):
        longest_turn, burst = ASIDE_TURN_SECONDS, ASIDE_BURST_FRAMES

    pause = SHORTEST_TURN_SECONDS / 10
    steps: list[Step] = [*OPEN, "trade A 2", LONGEST_TURN_SECONDS, *again(100, "trade A 3", pause)]
    _, script = play(steps, kind=Aside)

    assert 100 * pause / (ASIDE_TURN_SECONDS + pause) - 1 <= len(script.sleeps) <= 100


def test_of_one_read_no_more_frames_are_taken_in_one_go_than_a_burst_has() -> None:
    taken: list[int] = []

    class Aside(Toy):
        burst = 50

    script = Script()
    toy = Aside(script)

    class Counting(ScriptedConnection):
        def receive(self, at_most: int) -> list[str]:
            received = super().receive(at_most)
            taken.append(len(received))
            return received

    def connect(_stop: threading.Event) -> Connection:
        return Counting(script.clock, [[f"trade A {number}" for number in range(1, 121)]])

    toy._connect = connect  # noqa: SLF001 - what is read in one go is seen at the connection alone
    toy._attempt(script.stop)  # noqa: SLF001

    assert max(taken) == 50


def test_a_flood_gives_way_though_it_looks_as_if_each_frame_was_waited_for() -> None:
    _, script = play([*OPEN, *again(100, "trade A 3", 2 * WAITED_SECONDS)])
    turns = 100 * 2 * WAITED_SECONDS / (TURNS_WITHOUT_A_PAUSE * LONGEST_TURN_SECONDS)

    assert 5 <= len(script.sleeps) <= turns + 1


def test_the_order_to_stop_ends_the_loop_between_two_frames_and_closes_the_connection() -> None:
    def stop() -> None:
        script.stop.set()

    script = Script([*OPEN, stop, "trade A 99"])
    toy = Toy(script)
    script.play(toy)

    assert ("A", "99") not in toy.taken
    assert script.made[0].closed
    assert script.stop.waits == []
    assert toy.link().state == "stopped"


def test_a_loop_that_is_told_to_stop_before_it_starts_connects_to_nothing() -> None:
    script = Script(OPEN)
    script.stop.set()
    script.play(Toy(script))

    assert script.made == []


def test_an_exchange_that_refuses_this_place_is_asked_again_rarely_and_says_why() -> None:
    seen: list[str | None] = []
    refusal = Rejected("HTTP 451: not available from this location", reason="restricted_location")
    script = Script(refusal, OPEN)
    toy = Toy(script)
    script.stop.meanwhile = lambda: seen.append(toy.link().problem)
    script.play(toy)

    assert seen == ["HTTP 451: not available from this location", None]
    assert script.clock.monotonic() >= 1000.0 + ASK_AGAIN_AFTER_REFUSAL_SECONDS


def test_an_exchange_that_wants_questions_is_asked_and_has_to_answer() -> None:
    _, script = play([*OPEN, 15.0, "heartbeat", 5.0, None, 9.0, None, 1.0, None], kind=Demanding)

    assert script.sent == ["1 subscribe ticker A", "2 subscribe ticker B", "3 ping"]
    assert script.meters.failures[0] == "silent"


def test_any_frame_answers_a_question() -> None:
    _, script = play([*OPEN, 20.0, None, 9.0, "heartbeat", 9.0, "heartbeat"], kind=Demanding)

    assert script.meters.failures[0] == "closed"


def test_a_connection_is_replaced_before_the_exchange_ends_it() -> None:
    _, script = play([*OPEN, *again(30, 5.0, "heartbeat")], kind=Demanding)

    assert script.meters.failures == ["script_over"]
    assert script.clock.monotonic() == pytest.approx(1100.0, abs=10.0)


def test_chance_makes_the_life_of_a_connection_shorter_and_never_longer() -> None:
    class Jittery(Demanding):
        terms = Terms(lifetime=100.0, lifetime_jitter=40.0)

    script = Script([*OPEN, *again(30, 5.0, "heartbeat")])
    toy = Jittery(script)
    toy._random = lambda: 0.5  # noqa: SLF001 - a share of the jitter
    script.play(toy)

    assert script.clock.monotonic() == pytest.approx(1080.0, abs=6.0)


def test_an_exchange_that_says_goodbye_is_left_at_once() -> None:
    toy, script = play([*OPEN, "leave", "trade A 99"], ["trade A 5"])

    assert ("A", "99") not in toy.taken
    assert toy.taken[-1] == ("A", "5")
    assert script.meters.failures[0] == "closed"


def test_what_is_understood_and_no_news_is_counted_by_its_kind() -> None:
    _, script = play(["skip block_trade"])

    assert script.meters.frames == {"skip": 1, "block_trade": 1}


def test_an_answer_to_a_whole_request_acknowledges_each_of_its_symbols() -> None:
    toy, _ = play(["answer 1", "trade A 1", "trade B 2", 1.0, "heartbeat", TEND_EVERY_SECONDS, None])

    assert toy.confirmed[-1][0] == ("A", "B")


def test_when_a_whole_request_is_refused_each_half_of_its_symbols_is_asked_for_alone() -> None:
    _, script = play(
        ["answer 1 bad", TEND_EVERY_SECONDS, None, "answer 3 bad", TEND_EVERY_SECONDS, "heartbeat"]
    )

    assert script.sent == ["1 subscribe ticker A B", "2 subscribe ticker A", "3 subscribe ticker B"]


def test_other_symbols_may_be_wanted_while_connected() -> None:
    def want() -> None:
        toy.want(["A", "C"])

    script = Script([*OPEN, TEND_EVERY_SECONDS, want, TEND_EVERY_SECONDS, None, "ack C", "trade C 7"], OPEN)
    toy = Toy(script)
    script.play(toy)

    assert script.sent == [
        "1 subscribe ticker A B",
        "2 unsubscribe ticker B",
        "3 subscribe ticker C",
        "4 subscribe ticker A C",
    ]
    assert ("C", "7") in toy.taken


def test_a_symbol_that_was_refused_is_not_given_back() -> None:
    def want() -> None:
        toy.want(["A"])

    script = Script(["ack A", "trade A 1", "no B", TEND_EVERY_SECONDS, want, TEND_EVERY_SECONDS, None])
    toy = Toy(script)
    script.play(toy)

    assert script.sent == ["1 subscribe ticker A B"]


def test_an_event_that_a_collector_does_not_take_is_missed_at_once() -> None:
    script = Script(["trade A 1"])
    bare = Collector(Words(), Subscriptions(("A",), ("ticker",)), script.equipment, {})
    bare.name = "bare"

    with pytest.raises(KeyError):
        script.play(bare)


@pytest.mark.parametrize("waited", ["heartbeat", BadFrame("bytes", reason="binary")], ids=["text", "no text"])
def test_a_frame_that_waited_while_the_process_stood_still_confirms_nothing(waited: Step) -> None:
    steps: list[Step] = [*OPEN, TEND_EVERY_SECONDS, waited, TEND_EVERY_SECONDS, "heartbeat", None]
    script = Script(idle_timeout=10.0)
    pause = script.clock.advance

    class Paused(ScriptedConnection):
        reads = 0

        def receive(self, at_most: int) -> list[str]:
            self.reads += 1
            if self.reads == 6:
                pause(300.0)
            return super().receive(at_most)

    def connect(_stop: threading.Event) -> Connection:
        script.made.append(Paused(script.clock, steps))
        return script.made[-1]

    toy = Toy(script)
    toy._connect = connect  # noqa: SLF001 - the pause has to happen inside a read
    toy._attempt(script.stop)  # noqa: SLF001

    assert script.meters.failures == ["stalled"]
    assert all(at < 1300.0 for _, at in toy.confirmed)


def test_a_bug_ends_the_run_and_is_told_by_the_collector_itself() -> None:
    class Broken(Exception):
        """Not one of ours."""

    def connect(_stop: threading.Event) -> Connection:
        raise Broken("Illegal key '__cf@bm'")

    script = Script()
    toy = Toy(script)
    toy._connect = connect  # noqa: SLF001 - no connection of ours raises anything but our own errors
    with pytest.raises(Broken):
        script.play(toy)

    assert (toy.link().state, toy.link().last_error) == ("error", "Broken: Illegal key '__cf@bm'")


def test_what_the_order_to_stop_interrupts_is_no_failure() -> None:
    script = Script()
    toy = Toy(script)

    def connect(stop: threading.Event) -> Connection:
        stop.set()
        raise Unreachable("told to stop", reason="stopped")

    toy._connect = connect  # noqa: SLF001 - as a dialer does while it is stopped
    script.play(toy)

    assert (toy.link().state, toy.link().last_error, script.meters.failures) == ("stopped", None, [])


def test_the_symbol_of_a_value_that_cannot_be_used_is_told() -> None:
    toy, script = play([*OPEN, "invalid shape A", "invalid shape"])

    assert script.meters.refused["shape"] == 2
    assert [seen for seen in toy.seen if seen.startswith("contradicted")] == ["contradicted A"]
