"""What a client of a stream asked. Clients with the same question get the same bytes."""

from typing import Literal, NamedTuple

from ltp_service.domain.pairs import Pair

MarketEvents = Literal["prices", "trades", "all"]
ExchangeEvents = Literal["trades", "books"]

MAX_TRADES_PAIRS = 200
"""Most pairs of a stream with trades: each event's id has a position in every pair, and must fit into a header."""


class MarketQuestion(NamedTuple):
    """Prices or trades of pairs, in the order asked."""

    pairs: tuple[Pair, ...]
    events: MarketEvents
    books: bool = False
    """Whether the best bid and ask are told, too."""
    everything: bool = False
    """Whether all pairs are meant, whichever they are, so that the stream ends when others are served."""


class ExchangeQuestion(NamedTuple):
    """Trades of one symbol on other exchanges, or the best prices of its order books there."""

    symbol: str
    exchanges: tuple[str, ...]
    events: ExchangeEvents


Question = MarketQuestion | ExchangeQuestion
