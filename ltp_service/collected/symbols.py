"""The symbols that the trade collectors collect. They change at run time; the database file or Redis keeps them."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Protocol

from ltp_service.domain.errors import InvalidParameter
from ltp_service.domain.trade import MAX_COLLECTED_SYMBOLS, SYMBOL_RULE, is_symbol
from ltp_service.runtime.database import Database, Execute, Reload
from ltp_service.settings.config import Config

SymbolList = tuple[str, ...]


class SymbolBackEnd(Protocol):
    """Stores the list. Every method may raise StoreUnavailable and has then changed nothing."""

    def version(self) -> Hashable:
        """A value that differs from the last one when the list may have changed."""

    def load(self) -> SymbolList | None:
        """The list; None before the first `update`."""

    def update(
        self, first: SymbolList, change: Callable[[SymbolList], SymbolList]
    ) -> tuple[SymbolList, SymbolList]:
        """Changes the stored list, or `first` before there is one; returns the list before and after.

        No other process changes it in between; `change` may run several times.
        """


class Symbols:
    """The list in memory; `first` until a list is stored. Safe from any thread or greenlet."""

    def __init__(self, back_end: SymbolBackEnd, first: SymbolList) -> None:
        self._back_end = back_end
        self._first = first
        self._symbols = first
        self._seen: Hashable | None = None
        self._listeners: list[Callable[[], None]] = []
        # Held while the back end is used, so that an older reading never replaces a newer one. `all` needs no lock.
        self._lock = Lock()

    def all(self) -> SymbolList:
        """The symbols in the order they were added. A later call returns another object iff the list changed."""
        return self._symbols

    def add(self, symbol: str) -> bool:
        """Collects `symbol`; False if it is collected already. Raises InvalidParameter, StoreUnavailable."""
        if not is_symbol(symbol):
            raise InvalidParameter(f"a symbol must be {SYMBOL_RULE}")
        return self._change(lambda symbols: symbols if symbol in symbols else _with(symbols, symbol))

    def remove(self, symbol: str) -> bool:
        """Stops collecting `symbol`; False if it was not collected. Raises StoreUnavailable."""
        return self._change(lambda symbols: tuple(kept for kept in symbols if kept != symbol))

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` after each change, on the thread that made or noticed it."""
        self._listeners.append(listener)

    def refresh(self) -> None:
        """Reads the list if another process changed it. Raises StoreUnavailable and keeps the list then."""
        with self._lock:
            version = self._back_end.version()
            if version == self._seen:
                return
            stored = self._back_end.load()
            changed = self._take(self._first if stored is None else stored)
            self._seen = version
        self._tell(changed)

    def _change(self, change: Callable[[SymbolList], SymbolList]) -> bool:
        with self._lock:
            before, after = self._back_end.update(self._first, change)
            changed = self._take(after)
        self._tell(changed)
        return after != before

    def _take(self, symbols: SymbolList) -> bool:
        changed = symbols != self._symbols
        if changed:
            self._symbols = symbols
        return changed

    def _tell(self, changed: bool) -> None:
        if changed:
            for listener in self._listeners:
                listener()


class SqliteSymbols:
    """The table `symbols`. It has one row, so that an empty list differs from no list."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.version = database.data_version

    def load(self) -> SymbolList | None:
        return _list_in(self._database.read)

    def update(
        self, first: SymbolList, change: Callable[[SymbolList], SymbolList]
    ) -> tuple[SymbolList, SymbolList]:
        def write(execute: Execute) -> tuple[SymbolList, SymbolList]:
            stored = _list_in(execute)
            before = first if stored is None else stored
            after = change(before)
            if after != before:
                execute("INSERT OR REPLACE INTO symbols VALUES (1, ?)", " ".join(after))
            return before, after

        return self._database.write(write)


class SymbolReload(Reload):
    """Runner: takes over changes of the list by other processes."""

    def __init__(self, symbols: Symbols) -> None:
        super().__init__("symbols", symbols.refresh)


def open_symbols(config: Config, back_end: SymbolBackEnd) -> Symbols:
    """The stored symbols, read once. While they cannot be read, those of SYMBOLS are collected."""
    symbols = Symbols(back_end, config.symbols)
    SymbolReload(symbols).attempt(symbols.refresh)
    return symbols


def _with(symbols: SymbolList, symbol: str) -> SymbolList:
    if len(symbols) >= MAX_COLLECTED_SYMBOLS:
        raise InvalidParameter(
            f"{MAX_COLLECTED_SYMBOLS} symbols are collected, no more are possible; remove one first"
        )
    return (*symbols, symbol)


def _list_in(read: Execute) -> SymbolList | None:
    rows = read("SELECT list FROM symbols")
    return tuple(rows[0][0].split()) if rows else None
