"""Last traded prices for programs that must be able to trust them."""

from ltp_service.last_prices import LastPrices

__all__ = ["LastPrices"]
