"""ltp_service.feed.requests"""

from ltp_service.feed.requests import MAX_UNANSWERED, Requests


def test_unanswered_requests_take_a_bounded_place() -> None:
    requests = Requests()
    for number in range(MAX_UNANSWERED + 1):
        requests.ask("subscribe", "trade", (str(number),))
        requests.next(number, 0.0)

    assert requests.answered(0) is None
    assert requests.answered(1) is not None


def test_requests_are_cut_to_the_size_that_the_exchange_takes() -> None:
    requests = Requests(symbols_each=2)
    requests.ask("subscribe", "trade", ["A", "B", "C"])
    requests.ask("unsubscribe", "trade", [])
    requests.ask("unsubscribe", "trade", ["D", "E"], each=1)
    sent = [requests.next(number, 0.0) for number in range(1, 6)]

    assert [request.symbols for request in sent if request] == [("A", "B"), ("C",), ("D",), ("E",)]
    assert sent[-1] is None


def test_without_a_limit_all_symbols_go_into_one_request() -> None:
    requests = Requests()
    requests.ask("subscribe", "trade", ["A", "B", "C"])
    request = requests.next(1, 0.0)

    assert request is not None
    assert request.symbols == ("A", "B", "C")


def test_the_budget_holds_over_every_second() -> None:
    requests = Requests(symbols_each=1, per_second=2)
    requests.ask("subscribe", "trade", ["A", "B", "C", "D"])
    sent = [at for at in (0.0, 0.5, 0.9, 1.0, 1.01, 1.4, 1.51, 3.0) if requests.next(1, at)]

    assert sent == [0.0, 0.5, 1.01, 1.51]


def test_an_answer_finds_its_request_by_id_or_else_the_oldest() -> None:
    requests = Requests(symbols_each=1)
    requests.ask("subscribe", "trade", ["A", "B", "C"])
    first, second, third = (requests.next(number, 0.0) for number in (1, 2, 3))

    assert requests.answered(2) == second
    assert requests.answered(2) is None
    assert requests.answered(None) == first
    assert requests.answered(None) == third
    assert requests.answered(None) is None


def test_a_new_connection_forgets_what_was_under_way() -> None:
    requests = Requests(symbols_each=1, per_second=1)
    requests.ask("subscribe", "trade", ["A", "B"])
    assert requests.next(1, 0.0)
    requests.begin()

    assert requests.answered(None) is None
    assert requests.may_send(0.0)
    assert requests.next(2, 0.0) is None
