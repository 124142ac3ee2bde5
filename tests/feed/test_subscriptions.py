"""ltp_service.feed.subscriptions"""

import pytest

from ltp_service.feed.subscriptions import (
    LONGEST_RETRY_SECONDS,
    PROOF_WITHIN_SECONDS,
    RETRY_REFUSED_AFTER_SECONDS,
    Subscription,
    Subscriptions,
)


def begun(*symbols: str) -> Subscriptions:
    subscriptions = Subscriptions(symbols or ("A", "B"), ("ticker", "trade"))
    subscriptions.begin(0.0)
    return subscriptions


def prove(subscriptions: Subscriptions, symbol: str) -> None:
    subscriptions.acknowledge("ticker", symbol, 1.0)
    subscriptions.hear(symbol)


def test_nothing_is_proven_before_a_connection() -> None:
    subscriptions = Subscriptions(("A",), ("ticker",))

    assert subscriptions.proven() == ()
    assert subscriptions.labels() == {}
    assert "A" not in subscriptions.states


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
    subscriptions.acknowledge("trade", "A", 1.0)

    assert subscriptions.overdue(PROOF_WITHIN_SECONDS - 0.1) == []
    assert subscriptions.overdue(PROOF_WITHIN_SECONDS) == ["B"]
    assert subscriptions.overdue(PROOF_WITHIN_SECONDS + 0.1) == []
    assert subscriptions.overdue(2 * PROOF_WITHIN_SECONDS) == ["B"]


def test_a_channel_that_is_missing_is_asked_for_again_while_the_other_one_proves_the_symbol() -> None:
    subscriptions = begun("A")
    prove(subscriptions, "A")

    assert subscriptions.proven() == ("A",)
    assert subscriptions.overdue(PROOF_WITHIN_SECONDS) == ["A"]


def test_already_subscribed_is_as_good_as_an_acknowledgement() -> None:
    subscriptions = begun("A")
    subscriptions.hear("A")
    subscriptions.refuse(None, "A", "Already subscribed", 1.0)

    assert subscriptions.proven() == ("A",)
    assert subscriptions.overdue(PROOF_WITHIN_SECONDS) == []


def test_a_refused_symbol_is_retried_ever_more_rarely_and_never_given_up() -> None:
    subscriptions = begun("A")
    now, waits = 0.0, []
    for _ in range(12):
        subscriptions.refuse("ticker", "A", "Currency pair not supported A", now)
        asked = now
        while not subscriptions.overdue(now):
            now += 1.0
        waits.append(now - asked)

    assert waits[:3] == [times * RETRY_REFUSED_AFTER_SECONDS for times in (1, 2, 4)]
    assert waits[-1] == LONGEST_RETRY_SECONDS


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

    assert subscriptions.overdue(100.0 + RETRY_REFUSED_AFTER_SECONDS) == ["A"]


def test_one_of_two_channels_is_enough_until_both_are_lost() -> None:
    subscriptions = begun("A")
    prove(subscriptions, "A")
    subscriptions.acknowledge("trade", "A", 1.0)
    subscriptions.lose("ticker", "A", 2.0)
    assert subscriptions.proven() == ("A",)
    subscriptions.lose("trade", "A", 2.0)
    assert subscriptions.proven() == ()
    assert subscriptions.overdue(2.0) == ["A"]


def test_a_subscription_asked_for_anew_proves_nothing_until_it_is_heard_again() -> None:
    subscriptions = begun("A")
    prove(subscriptions, "A")
    subscriptions.renew("A", 3.0)
    assert subscriptions.proven() == ()
    assert subscriptions.labels() == {"A": "acknowledged"}
    assert subscriptions.overdue(3.0) == ["A"]
    subscriptions.hear("A")
    assert subscriptions.proven() == ("A",)


def test_giving_back_a_subscription_asked_for_anew_does_not_ask_for_it_twice() -> None:
    subscriptions = begun("A")
    prove(subscriptions, "A")
    subscriptions.acknowledge("trade", "A", 1.0)
    subscriptions.renew("A", 3.0)
    assert subscriptions.overdue(3.0) == ["A"]
    subscriptions.lose("ticker", "A", 3.1)
    subscriptions.lose("trade", "A", 3.1)
    assert subscriptions.overdue(3.2) == []
    assert subscriptions.overdue(3.0 + PROOF_WITHIN_SECONDS) == ["A"]


def test_symbols_may_change_while_somebody_reads_how_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    subscriptions = begun()

    def change_meanwhile(_: Subscription) -> str:
        subscriptions.want(("A", "B", "C"), 1.0)
        return "changed"

    monkeypatch.setattr(Subscription, "label", property(change_meanwhile))

    assert subscriptions.labels() == {"A": "changed", "B": "changed"}


def test_everything_is_settled_when_each_symbol_is_proven_or_refused() -> None:
    subscriptions = begun("A", "B")
    prove(subscriptions, "A")
    assert not subscriptions.settled()
    subscriptions.refuse(None, "B", "no", 1.0)
    assert subscriptions.settled()
    assert subscriptions.accepted("ticker", "A")
    assert not subscriptions.accepted("ticker", "B")


def test_what_was_never_asked_for_changes_nothing() -> None:
    subscriptions = begun("A")
    prove(subscriptions, "X")
    subscriptions.refuse(None, "X", "no", 1.0)
    subscriptions.lose("ticker", "X", 1.0)
    subscriptions.renew("X", 1.0)

    assert subscriptions.labels() == {"A": "asked"}


def lenient(*symbols: str) -> Subscriptions:
    """Of an exchange that tells nothing before the next trade."""
    subscriptions = Subscriptions(symbols or ("A", "B"), ("trade",), "either")
    subscriptions.begin(0.0)
    return subscriptions


def test_where_either_is_enough_an_acknowledgement_or_data_proves() -> None:
    subscriptions = lenient("A", "B", "C")
    subscriptions.acknowledge("trade", "A", 1.0)
    subscriptions.hear("B")

    assert subscriptions.proven() == ("A", "B")
    assert subscriptions.labels() == {"A": "acknowledged", "B": "active", "C": "asked"}
    assert subscriptions.overdue(PROOF_WITHIN_SECONDS) == ["C"]
    assert not subscriptions.settled()


def test_what_is_accepted_and_brings_nothing_is_silent_until_it_does() -> None:
    subscriptions = lenient("A")
    subscriptions.acknowledge("trade", "A", 1.0)
    subscriptions.mark_silent(0.9 + PROOF_WITHIN_SECONDS)
    assert subscriptions.labels() == {"A": "acknowledged"}
    subscriptions.mark_silent(1.0 + PROOF_WITHIN_SECONDS)
    assert subscriptions.labels() == {"A": "silent"}
    assert subscriptions.overdue(1000.0) == []
    subscriptions.hear("A")
    assert subscriptions.labels() == {"A": "active"}


def test_a_refusal_of_what_flows_is_no_refusal_where_either_is_enough() -> None:
    subscriptions = lenient("A")
    subscriptions.hear("A")
    subscriptions.refuse("trade", "A", "asked for twice", 1.0)

    assert subscriptions.labels() == {"A": "active"}


def test_other_symbols_change_only_the_difference() -> None:
    subscriptions = lenient("A", "B")
    subscriptions.hear("B")

    assert subscriptions.want(["B", "C", "C"], 5.0) == (["C"], ["A"])
    assert subscriptions.symbols == ("B", "C")
    assert subscriptions.labels() == {"B": "active", "C": "asked"}
    assert subscriptions.proven() == ("B",)
    assert subscriptions.overdue(5.0 + PROOF_WITHIN_SECONDS) == ["C"]


def test_a_symbol_that_comes_back_has_its_refusals_forgiven() -> None:
    subscriptions = lenient("A")
    for _ in range(3):
        subscriptions.refuse("trade", "A", "no such symbol", 0.0)
    subscriptions.want([], 0.0)
    subscriptions.want(["A"], 0.0)
    subscriptions.refuse("trade", "A", "no such symbol", 0.0)

    assert subscriptions.overdue(RETRY_REFUSED_AFTER_SECONDS) == ["A"]


def test_a_symbol_in_step_that_takes_both_proofs_loses_one_by_a_refusal() -> None:
    subscriptions = begun("A")
    prove(subscriptions, "A")
    subscriptions.refuse("ticker", "A", "no longer", 1.0)

    assert subscriptions.proven() == ()
    assert subscriptions.labels() == {"A": "refused: no longer"}


def test_a_symbol_is_silent_from_the_deadline_after_its_last_acknowledgement_on() -> None:
    subscriptions = begun("A")
    subscriptions.acknowledge("ticker", "A", 0.0)
    subscriptions.acknowledge("trade", "A", 5.0)
    subscriptions.mark_silent(PROOF_WITHIN_SECONDS)
    assert subscriptions.labels() == {"A": "acknowledged"}
    subscriptions.mark_silent(5.0 + PROOF_WITHIN_SECONDS)
    assert subscriptions.labels() == {"A": "silent"}
