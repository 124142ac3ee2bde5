"""The error that only a question about several pairs has."""

from collections.abc import Mapping

from ltp_service.client.events import Price
from ltp_service.domain.errors import LtpError


class SomeUnavailable(LtpError):
    """`prices` holds the pairs that have a price, `errors` what keeps each other pair from one."""

    def __init__(self, prices: Mapping[str, Price], errors: Mapping[str, LtpError]) -> None:
        self.prices, self.errors = dict(prices), dict(errors)
        super().__init__("; ".join(map(str, errors.values())))
