from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from threading import Thread

import pytest

from ltp_service.runtime.request_id import current_request_id, fresh_ids, is_acceptable, trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def ids(seed: int = 1) -> Iterator[str]:
    return fresh_ids(lambda count: bytes([seed]) * count)


@pytest.mark.parametrize("given", ["12345678", "A.b_c-D9", "x" * 64, TRACE])
def test_a_clean_id_of_the_client_is_kept(given: str) -> None:
    assert is_acceptable(given)


def test_any_other_id_is_not() -> None:
    for given in [
        *("", "1234567", "x" * 65, "x" * 1_000_000, "12345678\n", "12345678\r\nX-Evil: 1", "1234 5678"),
        *("12345678,12345678", "12345678\0", "\x1b[31mred12345", '"12345678"', "{12345678}", "\uff11" * 8),
    ]:
        assert not is_acceptable(given)


def test_a_made_id_is_one_that_would_be_accepted_from_a_client() -> None:
    assert is_acceptable(next(ids()))


def test_no_id_is_made_twice() -> None:
    made = ids()
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: next(made), range(4000)))) == 4000


def test_two_workers_never_make_the_same_id() -> None:
    assert set(islice(ids(1), 100)).isdisjoint(islice(ids(2), 100))


def test_the_trace_of_a_valid_traceparent_is_known() -> None:
    assert trace_id(f"00-{TRACE}-{PARENT}-01") == TRACE


def test_any_other_traceparent_is_no_trace() -> None:
    for traceparent in [
        *(None, "", "garbage", f"01-{TRACE}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}"),
        *(f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01"),
        *(f"00-{TRACE[1:]}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE}-{PARENT}-01\n"),
        f" 00-{TRACE}-{PARENT}-01",
    ]:
        assert trace_id(traceparent) is None


def test_an_id_with_a_zero_half_is_still_a_trace() -> None:
    half = "0" * 16 + TRACE[16:]
    assert trace_id(f"00-{half}-{PARENT}-00") == half


def test_the_log_sees_the_id_of_its_own_request_only() -> None:
    def elsewhere() -> None:
        seen.append(current_request_id.get())

    def in_a_request() -> None:
        current_request_id.set("12345678")
        other = Thread(target=elsewhere)
        other.start()
        other.join()
        elsewhere()

    seen: list[str | None] = []
    copy_context().run(in_a_request)
    elsewhere()
    assert seen == [None, "12345678", None]
