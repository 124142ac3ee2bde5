"""ltp_service.redis.relay: who tells what is new, and who listens, with a real Redis between them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from ltp_service.redis.clock import SharedClock
from ltp_service.redis.owner import Owner
from ltp_service.redis.relay import (
    LONGEST_BULLETIN_PAUSE_SECONDS,
    SHORTEST_BULLETIN_PAUSE_SECONDS,
    Follower,
    Publisher,
)
from ltp_service.redis.topic import EPOCH_KEY, Fields, FleetLine, Topic
from tests.deadline import DEADLINE
from tests.fakes import FakeClock, ScriptedStop, eventually
from tests.redis_server import RedisServer


@pytest.fixture
def server(server: RedisServer) -> RedisServer:
    server.run("SET", EPOCH_KEY, 7)
    return server


class Words(Topic):
    """Fields as they were told; `garbage` cannot be read."""

    def __init__(self, server: RedisServer, name: str = "words") -> None:
        client = server.client()
        self.clock = SharedClock(client.time, time.monotonic)
        super().__init__(name, FleetLine(client, self.clock, Event()))
        self.news: dict[str, bytes] = {}
        self.learned: dict[str, bytes] = {}
        self.losses = 0
        self.lives: list[int] = []

    def restart(self) -> None:
        raise AssertionError("no process began a tenure")

    def take_news(self) -> Fields:
        taken, self.news = self.news, {}
        return taken

    def give_back(self, fields: Fields) -> None:
        self.news = {**fields, **self.news}

    def learn(self, fields: Fields) -> None:
        if "garbage" in fields:
            raise ValueError("this is garbage")
        self.learned.update(fields)

    def owner_lives(self, epoch: int) -> None:
        self.lives.append(epoch)

    def lost(self) -> None:
        self.losses += 1

    def say(self, name: str) -> None:
        """Tells one word from another process's point of view."""
        self.clock.measure()
        self.news[name] = b"1"
        assert self.tell(7)


# The one that tells.


class Ready:
    """What a publisher is given, and what it did."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.topic = Words(server)
        self.topic.clock.measure()
        self.news = Event()
        self.epoch: int | None = 7
        self.doubts = 0
        self.now = 100.0
        self.publisher = Publisher(
            [self.topic], self.news, epoch=lambda: self.epoch, doubt=self._doubt, monotonic=lambda: self.now
        )

    def _doubt(self) -> None:
        self.doubts += 1

    def turn(self) -> None:
        """One turn of the runner, in no time."""
        stop = ScriptedStop(FakeClock())
        self.news.set()
        turns = 0

        def end_after_one() -> None:
            nonlocal turns
            turns += 1
            if turns > 1:
                stop.set()

        stop.meanwhile = end_after_one
        self.publisher.run(stop)


@pytest.fixture
def ready(server: RedisServer) -> Ready:
    return Ready(server)


def told(server: RedisServer, name: str) -> bool:
    return bool(server.run("HEXISTS", "ltp:words", name))


def test_an_owner_tells_what_is_new(ready: Ready) -> None:
    ready.topic.news["a"] = b"1"
    ready.turn()
    assert told(ready.server, "a")
    assert not ready.doubts


def test_who_owns_nothing_tells_nothing_and_keeps_it(ready: Ready) -> None:
    ready.topic.news["a"] = b"1"
    ready.epoch = None
    ready.turn()
    assert not told(ready.server, "a")
    assert "a" in ready.topic.news


def test_whose_write_was_refused_doubts_that_he_owns_anything(ready: Ready) -> None:
    ready.topic.news["a"] = b"1"
    ready.epoch = 6
    ready.turn()
    assert not told(ready.server, "a")
    assert ready.doubts == 1


def test_who_cannot_write_doubts_and_says_so(ready: Ready, caplog: pytest.LogCaptureFixture) -> None:
    ready.server.kill()
    ready.topic.news["a"] = b"1"
    ready.turn()
    assert ready.doubts == 1
    assert "a" in ready.topic.news
    assert any("what is new stays here for now" in message for message in caplog.messages)


def test_since_when_redis_takes_nothing_is_known_until_it_does_again(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, take_news = [], ready.topic.take_news

    def note() -> Fields:
        waits.append(ready.publisher.waits_since())
        return take_news()

    monkeypatch.setattr(ready.topic, "take_news", note)
    ready.topic.news["a"] = b"1"
    ready.turn()
    waits.append(ready.publisher.waits_since())
    ready.topic.news["a"] = b"2"
    ready.server.kill()
    ready.turn()
    ready.now = 101.0
    ready.turn()
    assert [*waits, ready.publisher.waits_since()] == [100.0, None, 100.0, 100.0, 100.0]
    ready.server.restart()
    ready.server.run("SET", EPOCH_KEY, 7)

    def is_taken() -> bool:
        ready.turn()
        return ready.publisher.waits_since() is None

    eventually(is_taken)


def test_news_do_not_wait_and_evidence_waits_for_a_moment_at_most(ready: Ready) -> None:
    clock = FakeClock()
    begun, news, stop = clock.monotonic(), ScriptedStop(clock), ScriptedStop(clock)
    told_at = []

    def end_after_two() -> int:
        told_at.append(clock.monotonic() - begun)
        if len(told_at) == 2:
            stop.set()
        return 7

    news.set()  # a trade, and after it nothing but evidence
    publisher = Publisher(
        [ready.topic],
        news,
        epoch=end_after_two,
        doubt=ready._doubt,  # noqa: SLF001 - as above
        monotonic=clock.monotonic,
    )
    publisher.run(stop)

    assert told_at == pytest.approx(
        [
            SHORTEST_BULLETIN_PAUSE_SECONDS,
            2 * SHORTEST_BULLETIN_PAUSE_SECONDS + LONGEST_BULLETIN_PAUSE_SECONDS,
        ]
    )


def test_a_burst_of_news_goes_out_in_few_bulletins(ready: Ready) -> None:
    subscription = ready.server.client().subscribe("ltp:words@0")
    begun = time.monotonic()
    with running(ready.publisher):
        while time.monotonic() - begun < 20 * SHORTEST_BULLETIN_PAUSE_SECONDS or not told(ready.server, "a"):
            ready.topic.news["a"] = b"1"
            ready.news.set()
    most = (time.monotonic() - begun) / SHORTEST_BULLETIN_PAUSE_SECONDS + 1
    bulletins = 0
    while subscription.receive(0.05) is not None:
        bulletins += 1
    assert 1 <= bulletins <= most


# The one that listens.


@contextmanager
def running(runner: Publisher | Follower) -> Iterator[Thread]:
    stop = Event()
    thread = threading.Thread(target=runner.run, args=(stop,), name=runner.name)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(DEADLINE)
        assert not thread.is_alive()


class Listener:
    """A follower and what it listens to."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.topic, self.second = Words(server), Words(server, "seconds")
        self.owner = Owner({"bybit_trades": lambda at: at})
        self.measured = 0
        self.asks_for_the_time = True
        client = server.client()
        clock = SharedClock(client.time, time.monotonic)
        clock.measure = self._measure  # type: ignore[method-assign]
        self.follower = Follower(FleetLine(client, clock, Event()), [self.topic, self.second], self.owner)

    def _measure(self) -> None:
        self.measured += 1
        if self.asks_for_the_time:
            self.topic.clock.measure()
            self.second.clock.measure()

    def in_step(self) -> bool:
        return self.follower.in_step()


@pytest.fixture
def listener(server: RedisServer) -> Iterator[Listener]:
    listener = Listener(server)
    with running(listener.follower):
        eventually(listener.in_step)
        yield listener


@pytest.fixture
def speaker(server: RedisServer) -> Words:
    return Words(server)


def test_what_was_told_before_one_listened_is_read_whole(server: RedisServer, speaker: Words) -> None:
    speaker.say("a")
    listener = Listener(server)
    assert not listener.in_step()
    with running(listener.follower):
        eventually(listener.in_step)
        assert listener.topic.learned == {"a": b"1"}
        assert listener.measured == 1
    assert not listener.in_step()


def test_a_process_joins_until_redis_has_told_it_everything_or_is_known_to_be_away(
    server: RedisServer, speaker: Words
) -> None:
    speaker.say("a")
    told, refused = Listener(server), Listener(server)
    assert told.follower.is_joining()
    with running(told.follower):
        eventually(lambda: not told.follower.is_joining())
        assert told.topic.learned == {"a": b"1"}
    server.kill()
    assert refused.follower.is_joining()
    with running(refused.follower):
        eventually(lambda: not refused.follower.is_joining())


def test_what_is_told_arrives_at_its_own_topic(listener: Listener, speaker: Words) -> None:
    speaker.say("a")
    Words(listener.server, "seconds").say("b")
    eventually(lambda: bool(listener.second.learned))
    assert (set(listener.topic.learned), set(listener.second.learned)) == ({"a"}, {"b"})


def test_a_bulletin_of_one_topic_shows_all_of_them_that_the_owner_lives(
    listener: Listener, speaker: Words
) -> None:
    assert not listener.second.lives  # the hash alone does not show it
    speaker.say("a")
    eventually(lambda: bool(listener.second.lives))
    assert listener.second.lives == [7]


def test_what_was_told_meanwhile_is_read_after_the_return(listener: Listener, speaker: Words) -> None:
    before = listener.topic.losses
    listener.server.kill()
    eventually(lambda: not listener.in_step())
    listener.server.restart()
    listener.server.run("SET", EPOCH_KEY, 7)
    listener.server.run("HSET", "ltp:words", "meanwhile", b"1")
    eventually(listener.in_step)
    eventually(lambda: "meanwhile" in listener.topic.learned)
    assert listener.topic.losses == before + 1
    speaker.say("later")
    eventually(lambda: "later" in listener.topic.learned)


def test_a_server_that_stands_still_is_noticed_soon_and_listened_to_when_it_goes_on(
    listener: Listener, speaker: Words, caplog: pytest.LogCaptureFixture
) -> None:
    listener.asks_for_the_time = False  # which would notice it as well
    listener.server.freeze()
    eventually(lambda: not listener.in_step())
    listener.server.thaw()
    eventually(listener.in_step)
    listener.asks_for_the_time = True
    speaker.say("a")
    eventually(lambda: "a" in listener.topic.learned)
    assert any("out of step with the fleet" in message for message in caplog.messages)


def test_a_server_that_was_replaced_is_listened_to_no_longer(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    listener.follower.follow(listener.server.address)
    assert listener.in_step()
    listener.follower.follow("127.0.0.1:1")
    eventually(lambda: "another Redis in place of" in caplog.text)
    eventually(listener.in_step)  # connected anew, as the Sentinels say at each connection


def test_a_silent_owner_ends_no_listening(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    seen = listener.measured
    eventually(
        lambda: listener.measured >= seen + 2
    )  # two seconds of silence, in which the clock was measured
    assert listener.in_step()
    assert not caplog.messages[1:]


def test_everybody_hears_once_that_nobody_feeds_the_fleet(listener: Listener, speaker: Words) -> None:
    speaker.say("a")
    eventually(lambda: bool(listener.topic.learned))
    eventually(lambda: listener.topic.losses == 1)
    speaker.say("b")
    eventually(lambda: "b" in listener.topic.learned)
    assert len(listener.owner.gaps("bybit_trades")) == 1


def test_a_bad_bulletin_is_told(listener: Listener, speaker: Words, caplog: pytest.LogCaptureFixture) -> None:
    for message in (b"", b"1.5", b"soon [7,{}]", b"1.5 [7,{}", b"1.5 [7,[]]", b"\xff [7,{}]"):
        listener.server.run("PUBLISH", "ltp:words@0", message)
    speaker.say("garbage")
    speaker.say("a")
    eventually(lambda: "a" in listener.topic.learned)
    assert len([message for message in caplog.messages if "cannot be read" in message]) == 7
    assert listener.in_step()


def test_garbage_keeps_nobody_out_of_step(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    server.run("HSET", "ltp:words", "garbage", b"1")
    listener = Listener(server)
    with running(listener.follower):
        eventually(listener.in_step)
        Words(server).say("a")
        eventually(lambda: "a" in listener.topic.learned)
    assert any("cannot be read: this is garbage" in message for message in caplog.messages)
