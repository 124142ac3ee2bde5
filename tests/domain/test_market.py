"""ltp_service.domain.market"""

import pytest

from ltp_service.domain.market import MarketStatus, market_status, prevailing


@pytest.mark.parametrize(
    ("system", "own", "counts"),
    [
        ("online", "online", "online"),
        ("online", "unknown", "online"),
        ("unknown", "cancel_only", "cancel_only"),
        ("online", "post_only", "post_only"),
        ("online", "work_in_progress", "work_in_progress"),
        ("online", "limit_only", "online"),
        ("online", "reduce_only", "online"),
        ("maintenance", "online", "maintenance"),
        ("maintenance", "cancel_only", "maintenance"),
        ("maintenance", "delisted", "delisted"),
        ("online", "delisted", "delisted"),
    ],
)
def test_what_stops_a_pair_counts(system: MarketStatus, own: MarketStatus, counts: MarketStatus) -> None:
    assert prevailing(system, own) == counts


@pytest.mark.parametrize("text", [None, "", "napping", "ONLINE"])
def test_other_words_are_unknown(text: str | None) -> None:
    assert market_status(text) == "unknown"
