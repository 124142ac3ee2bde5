"""Last traded prices for programs that must be able to trust them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ltp_service.last_prices import LastPrices
else:

    def __getattr__(name):
        """Loads LastPrices at its first use: a program of its own in this package, the simulator, does without."""
        if name != "LastPrices":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ltp_service.last_prices import LastPrices  # noqa: PLC0415 - see above

        return LastPrices


__all__ = ["LastPrices"]
