"""A hash in a real Redis that several clients change at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.redis.hash import CHANGE_ATTEMPTS, RedisHash, Texts
from tests.redis_server import RedisServer


def shared(server: RedisServer) -> RedisHash:
    """As another process sees it."""
    return RedisHash(server.client(), "ltp:test")


def one_more(texts: Texts) -> Texts:
    return {"count": b"%d" % (int(texts.get("count", b"0")) + 1)}


def test_what_one_process_writes_all_read(server: RedisServer) -> None:
    mine, others = shared(server), shared(server)
    assert (others.load(), others.version()) == ({}, b"")
    mine.change(lambda _: {"a": b"1", "b": b"2"})
    mine.change(lambda _: {"a": b"3"})
    assert others.load() == {"a": b"3", "b": b"2"}


def test_changes_made_at_once_are_all_kept(server: RedisServer) -> None:
    def change(_: int) -> int:
        mine, kept = shared(server), 0
        for _ in range(50):
            with suppress(
                StoreUnavailable
            ):  # on a busy machine an answer may be late: then nothing was changed
                mine.change(one_more)
                kept += 1
        return kept

    with ThreadPoolExecutor(4) as threads:
        kept = sum(threads.map(change, range(4)))
    assert kept > 50
    assert shared(server).load() == {"count": b"%d" % kept}


def test_a_change_that_others_always_forestall_gives_up_and_says_so(server: RedisServer) -> None:
    mine, others = shared(server), shared(server)
    tries = []

    def late(texts: Texts) -> Texts:
        tries.append(texts)
        others.change(one_more)
        return {"count": b"mine"}

    with pytest.raises(StoreUnavailable, match="nothing was changed"):
        mine.change(late)
    assert len(tries) == CHANGE_ATTEMPTS
    assert mine.load() == {"count": b"%d" % CHANGE_ATTEMPTS}


def test_no_new_text_is_no_change(server: RedisServer) -> None:
    mine = shared(server)
    mine.change(lambda _: {})
    assert mine.version() == b""


def test_a_version_is_never_seen_twice_even_when_all_was_lost_between(server: RedisServer) -> None:
    mine, seen = shared(server), set()
    for _ in range(3):
        for _ in range(20):
            mine.change(one_more)
            seen.add(mine.version())
        server.run("FLUSHALL")
    assert len(seen) == 60


def test_a_stalled_server_does_not_run_later_what_was_told_to_have_failed(server: RedisServer) -> None:
    mine = shared(server)
    mine.change(one_more)

    def stall(_: Texts) -> Texts:
        server.freeze()
        return {"count": b"late"}

    with pytest.raises(StoreUnavailable):
        mine.change(stall)
    server.thaw()
    assert shared(server).load() == {"count": b"1"}


def test_thousands_of_texts_are_changed_at_once(server: RedisServer) -> None:
    texts = {f"{number}": b"x" for number in range(5000)}
    shared(server).change(lambda _: texts)
    assert shared(server).load() == texts


def test_another_kind_of_value_under_the_key_is_an_error_with_its_cause(server: RedisServer) -> None:
    server.run("SET", "ltp:test", "1")
    for use in (shared(server).version, shared(server).load):
        with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
            use()
