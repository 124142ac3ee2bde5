"""ltp_service.feed.requests"""

from ltp_service.feed.contract import Terms
from ltp_service.feed.messages import Parsed, Request
from ltp_service.feed.requests import MAX_UNANSWERED, REST_SECONDS, Requests
from ltp_service.feed.subscriptions import Subscriptions
from tests.fakes import FakeClock, ScriptedConnection


class Plain:
    """A dialect that writes down what it is asked to say."""

    def write(self, request: Request, request_id: int) -> str:
        return f"{request_id} {request.verb} {' '.join(request.symbols)}"

    def ping(self, request_id: int) -> str:
        return f"{request_id} ping"

    def parse(self, frame: str) -> Parsed:
        raise NotImplementedError


class Asked:
    """Requests for one channel of symbols, and the connection that they are said on."""

    def __init__(
        self, symbols: str = "", symbols_each: int | None = None, per_second: int | None = None
    ) -> None:
        terms = Terms(symbols_per_request=symbols_each, messages_per_second=per_second)
        self.subscriptions = Subscriptions(symbols, ["trade"])
        self.requests = Requests(Plain(), self.subscriptions, terms)
        self.connection = ScriptedConnection(FakeClock())
        self.requests.begin()

    def said(self, now: float = 0.0) -> list[str]:
        before = len(self.connection.sent)
        self.requests.send(self.connection, now)
        return self.connection.sent[before:]


def test_unanswered_requests_take_a_bounded_place() -> None:
    asked = Asked("A")
    for _ in range(MAX_UNANSWERED):
        asked.requests.subscribe("B")
    asked.said()

    assert asked.requests.answered(1) is None
    assert asked.requests.answered(2) is not None


def test_requests_are_cut_to_the_size_that_the_exchange_takes() -> None:
    asked = Asked("ABC", symbols_each=2)
    asked.requests.unsubscribe([])
    asked.requests.halve(Request("unsubscribe", "trade", ("D", "E", "F")))

    assert asked.said() == ["1 subscribe A B", "2 subscribe C", "3 unsubscribe D E", "4 unsubscribe F"]
    assert asked.said() == []


def test_without_a_limit_all_symbols_go_into_one_request() -> None:
    assert Asked("ABC").said() == ["1 subscribe A B C"]


def test_what_waits_for_its_turn_is_not_asked_a_second_time() -> None:
    asked = Asked("ABC", symbols_each=1, per_second=1)
    assert asked.said() == ["1 subscribe A"]
    asked.requests.renew("ABC")
    asked.requests.renew("ABC")

    assert [asked.said(2.0 * turn) for turn in range(1, 5)] == [
        ["2 subscribe B"],
        ["3 subscribe C"],
        ["4 subscribe A"],
        [],
    ]


def test_the_budget_holds_over_every_second_for_pings_too() -> None:
    asked = Asked("ABC", symbols_each=1, per_second=2)
    moments = (0.0, 0.5, 0.9, 1.0, 1.01, 1.4, 1.51, 3.0)

    assert [len(asked.said(at)) for at in moments] == [2, 0, 0, 0, 1, 0, 0, 0]
    assert [asked.requests.ping(asked.connection, at) for at in (3.0, 3.5, 4.0, 4.01)] == [
        *(True, True, False, True)
    ]


def test_an_answer_finds_its_request_by_id_or_else_the_oldest() -> None:
    asked = Asked("ABC", symbols_each=1)
    asked.said()
    found = [asked.requests.answered(request_id) for request_id in (2, 2, None, None, None)]

    assert [request and request.symbols for request in found] == [("B",), None, ("A",), ("C",), None]


def test_a_new_connection_forgets_what_was_under_way_and_asks_for_everything_again() -> None:
    asked = Asked("AB", symbols_each=1, per_second=1)
    assert asked.said() == ["1 subscribe A"]
    asked.requests.begin()

    assert asked.requests.answered(None) is None
    assert asked.said() == ["2 subscribe A"]


def test_after_too_many_messages_there_is_silence_and_then_the_refused_request_again() -> None:
    asked = Asked("AB", symbols_each=1)
    asked.said(0.0)
    asked.requests.rest(asked.requests.answered(1), now=1.0)

    assert asked.said(0.9 + REST_SECONDS) == []
    assert asked.said(1.0 + REST_SECONDS) == ["3 subscribe A"]


def test_symbols_that_are_refused_one_by_one_are_asked_for_together_and_once() -> None:
    asked = Asked("ABC", symbols_each=2)
    asked.subscriptions.begin(0.0)
    asked.said()
    for symbol, channel, request_id in (
        ("A", None, 1),
        ("A", "trade", None),
        ("C", None, 2),
        ("B", None, None),
    ):
        asked.requests.ask_again(symbol, channel, request_id)

    assert asked.said() == ["3 subscribe A C", "4 subscribe B"]


def test_what_stands_or_is_not_wanted_any_more_is_not_asked_for_again() -> None:
    asked = Asked("ABC")
    asked.subscriptions.begin(0.0)
    asked.requests.unsubscribe("AD")
    assert asked.said() == ["1 subscribe A B C", "2 unsubscribe A D"]
    asked.subscriptions.acknowledge("trade", "B", 0.0)
    for symbol, request_id in (("B", 1), ("D", 1), ("A", 2), ("D", 2)):
        asked.requests.ask_again(symbol, None, request_id)

    assert asked.said() == ["3 unsubscribe D"]
    assert asked.requests.answered(1) is not None
