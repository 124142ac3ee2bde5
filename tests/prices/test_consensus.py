"""ltp_service.prices.consensus"""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from ltp_service.prices.consensus import Consensus, ExchangePrice, consensus_of, deviates, median
from ltp_service.prices.freshness import FRESH_SECONDS

LIMIT = Decimal("0.05")
OLD = FRESH_SECONDS + 0.001


def told(exchange: str, price: str, age: float = 0.0) -> ExchangePrice:
    return ExchangePrice(exchange, Decimal(price), age)


KRAKEN, COINBASE, BITSTAMP = told("kraken", "100.1"), told("coinbase", "100.2"), told("bitstamp", "99.9")

amounts = st.decimals("0.0001", "1000000", places=4)


@settings(max_examples=50, deadline=None)
@given(honest=st.tuples(amounts, amounts), lie=amounts, place=st.integers(0, 2))
def test_one_liar_of_three_never_moves_the_median_out_of_the_two_honest_ones(
    honest: tuple[Decimal, Decimal], lie: Decimal, place: int
) -> None:
    prices = [*honest]
    prices.insert(place, lie)

    found = consensus_of([ExchangePrice(f"e{at}", price, 0.0) for at, price in enumerate(prices)], None)

    assert found.median is not None
    assert min(honest) <= found.median <= max(honest)


def test_a_consensus_names_its_exchanges_and_how_far_apart_they_and_the_served_price_are() -> None:
    found = consensus_of([KRAKEN, COINBASE, BITSTAMP], Decimal("101.101"))

    assert found == Consensus(
        ("kraken", "coinbase", "bitstamp"), Decimal("100.1"), Decimal("30.0"), Decimal("100.0")
    )


def test_the_median_of_four_is_the_exact_mean_of_the_two_in_the_middle() -> None:
    long = "0.1234567890123456789012345678901234567891"
    assert median([Decimal(9), Decimal(long), Decimal(0), Decimal(1)]) == Decimal(
        "0.56172839450617283945061728394506172839455"
    )


def test_an_exchange_without_evidence_for_ten_seconds_does_not_count() -> None:
    found = consensus_of([KRAKEN, told("coinbase", "100", OLD), told("bitstamp", "100", FRESH_SECONDS)], None)

    assert (found.median, found.exchanges) == (None, ("kraken", "bitstamp"))
    assert (
        found.reason
        == "only kraken and bitstamp have a price confirmed within 10 s; a consensus needs 3 exchanges"
    )
    assert consensus_of([], None).reason.startswith("no exchange has a price")


def test_a_price_deviates_from_the_median_of_at_least_two_others_beyond_the_limit() -> None:
    others = [told("coinbase", "100"), told("bitstamp", "100")]

    assert deviates(Decimal("105.01"), others, LIMIT) is True
    assert deviates(Decimal("94.99"), others, LIMIT) is True
    assert deviates(Decimal(105), others, LIMIT) is False
    assert deviates(Decimal(200), others[:1], LIMIT) is None
    assert deviates(Decimal(200), [others[0], told("bitstamp", "100", OLD)], LIMIT) is None


def test_of_two_others_that_contradict_each_other_neither_accuses_a_price() -> None:
    liar = told("coinbase", "120")

    assert deviates(Decimal(100), [liar, told("bitstamp", "100")], LIMIT) is None
    assert deviates(Decimal(100), [liar, told("bitstamp", "100"), told("gemini", "100")], LIMIT) is False


def test_two_others_that_are_far_apart_accuse_a_price_that_is_far_from_both() -> None:
    others = [told("coinbase", "110"), told("bitstamp", "117")]

    assert deviates(Decimal(100), others, LIMIT) is True
    assert deviates(Decimal(123), others, LIMIT) is True
    assert [deviates(Decimal(each), others, LIMIT) for each in ("104.5", "112", "122")] == [None] * 3
