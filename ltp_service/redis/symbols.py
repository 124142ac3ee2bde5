"""The collected symbols in Redis."""

from collections.abc import Callable

from ltp_service.collected.symbols import SymbolList
from ltp_service.domain.errors import StoreUnavailable
from ltp_service.domain.trade import is_symbol
from ltp_service.redis.client import RedisClient
from ltp_service.redis.hash import RedisHash, Texts

SYMBOLS_HASH = "ltp:symbols"
_LIST = "list"


class RedisSymbols:
    """The Redis hash `ltp:symbols`. Its one field is the list, so that an empty list differs from no list."""

    def __init__(self, redis: RedisClient) -> None:
        self._hash = RedisHash(redis, SYMBOLS_HASH)
        self.version = self._hash.version

    def load(self) -> SymbolList | None:
        return _list_in(self._hash.load())

    def update(
        self, first: SymbolList, change: Callable[[SymbolList], SymbolList]
    ) -> tuple[SymbolList, SymbolList]:
        before = after = first

        def write(texts: Texts) -> Texts:
            nonlocal before, after
            stored = _list_in(texts)
            before = first if stored is None else stored
            after = change(before)
            return {_LIST: " ".join(after).encode()} if after != before else {}

        self._hash.change(write)
        return before, after


def _list_in(texts: Texts) -> SymbolList | None:
    if _LIST not in texts:
        return None
    symbols = tuple(texts[_LIST].decode(errors="replace").split())
    if not all(map(is_symbol, symbols)):
        raise StoreUnavailable(
            f"{SYMBOLS_HASH} in Redis is no list of symbols; delete it or restore a backup"
        )
    return symbols
