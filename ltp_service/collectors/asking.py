"""What is said to an exchange: requests within its limits, under ids of their own."""

from collections.abc import Sequence

from ltp_service.collectors.connection import Connection
from ltp_service.collectors.contract import Dialect, Terms
from ltp_service.collectors.subscriptions import Request, Requests, Subscriptions


class Asking:
    """Asks for what the subscriptions lack."""

    def __init__(self, dialect: Dialect, subscriptions: Subscriptions, terms: Terms) -> None:
        self._dialect = dialect
        self._subscriptions = subscriptions
        self._requests = Requests(terms.symbols_per_request, terms.messages_per_second)
        self._request_id = 0

    def begin(self) -> None:
        """A new connection: everything is asked for again."""
        self._requests.begin()
        self.subscribe(self._subscriptions.symbols)

    def renew(self, symbols: Sequence[str]) -> None:
        """Asks again; what was accepted and brings nothing is given back first."""
        proven = set(self._subscriptions.proven())
        for channel in self._subscriptions.channels:
            accepted = [symbol for symbol in symbols if self._subscriptions.accepted(channel, symbol)]
            self._requests.ask("unsubscribe", channel, [name for name in accepted if name not in proven])
            wanted = [name for name in symbols if name not in proven or name not in accepted]
            self._requests.ask("subscribe", channel, wanted)

    def subscribe(self, symbols: Sequence[str]) -> None:
        """Asks for every channel of these symbols."""
        for channel in self._subscriptions.channels:
            self._requests.ask("subscribe", channel, symbols)

    def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Gives them back."""
        for channel in self._subscriptions.channels:
            self._requests.ask("unsubscribe", channel, symbols)

    def one_by_one(self, request: Request) -> None:
        """Asks once more, for each symbol alone."""
        self._requests.ask(request.verb, request.channel, request.symbols, each=1)

    def answered(self, request_id: int | None) -> Request | None:
        """The request that an answer with this id belongs to; None when there is none."""
        return self._requests.answered(request_id)

    def send(self, connection: Connection, now: float) -> None:
        """As much of what is asked as the exchange takes now."""
        while request := self._requests.next(self._request_id + 1, now):
            self._request_id += 1
            connection.send(self._dialect.write(request, self._request_id))

    def ping(self, connection: Connection, now: float) -> bool:
        """Asks for a sign of life; False when the exchange takes no message now."""
        if not self._requests.may_send(now):
            return False
        self._request_id += 1
        connection.send(self._dialect.ping(self._request_id))
        self._requests.sent(now)
        return True
