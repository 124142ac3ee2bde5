"""Some hundred trades in one value, with every digit. Each can be read without the others. Pure.

A block has six columns, one after the other: moments, ids, prices, missing digits of prices, quantities with the side, missing
digits of quantities. An entry is what is to be added to the lowest value of its column, in as many bytes as the highest one needs,
so that a column of equal values takes no room. Prices are integers in units of the last place of the longest fraction among them;
how many of its places a price lacks is its missing digits. So are quantities, doubled, and with one added for a buyer. Of an id its
place in the block is subtracted. Before the columns stand the number of trades and both longest fractions, then the bytes of an
entry of each column, then its lowest value. All numbers are big-endian.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from itertools import accumulate
from struct import Struct, pack, unpack_from

from ltp_service.history.digits import digits_of
from ltp_service.history.rows import RecordedTrade

_COLUMNS = 6
_HEAD = Struct(f">HHH{_COLUMNS}H{_COLUMNS}q")
_MOST = 2**63

_FORMATS = {1: "B", 2: "H", 4: "I", 8: "Q"}
"""Bytes of an entry to its name in a format of `struct`, which reads a column at once."""

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def packed(trades: Sequence[RecordedTrade]) -> bytes:
    """The block of at least one trade and at most 65,535, in the order of time and id."""
    prices, price_scale, no_price_digits = _of_one_scale([trade.price for trade in trades])
    quantities, quantity_scale, no_quantity_digits = _of_one_scale([trade.quantity for trade in trades])
    columns = (
        [trade.traded_at for trade in trades],
        [trade.trade_id - place for place, trade in enumerate(trades)],
        prices,
        no_price_digits,
        [2 * each + (trade.side == "buy") for each, trade in zip(quantities, trades, strict=True)],
        no_quantity_digits,
    )
    lowest = [low if (low := min(column)) < _MOST else 0 for column in columns]
    widths = [(max(column) - low).bit_length() + 7 >> 3 for column, low in zip(columns, lowest, strict=True)]
    head = _HEAD.pack(len(trades), price_scale, quantity_scale, *widths, *lowest)
    entries = [
        _entries([value - low for value in column], width)
        for column, low, width in zip(columns, lowest, widths, strict=True)
    ]
    return b"".join([head, *entries])


class Block:
    """The trades in a value that `packed` made, by their places from 0 on."""

    def __init__(self, content: bytes) -> None:
        count, self._price_scale, self._quantity_scale, *sizes = _HEAD.unpack_from(content)
        self._content = content
        self._places = range(count)
        widths = sizes[:_COLUMNS]
        begins = accumulate(widths, lambda begin, width: begin + width * count, initial=_HEAD.size)
        self._columns = list(zip(widths, sizes[_COLUMNS:], begins, strict=False))
        """Bytes of an entry, the lowest value, and where the first entry begins."""

    def __len__(self) -> int:
        return len(self._places)

    def within(self, since: int, until: int) -> range:
        """The places of the trades of some moments, both included."""
        content = self._content
        width, lowest, begin = self._columns[0]

        def since_first(place: int) -> int:
            at = begin + width * place
            return int.from_bytes(content[at : at + width], "big")

        places = self._places
        first = bisect_left(places, since - lowest, key=since_first) if since > lowest else 0
        return range(first, bisect_right(places, until - lowest, lo=first, key=since_first))

    def trades(self, places: range | None = None) -> list[RecordedTrade]:
        """The trades at places that follow one another; all without any."""
        at = self._places if places is None else places
        columns = [self._values(column, at) for column in self._columns]
        price_scale, quantity_scale = self._price_scale, self._quantity_scale
        return [
            RecordedTrade(
                number + place,
                moment,
                _number(price, price_scale, price_lacks),
                _number(amount >> 1, quantity_scale, quantity_lacks),
                "buy" if amount & 1 else "sell",
            )
            for place, moment, number, price, price_lacks, amount, quantity_lacks in zip(
                at, *columns, strict=True
            )
        ]

    def _values(self, column: tuple[int, int, int], places: range) -> list[int]:
        width, lowest, begin = column
        if not width:
            return [lowest] * len(places)
        at = begin + width * places.start
        if width in _FORMATS:
            entries = unpack_from(f">{len(places)}{_FORMATS[width]}", self._content, at)
            return [lowest + entry for entry in entries]
        starts = range(at, at + width * len(places), width)
        return [lowest + int.from_bytes(self._content[start : start + width], "big") for start in starts]


def _of_one_scale(numbers: Sequence[Decimal]) -> tuple[list[int], int, list[int]]:
    """Numbers as integers in units of the last place of the longest fraction, its digits, and how many fewer each has."""
    read = [digits_of(number) for number in numbers]
    longest = max(scale for _, scale in read)
    lacks = [longest - scale for _, scale in read]
    if any(lacks):
        return [value * 10**less for (value, _), less in zip(read, lacks, strict=True)], longest, lacks
    return [value for value, _ in read], longest, lacks


def _number(value: int, scale: int, lacks: int) -> Decimal:
    return Decimal(value // 10**lacks if lacks else value).scaleb(lacks - scale, _EXACT)


def _entries(values: Sequence[int], width: int) -> bytes:
    if not width:
        return b""
    if width in _FORMATS:
        return pack(f">{len(values)}{_FORMATS[width]}", *values)
    return b"".join([value.to_bytes(width, "big") for value in values])
