"""Last traded prices inside a Python program, without gunicorn and Flask; with greenlets, threads and forks.

It loads little at its import: what runs is loaded with the first `LastPrices`.
"""

from ltp_service.last_prices.arguments import PriceSettings
from ltp_service.last_prices.errors import SomeUnavailable
from ltp_service.last_prices.in_process import LastPrices

__all__ = ["LastPrices", "PriceSettings", "SomeUnavailable"]
