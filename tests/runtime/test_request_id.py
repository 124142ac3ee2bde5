import re
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Thread

import pytest

from ltp_service.runtime.request_id import RequestIds, current_request_id, trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def worker(seed: int = 1) -> RequestIds:
    return RequestIds(lambda count: bytes([seed]) * count)


@pytest.mark.parametrize("given", ["12345678", "A.b_c-D9", "x" * 64, TRACE])
def test_a_clean_id_of_the_client_is_kept(given: str) -> None:
    assert worker().accept(given) == given


@pytest.mark.parametrize(
    "given",
    [
        *(None, "", "1234567", "x" * 65, "x" * 1_000_000, "12345678\n", "12345678\r\nX-Evil: 1", "1234 5678"),
        *("12345678,12345678", "12345678\0", "\x1b[31mred12345", '"12345678"', "{12345678}", "\uff11" * 8),
    ],
)
def test_any_other_id_is_replaced(given: str | None) -> None:
    made = worker().accept(given)
    assert made != given
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", made)


def test_a_made_id_is_one_that_would_be_accepted_from_a_client() -> None:
    made = worker().accept(None)
    assert worker(2).accept(made) == made


def test_no_id_is_made_twice() -> None:
    ids = worker()
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(ids.accept, [None] * 4000))
    assert len(set(made)) == 4000


def test_two_workers_never_make_the_same_id() -> None:
    one, other = worker(1), worker(2)
    assert {one.accept(None) for _ in range(100)}.isdisjoint(other.accept(None) for _ in range(100))


def test_the_trace_of_a_valid_traceparent_is_known() -> None:
    assert trace_id(f"00-{TRACE}-{PARENT}-01") == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        *(None, "", "garbage", f"01-{TRACE}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}"),
        *(f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01"),
        *(f"00-{TRACE[1:]}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE}-{PARENT}-01\n"),
        f" 00-{TRACE}-{PARENT}-01",
    ],
)
def test_any_other_traceparent_is_no_trace(traceparent: str | None) -> None:
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
