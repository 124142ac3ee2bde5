"""ltp_service.collectors.subscriptions"""

from ltp_service.collectors.subscriptions import DEADLINE, RETRY, RETRY_CAP, Subscriptions


def begun(*symbols: str) -> Subscriptions:
    subscriptions = Subscriptions(symbols or ("A", "B"), ("ticker", "trade"))
    subscriptions.begin(0.0)
    return subscriptions


def prove(subscriptions: Subscriptions, symbol: str, now: float = 1.0) -> None:
    subscriptions.acknowledge("ticker", symbol, now)
    subscriptions.hear(symbol)


def test_nothing_is_proven_before_a_connection() -> None:
    subscriptions = Subscriptions(("A",), ("ticker",))

    assert subscriptions.proven() == ()
    assert subscriptions.labels() == {}
    assert subscriptions.state("A") is None


def test_an_acknowledgement_alone_proves_nothing() -> None:
    subscriptions = begun()
    subscriptions.acknowledge("ticker", "A", 1.0)

    assert subscriptions.proven() == ()
    assert subscriptions.labels() == {"A": "acknowledged", "B": "asked"}


def test_data_alone_proves_nothing() -> None:
    subscriptions = begun()
    subscriptions.hear("A")

    assert subscriptions.proven() == ()


def test_acknowledged_and_heard_is_proven_for_that_symbol_alone() -> None:
    subscriptions = begun()
    prove(subscriptions, "A")

    assert subscriptions.proven() == ("A",)
    assert subscriptions.labels()["A"] == "active"


def test_a_new_connection_has_to_prove_everything_again() -> None:
    subscriptions = begun()
    prove(subscriptions, "A")
    subscriptions.end()
    assert subscriptions.proven() == ()
    subscriptions.begin(5.0)
    assert subscriptions.proven() == ()


def test_a_missing_acknowledgement_is_asked_for_again_after_the_deadline_for_that_symbol_alone() -> None:
    subscriptions = begun()
    prove(subscriptions, "A")

    assert subscriptions.overdue(DEADLINE - 0.1) == []
    assert subscriptions.overdue(DEADLINE) == ["B"]
    assert subscriptions.overdue(DEADLINE + 0.1) == []
    assert subscriptions.overdue(2 * DEADLINE) == ["B"]


def test_a_refused_symbol_is_retried_ever_more_rarely_and_never_given_up() -> None:
    subscriptions = begun("A")
    now, waits = 0.0, []
    for _ in range(12):
        subscriptions.refuse("ticker", "A", "Currency pair not supported A", now)
        asked = now
        while not subscriptions.overdue(now):
            now += 1.0
        waits.append(now - asked)

    assert waits[:3] == [RETRY, 2 * RETRY, 4 * RETRY]
    assert waits[-1] == RETRY_CAP


def test_a_refusal_is_shown_and_takes_no_other_symbol_down() -> None:
    subscriptions = begun()
    prove(subscriptions, "A")
    subscriptions.refuse(None, "B", "no such pair", 1.0)

    assert subscriptions.proven() == ("A",)
    assert subscriptions.labels() == {"A": "active", "B": "refused: no such pair"}


def test_an_acknowledgement_ends_a_refusal_and_its_patience() -> None:
    subscriptions = begun("A")
    subscriptions.refuse(None, "A", "busy", 0.0)
    subscriptions.refuse(None, "A", "busy", 0.0)
    prove(subscriptions, "A")
    assert subscriptions.labels() == {"A": "active"}
    subscriptions.refuse(None, "A", "busy", 100.0)

    assert subscriptions.overdue(100.0 + RETRY) == ["A"]


def test_one_of_two_channels_is_enough_until_both_are_lost() -> None:
    subscriptions = begun("A")
    prove(subscriptions, "A")
    subscriptions.acknowledge("trade", "A", 1.0)
    subscriptions.lose("ticker", "A", 2.0)
    assert subscriptions.proven() == ("A",)
    subscriptions.lose("trade", "A", 2.0)
    assert subscriptions.proven() == ()
    assert subscriptions.overdue(2.0) == ["A"]


def test_a_doubted_subscription_proves_nothing_until_it_is_heard_again() -> None:
    subscriptions = begun("A")
    prove(subscriptions, "A")
    subscriptions.doubt("A", 3.0)
    assert subscriptions.proven() == ()
    assert subscriptions.labels() == {"A": "deaf"}
    assert subscriptions.overdue(3.0) == ["A"]
    subscriptions.hear("A")
    assert subscriptions.proven() == ("A",)


def test_what_was_never_asked_for_changes_nothing() -> None:
    subscriptions = begun("A")
    prove(subscriptions, "X")
    subscriptions.refuse(None, "X", "no", 1.0)
    subscriptions.lose("ticker", "X", 1.0)
    subscriptions.doubt("X", 1.0)

    assert subscriptions.labels() == {"A": "asked"}
