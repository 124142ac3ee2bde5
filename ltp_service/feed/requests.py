"""What is said to an exchange: requests within its limits, under ids of their own."""

from collections import deque
from collections.abc import Sequence
from math import inf

from ltp_service.feed.connection import Connection
from ltp_service.feed.contract import Dialect, Terms
from ltp_service.feed.messages import Request, Verb
from ltp_service.feed.subscriptions import Subscriptions

MAX_UNANSWERED = 1000
"""Requests remembered until their answer; an exchange that answers each symbol instead never gives one."""


REST_SECONDS = 5.0
"""Seconds of silence after the exchange refused a request because there were too many."""


class Requests:
    """Asks for what the subscriptions lack. Requests wait until the exchange takes them, and then for their answers."""

    def __init__(self, dialect: Dialect, subscriptions: Subscriptions, terms: Terms) -> None:
        self._dialect = dialect
        self._subscriptions = subscriptions
        self._symbols_each = terms.symbols_per_request
        self._per_second = terms.messages_per_second
        self._request_id = 0
        self._waiting: deque[Request] = deque()
        self._unanswered: dict[int, Request] = {}
        self._sent_at: deque[float] = deque(maxlen=self._per_second)
        self._rests_until = -inf

    def begin(self) -> None:
        """A new connection: nothing is under way, and everything is asked for again."""
        self._waiting.clear()
        self._unanswered.clear()
        self._sent_at.clear()
        self._rests_until = -inf
        self.subscribe(self._subscriptions.symbols)

    def follow(self, channel: str) -> None:
        """Asks for a channel that takes no symbols."""
        self._waiting.append(Request("subscribe", channel, ()))

    def renew(self, symbols: Sequence[str]) -> None:
        """Asks again; what was accepted and brings nothing is given back first.

        Those whose turn has not come yet wait for it, else the requests about very many symbols would only grow.
        """
        waiting = {symbol for request in self._waiting for symbol in request.symbols}
        symbols = [symbol for symbol in symbols if symbol not in waiting]
        proven = set(self._subscriptions.proven())
        for channel in self._subscriptions.channels:
            accepted = [symbol for symbol in symbols if self._subscriptions.accepted(channel, symbol)]
            self._ask("unsubscribe", channel, [name for name in accepted if name not in proven])
            self._ask("subscribe", channel, [n for n in symbols if n not in proven or n not in accepted])

    def subscribe(self, symbols: Sequence[str]) -> None:
        """Asks for every channel of these symbols, and for all channels of the first of them before the next, because a
        price may need each channel."""
        size = self._symbols_each or len(symbols) or 1
        for start in range(0, len(symbols), size):
            for channel in self._subscriptions.channels:
                self._ask("subscribe", channel, symbols[start : start + size])

    def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Gives them back."""
        for channel in self._subscriptions.channels:
            self._ask("unsubscribe", channel, symbols)

    def halve(self, request: Request) -> None:
        """Asks once more, in two halves: the fewest messages in which one symbol to blame is found among many."""
        self._ask(request.verb, request.channel, request.symbols, each=(len(request.symbols) + 1) // 2)

    def rest(self, request: Request | None, now: float) -> None:
        """Says nothing for REST_SECONDS, because there were too many messages, and then asks for `request` again."""
        self._rests_until = now + REST_SECONDS
        if request is not None:
            self._waiting.appendleft(request)

    def ask_again(self, symbol: str, channel: str | None, request_id: int | None) -> None:
        """Asks once more for what the exchange refused of one symbol, but for what is no longer wanted or stands.

        The other symbols of the request have answers of their own, so the request stays unanswered.
        """
        request = self._unanswered.get(request_id) if request_id is not None else None
        verb: Verb = request.verb if request is not None else "subscribe"
        is_wanted = symbol in self._subscriptions.states
        if is_wanted is (verb == "unsubscribe"):
            return
        channel = channel or (request.channel if request is not None else None)
        for lacking in [channel] if channel else self._subscriptions.channels:
            if not self._subscriptions.accepted(lacking, symbol):
                self._add(verb, lacking, symbol)

    def answered(self, request_id: int | None) -> Request | None:
        """The request that an answer belongs to; without an id the oldest, since answers come in order."""
        if request_id is None:
            request_id = next(iter(self._unanswered), None)
        return None if request_id is None else self._unanswered.pop(request_id, None)

    def send(self, connection: Connection, now: float) -> None:
        """As much of what is asked as the exchange takes now. Raises Unreachable."""
        while self._waiting and self._may_send(now):
            request = self._waiting.popleft()
            self._say(connection, self._dialect.write(request, self._request_id + 1), now)
            self._unanswered[self._request_id] = request
            if len(self._unanswered) > MAX_UNANSWERED:
                del self._unanswered[next(iter(self._unanswered))]

    def ping(self, connection: Connection, now: float) -> bool:
        """Asks for a sign of life; False when the exchange takes no message now. Raises Unreachable."""
        may_send = self._may_send(now)
        if may_send:
            self._say(connection, self._dialect.ping(self._request_id + 1), now)
        return may_send

    def _ask(self, verb: Verb, channel: str, symbols: Sequence[str], each: int = 0) -> None:
        """Queues requests of at most `each` symbols, or of as many as the exchange takes."""
        size = each or self._symbols_each or len(symbols)
        for start in range(0, len(symbols), max(1, size)):
            self._waiting.append(Request(verb, channel, tuple(symbols[start : start + size])))

    def _add(self, verb: Verb, channel: str, symbol: str) -> None:
        """Queues one symbol within a request that waits, because each of very many may be refused alone."""
        alike = [
            (place, request)
            for place, request in enumerate(self._waiting)
            if (request.verb, request.channel) == (verb, channel)
        ]
        if any(symbol in request.symbols for _, request in alike):
            return
        for place, request in alike:
            if self._symbols_each is None or len(request.symbols) < self._symbols_each:
                self._waiting[place] = Request(verb, channel, (*request.symbols, symbol))
                return
        self._waiting.append(Request(verb, channel, (symbol,)))

    def _may_send(self, now: float) -> bool:
        """Whether one more message is within the budget of this second."""
        if now < self._rests_until:
            return False
        return (
            self._per_second is None or len(self._sent_at) < self._per_second or now - self._sent_at[0] > 1.0
        )

    def _say(self, connection: Connection, text: str, now: float) -> None:
        self._request_id += 1
        connection.send(text)
        if self._per_second is not None:
            self._sent_at.append(now)
