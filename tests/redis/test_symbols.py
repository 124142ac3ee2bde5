"""The collected symbols in a real Redis in trouble; what holds in peace is in test_symbols.py."""

from pathlib import Path

import pytest

from ltp_service.app import create_app
from ltp_service.collected.symbols import Symbols
from ltp_service.domain.errors import StoreUnavailable
from ltp_service.http.services import services_of
from ltp_service.redis.symbols import SYMBOLS_HASH, RedisSymbols
from ltp_service.settings.config import Config
from tests.redis_server import RedisServer

FIRST = ("BTCUSDT", "ETHUSDT")


def test_a_change_that_could_not_be_kept_is_not_in_force(server: RedisServer) -> None:
    symbols = Symbols(RedisSymbols(server.client()), FIRST)
    server.freeze()
    with pytest.raises(StoreUnavailable):
        symbols.add("XRPUSDT")
    server.thaw()
    assert symbols.all() == FIRST


@pytest.mark.parametrize("text", [b"\xff", b"btc", b"BTCUSDT,ETHUSDT", b"BTCUSDT \x00"])
def test_what_is_no_list_of_symbols_is_an_error_with_a_remedy(text: bytes, server: RedisServer) -> None:
    client = server.client()
    client.run("HSET", SYMBOLS_HASH, "list", text)
    client.run("HSET", SYMBOLS_HASH, "version", "1")
    symbols = Symbols(RedisSymbols(client), FIRST)
    with pytest.raises(StoreUnavailable, match="ltp:symbols in Redis is no list of symbols; delete it"):
        symbols.refresh()
    assert symbols.all() == FIRST


def test_the_settings_choose_redis(server: RedisServer, tmp_path: Path) -> None:
    config = Config(cache_backend="redis", redis_addr=server.address, database_path=tmp_path / "none")
    here, elsewhere = (services_of(create_app(config)).trades.symbols for _ in range(2))
    here.add("XRPUSDT")
    elsewhere.refresh()
    assert elsewhere.all() == here.all() == (*config.symbols, "XRPUSDT")
    assert not config.database_path.exists()
