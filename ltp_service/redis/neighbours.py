"""Keeps the prices of the processes of one machine together while Redis does not deliver to one of them."""

import logging
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Lock

import msgspec

from ltp_service.domain.tick import Price
from ltp_service.redis.board import Board, Head
from ltp_service.redis.prices import RedisStore

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.02
"""Seconds between two looks of a process that hears the owner. One that does not looks before each answer."""

BEHIND_SECONDS = 0.15
"""Seconds by which a neighbour has to have heard the owner later for this process to be behind. Where all is well they hear
each bulletin within milliseconds."""

MUTE_AFTER_SECONDS = 0.05
"""Seconds without Redis' answer to a bulletin after which the owner tells its neighbours itself. Usually it takes one
millisecond."""

NEED_SECONDS = 1.0
"""Seconds after the last look of a process that does not hear the owner for which the others tell what they know."""

ASKS_SECONDS = 4.0
"""Seconds for which a process that hears the owner and needs REST shares what it knows: longer than a call takes."""

FRESH_SECONDS = 1.0
"""Seconds for which the word of a process that hears the owner counts like that of the owner. Later it may be wrong: the
owner may have taken evidence back."""

ANSWERED_WITHIN_SECONDS = 0.5
"""Seconds after the first look of a process within which its neighbours have told what they know: two looks of their polls."""

UNHEARD_SECONDS = 5.0
"""Seconds without a word of a neighbour after which each process asks REST by itself: more than two polls."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Price]).decode


class Neighbours:
    """The other processes of this machine, which share `store` with this one while Redis does not deliver.

    Whatever a process learns it tells before it answers with it, and a process that does not hear the owner reads what the
    others told before each answer. So a client that meets several of them sees no price go back. The owner tells, too, while
    Redis does not take its bulletin: for a second its neighbours believe that they still hear it.

    While all hear the owner they tell nothing, so that what is found on the board may be old. A process that begins compares it
    with what it holds, and takes no other pairs from it until its neighbours and Redis had time to tell more.
    """

    def __init__(
        self,
        store: RedisStore,
        *,
        leads: Callable[[], bool],
        heard_at: Callable[[], float | None],
        is_joining: Callable[[], bool],
        waits_since: Callable[[], float | None],
        processes: int,
        monotonic: Callable[[], float],
    ) -> None:
        """`leads`: whether this process is the owner of the feeds. `heard_at`: the monotonic second at which it last heard the
        owner, None while it does not hear it. `is_joining`: whether it is not known yet if Redis delivers to this process.
        `waits_since`: the monotonic second since which Redis has not taken what this process told as the owner, None where it has.
        `processes` are those of this machine, with this one."""
        self._store = store
        self._leads = leads
        self._own_heard_at = heard_at
        self._is_joining = is_joining
        self._waits_since = waits_since
        self._processes = processes
        self._monotonic = monotonic
        self._board: Board | None = None
        self._lock = Lock()
        self._known: object = None
        """The view of the store when it was last told, or compared with the others'."""
        self._versions: dict[int, int] = {}
        """The version of each slot that was read last."""
        self._next_look = 0.0
        self._first_look_at: float | None = None
        self._takes_old_words = False
        """Whether this process also takes pairs that it does not hold from what was told before its first look."""
        self._heard_at = 0.0
        """Monotonic seconds of the last word of a neighbour, or of the moment since which this process hears no owner."""
        self._asks_until = 0.0
        """Monotonic seconds until which this process needs REST although it hears the owner."""
        self._is_away = False
        """Whether this process needs what its neighbours know."""

    def meet(self, board: Board) -> None:
        """The neighbours are found on this board from now on. Without one this process has none."""
        self._board = board
        self._store.before_reading = self.look

    def askers(self) -> int:
        """How many processes of this machine ask REST, with this one; 0 while another one asks for it.

        To be called by a process that needs REST, again and again while it does: the owner may be heard and know nothing.
        Makes this process the one that asks where there is none. All ask where no neighbour told anything for
        UNHEARD_SECONDS.
        """
        board, now = self._board, self._monotonic()
        if board is None:
            return self._processes
        if not self._is_away:
            self._is_away, self._heard_at, self._asks_until = True, now, now + ASKS_SECONDS
        elif now < self._asks_until:
            self._asks_until = now + ASKS_SECONDS
        with suppress(OSError):
            if board.become_asker():
                return 1
        is_told = now < self._heard_at + UNHEARD_SECONDS
        return 0 if is_told else self._processes

    def heard(self, now: float) -> None:
        """This process hears the owner at that monotonic second."""
        if self._board is not None:
            with suppress(OSError):  # the next look tells what is wrong
                self._board.hear(now)

    def look(self) -> None:
        """Tells the neighbours what is new here, and takes what they told."""
        board, now = self._board, self._monotonic()
        if board is None or (not self._is_away and now < self._next_look):
            return
        if not self._lock.acquire(blocking=False):
            return  # a look is under way, and reads the store itself
        try:
            self._next_look = now + LOOK_EVERY_SECONDS
            self._exchange(board, now)
        except OSError as error:
            log.warning(
                "the workers of this machine cannot share prices, and each asks REST by itself: %s",
                error,
                extra={"once_a_minute": ("redis", "neighbours")},
            )
        finally:
            self._lock.release()

    def _exchange(self, board: Board, now: float) -> None:
        page = board.read()
        hears = self._leads() or (now >= self._asks_until and self._is_heard(page.heard_at))
        if hears:
            board.resign()
        elif not self._is_away:
            self._heard_at = now
        self._is_away = not hears
        if self._first_look_at is None:
            self._first_look_at = now
        needs = not hears or self._is_mute(now)
        if not needs and now >= page.needed_until:
            return
        if needs and page.needed_until < now + NEED_SECONDS / 2:
            board.need(now + NEED_SECONDS)
        is_news = self._store.held() is not self._known
        oldest = self._oldest_word_at(self._first_look_at, now)
        known_until = (self._own_heard_at() or 0.0) + MUTE_AFTER_SECONDS if hears else -inf
        for head in () if self._leads() else page.heads:
            is_known = head.hears and head.told_at < known_until
            if head.version != self._versions.get(head.slot) and not is_known:
                self._take(board, head, now, is_old=head.told_at < oldest, hears=hears)
        self._known = held = self._store.held()
        if is_news:
            board.tell(_encode(list(held.values())), now, hears)

    def _oldest_word_at(self, first_look_at: float, now: float) -> float:
        """Monotonic seconds before which a word of a neighbour is old."""
        if not self._takes_old_words:
            had_time = now >= first_look_at + ANSWERED_WITHIN_SECONDS
            self._takes_old_words = had_time and not self._is_joining()
        return -inf if self._takes_old_words else first_look_at

    def _is_mute(self, now: float) -> bool:
        """Whether Redis does not deliver what this process tells as the owner, or told until now."""
        since = self._waits_since()
        return (
            since is not None and now >= since + MUTE_AFTER_SECONDS and (self._own_heard_at() or 0.0) <= since
        )

    def _is_heard(self, by_any_at: float) -> bool:
        """Whether this process hears the owner, and no neighbour has heard it much later."""
        heard_at = self._own_heard_at()
        return heard_at is not None and by_any_at < heard_at + BEHIND_SECONDS

    def _take(self, board: Board, head: Head, now: float, *, is_old: bool, hears: bool) -> None:
        text = board.text(head)
        if text is None:
            return
        self._versions[head.slot] = head.version
        try:
            told = _decode(text)
        except msgspec.MsgspecError as error:
            raise OSError(f"what a worker told cannot be read: {error}") from error
        if is_old:
            held = self._store.held()
            self._store.agree(price for price in told if price.tick.pair in held)
            del self._versions[head.slot]  # it is read again, because more may be held then
            return
        if head.hears and not hears and now - head.told_at < FRESH_SECONDS:
            self._store.follow(told)
        else:
            self._store.agree(told)
        self._heard_at = now
