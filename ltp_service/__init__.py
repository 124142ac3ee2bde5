"""Last traded prices for programs that must be able to trust them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ltp_service.last_prices import (
        ConfigError,
        InvalidParameter,
        LastPrices,
        LtpError,
        Price,
        PriceSettings,
        PriceStale,
        PriceUnavailable,
        SomeUnavailable,
        UnknownPair,
    )
else:

    def __getattr__(name):
        """Loads LastPrices at its first use: a program of its own in this package, the simulator, does without."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ltp_service import last_prices  # noqa: PLC0415 - see above

        return getattr(last_prices, name)


__all__ = [
    "ConfigError",
    "InvalidParameter",
    "LastPrices",
    "LtpError",
    "Price",
    "PriceSettings",
    "PriceStale",
    "PriceUnavailable",
    "SomeUnavailable",
    "UnknownPair",
]
