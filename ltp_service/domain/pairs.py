"""Pairs, and how each exchange spells them.

Asset codes are mapped whole, never by substring: AIXBT and TBTC are assets of their own.
Source of the codes: docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs
"""

import re
from typing import NamedTuple

from ltp_service.domain.errors import InvalidParameter


class Pair(NamedTuple):
    """A market in canonical form: base and quote currency, upper case, BTC and DOGE."""

    base: str
    quote: str

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"


_KRAKEN_CODE = {"BTC": "XBT", "DOGE": "XDG"}
_CANONICAL_CODE = {kraken: ours for ours, kraken in _KRAKEN_CODE.items()}

# Kraken's old four-letter codes: X before a cryptocurrency, Z before a national currency. The list is
# closed: no other code may lose its first letter (XTZ, ZRX and ZEC are real names).
_OLD_CRYPTO = frozenset("ETC ETH LTC MLN REP XBT XDG XLM XMR XRP ZEC".split())
_OLD_FIAT = frozenset("AUD CAD EUR GBP JPY USD".split())
_OLD_CODE = {f"X{code}": code for code in _OLD_CRYPTO} | {f"Z{code}": code for code in _OLD_FIAT}

# Quote currencies, longest first: a spelling without a separator is cut before one of them.
_QUOTES = sorted(
    {*_OLD_CRYPTO, *_OLD_FIAT, *_KRAKEN_CODE, "CHF", "USDT", "USDC", "DAI", "PYUSD", "EURT"},
    key=lambda code: (-len(code), code),
)
_SEPARATED = re.compile(r"([A-Za-z0-9]{1,12}|[A-Z0-9.]{1,12})[/_-]([A-Za-z0-9]{1,12})", re.ASCII)
_JOINED = re.compile(r"[A-Za-z0-9]{4,24}", re.ASCII)


def canonical_code(code: str) -> str:
    """One asset code in our spelling: XXBT, XBT and btc are BTC."""
    upper = code.upper()
    short = _OLD_CODE.get(upper, upper)
    return _CANONICAL_CODE.get(short, short)


def read_pair(text: str) -> Pair:
    """A pair from any usual spelling: BTC/USD, btc-usd, BTC_USD, BTCUSD, XBTUSD, XXBTZUSD.

    Raises InvalidParameter for a text that cannot be cut into two different asset codes.
    """
    text = text.strip()
    if separated := _SEPARATED.fullmatch(text):
        pair = Pair(canonical_code(separated[1]), canonical_code(separated[2]))
    elif _JOINED.fullmatch(text):
        pair = _cut(text.upper())
    else:
        raise InvalidParameter(f"{text[:40]!r} is not a pair; write BASE/QUOTE, for example BTC/USD")
    if pair.base == pair.quote:
        raise InvalidParameter(f"{text[:40]!r} names the same currency twice")
    return pair


def read_pair_or_none(text: str) -> Pair | None:
    """The same; None for a text that is no pair."""
    try:
        return read_pair(text)
    except InvalidParameter:
        return None


def _cut(text: str) -> Pair:
    # Kraken's old form of a quote follows only a known base (XXBTZUSD, USDTZUSD). In XTZUSD and TRXXBT the base
    # is XTZ or TRX, and its last letter is not the first of an old code.
    base, quote = text[:-4], text[-4:]
    if quote in _OLD_CODE and (base in _OLD_CODE or base in _QUOTES):
        return Pair(canonical_code(base), canonical_code(quote))
    for quote in _QUOTES:
        if len(quote) < len(text) - 1 and text.endswith(quote):
            return Pair(canonical_code(text[: -len(quote)]), canonical_code(quote))
    raise InvalidParameter(f"{text[:40]!r} cannot be cut into two currencies; write BASE/QUOTE")


def kraken_v2_symbol(pair: Pair) -> str:
    """`BTC/USD`: protocol v2 uses the canonical names."""
    return str(pair)


def kraken_v1_symbol(pair: Pair) -> str:
    """`XBT/USD`: the name on protocol v1, and `wsname` in AssetPairs."""
    base, quote = (_KRAKEN_CODE.get(code, code) for code in pair)
    return f"{base}/{quote}"


def kraken_rest_symbol(pair: Pair) -> str:
    """`XBTUSD`: the altname, which REST accepts for every pair."""
    return kraken_v1_symbol(pair).replace("/", "")


def joined_symbol(pair: Pair) -> str:
    """`BTCUSDT`: the spelling of Bybit and Binance."""
    return f"{pair.base}{pair.quote}"
