"""What records the history and answers from it."""

from collections.abc import Callable, Sequence

from ltp_service.assembly.prices import GTHREAD_THREADS, PriceParts
from ltp_service.domain.errors import ConfigError
from ltp_service.domain.pairs import Pair
from ltp_service.domain.trade import Trade
from ltp_service.exchanges.kraken import tape_reader
from ltp_service.exchanges.kraken_v2 import is_live
from ltp_service.history.access import MOST_WAITING, History
from ltp_service.history.backfill import Backfill
from ltp_service.history.contract import HistoryStore, WriterLock
from ltp_service.history.evidence import View
from ltp_service.history.file_lock import FileLock
from ltp_service.history.recorder import Recorder
from ltp_service.history.sqlite import SqliteEngine
from ltp_service.history.store import SqlHistory
from ltp_service.history.writer import Writer
from ltp_service.runtime.runtime import Runtime
from ltp_service.runtime.spawn import NativeThread
from ltp_service.settings.config import Config
from ltp_service.settings.types import HistoryUrl


def wire_history(config: Config, runtime: Runtime, prices: PriceParts) -> History | None:
    """What records and answers the history; None where none is kept. Raises ConfigError."""
    if not config.history_url.get_secret_value():
        return None
    kraken, tape, fleet = prices.kraken, prices.tape, prices.fleet

    def look() -> View:
        now = runtime.clock.monotonic()
        unix_now = prices.exchange_clock.least(now)
        ahead = prices.rest.unix_ahead() if unix_now is None else unix_now - now
        since = {pair: kraken.told_since(pair) for pair in prices.served} if kraken else {}
        return View(
            now,
            ahead,
            prices.store.all(),
            {pair: at for pair, at in since.items() if at is not None},
            frozenset(prices.doubts),
        )

    def leads() -> bool:
        return fleet is None or fleet.leads()

    def is_busy() -> bool:
        """Prices come first, then streams."""
        awaited = tape is not None and tape.on_news is not None and tape.wanted()
        return prices.poll.needs_rest() or not prices.rest.is_free() or bool(awaited)

    def read(frame: str, received_at: float) -> Sequence[tuple[Pair, Trade]]:
        thread.rests.rest()
        return read_trades(frame, received_at)

    thread, read_trades = NativeThread("history writer"), tape_reader(prices.served)
    store, lock = open_history(config.history_url, thread.rests.rest)
    writer = Writer(
        prices.served,
        store,
        lock,
        read,
        is_live,
        keep_seconds=config.history_keep,
        patience_seconds=config.cache_ttl,
        monotonic=runtime.clock.monotonic,
    )
    recorder = Recorder(writer, thread, look, leads, runtime)
    reading, _ = open_history(config.history_url)
    history = History(
        reading,
        NativeThread("history reader"),
        recorder,
        (lambda: None) if fleet is None else fleet.owner_elsewhere,
        runtime.clock,
        is_shared=config.history_url.file is None,
        # With gthread each waiting question holds a thread.
        most_waiting=GTHREAD_THREADS // 2 if config.worker_class == "gthread" else MOST_WAITING,
    )
    if tape is not None:
        tape.recorded, tape.record = recorder.frames, recorder.take

        def take(pair: Pair, page: Sequence[Trade], as_of: float | None) -> None:
            recorder.take(pair, page, as_of)
            tape.complete(pair, page)

        history.backfill = Backfill(
            prices.served,
            lambda pair: history.read(lambda asked: asked.coverage(pair)),
            prices.rest,
            take,
            recorder=recorder,
            is_busy=is_busy,
            runtime=runtime,
            keep_seconds=config.history_keep,
        )
    return history


def open_history(url: HistoryUrl, rest: Callable[[], None] = lambda: None) -> tuple[HistoryStore, WriterLock]:
    """A store with connections of its own, and its writer's lock. Nothing is opened yet. `rest` is called now and then while it
    writes much. Raises ConfigError."""
    if url.file is not None:
        return SqlHistory(SqliteEngine(url.file), rest), FileLock(url.file)
    try:
        from ltp_service.history.postgres import PostgresEngine  # noqa: PLC0415 - loaded only where asked for
    except ImportError as error:
        problem = (
            "HISTORY_URL: PostgreSQL needs the package psycopg: pip install 'psycopg[binary]', or in a checkout"
            " pip install --requirement requirements.postgres.txt"
        )
        raise ConfigError([problem]) from error
    engine = PostgresEngine(url.get_secret_value())
    return SqlHistory(engine, rest), engine
