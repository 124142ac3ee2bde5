"""How ltp verify listens to a service, over sockets."""

from collections.abc import Callable
from queue import SimpleQueue

from ltp_service.cli.verifying.judge import Judge
from ltp_service.cli.verifying.listening import Listener, News
from ltp_service.cli.verifying.said import Limits
from ltp_service.client.settings import Settings
from ltp_service.client.testing import FakeService
from tests.deadline import DEADLINE


def until(news: News, judge: Judge, happened: Callable[[], bool]) -> None:
    """Tells the judge the news up to that."""
    while not happened():
        news.get(timeout=DEADLINE)(judge)


def test_the_stream_is_resumed_after_a_cut() -> None:
    news: News = SimpleQueue()
    judge = Judge(Limits())
    with FakeService() as service:
        service.set_price("BTC/USD", "1.5")
        listener = Listener("listener", Settings.read(service.url, None, None), ["BTC/USD"], news)
        listener.start()
        until(news, judge, lambda: bool(judge.books))
        service.trade("BTC/USD", "1.6")
        until(news, judge, lambda: judge.books["BTC/USD"].trades.pending == 1)
        service.cut()
        service.wait_for_streams(seconds=DEADLINE)
        service.trade("BTC/USD", "1.7")
        until(news, judge, lambda: judge.books["BTC/USD"].trades.pending == 2)
        listener.stop.set()
        listener.join(DEADLINE)
        (first, headers), (second, resumed) = service.requests
    assert first == second == "/api/v1/stream?pair=BTC/USD&events=all"
    assert ("last-event-id" in headers, "last-event-id" in resumed) == (False, True)
    assert judge.take() == []
