"""What is said about pairs that are not served here."""

from collections.abc import Sequence

from ltp_service.domain.errors import LtpError, PriceUnavailable, UnknownPair
from ltp_service.domain.pairs import Pair
from ltp_service.prices.served import ServedPairs


def unserved(served: ServedPairs, pairs: Sequence[Pair]) -> LtpError:
    """The error about pairs of which none is served.

    While a wildcard waits for the exchange's list it is no mistake of the caller.
    """
    if not served.has_list and (not pairs or any(map(served.may_come, pairs))):
        return PriceUnavailable("the exchange's list of pairs is not known yet; try again later")
    if not pairs:
        return PriceUnavailable("no pair that the exchange lists is served here; see SUPPORTED_PAIRS")
    return UnknownPair(f"{', '.join(map(str, pairs))}: not served here; see /api/v1/pairs")
