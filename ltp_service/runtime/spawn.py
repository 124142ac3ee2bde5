"""Runs a function in the background: as a greenlet, in a patched process or an unpatched one."""

import gc
import select
import socket
import sys
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

import gevent
from gevent import monkey
from gevent.threadpool import ThreadPool
from greenlet import greenlet

T = TypeVar("T")


class _Greenlet:
    """A greenlet, with the methods of a thread."""

    def __init__(self, function: Callable[[], None], name: str) -> None:
        self._greenlet = gevent.spawn(function)
        self._greenlet.name = name

    def join(self, timeout: float | None = None) -> None:
        self._greenlet.join(timeout)

    def is_alive(self) -> bool:
        return not self._greenlet.dead

    def kill(self) -> None:
        self._greenlet.kill(block=False)


Task = _Greenlet | Thread
"""Something that runs and can be waited for: `join` waits at most `timeout` seconds, `is_alive` is True until its end."""


def spawn(function: Callable[[], None], name: str) -> Task:
    """Starts `function`, which must not raise, and returns its task.

    In a patched process it is a greenlet on the hub that serves the requests. An unpatched process does not
    run that hub, so the greenlet gets a native thread with its own hub.
    """
    if monkey.is_module_patched("threading"):
        return _Greenlet(function, name)
    thread = Thread(target=_run_hub, args=(function,), name=name, daemon=True)
    thread.start()
    return thread


def abandon(task: Task) -> None:
    """In a forked process: ends the copy of a greenlet before it runs. A thread has no copy there."""
    if isinstance(task, _Greenlet):
        task.kill()


SWITCH_SECONDS = 0.0002
"""For so long a native thread may compute while the hub waits for its turn, each time that the hub has waited for the system.
Python's own are 5 ms."""


def native_sleep(seconds: float) -> None:
    """Stops the calling thread alone, also where `time.sleep` is gevent's."""
    monkey.get_original("time", "sleep")(seconds)


SLICE_SECONDS = 0.001
"""For so long a native thread computes before it lets the hub go first."""

NAP_SECONDS = 0.0005
"""The shortest rest. A thread that wakes up later than that by WAITED_SECONDS had to wait for the hub, which computes."""

WAITED_SECONDS = 0.00025

LONGEST_REST_SECONDS = 0.02
"""The longest rest after one slice, so that the work goes on beside a hub that is never idle."""

MOST_REST_SECONDS = 0.3
"""All rests of one piece of work: by so much it ends later at most. Without that bound too little would be done for what comes."""


class Rests:
    """Lets the hub go first while a native thread computes for long: the thread works in slices, and rests after each one until
    the hub is idle. Python itself would give the hub no more than every second turn. Used by one thread."""

    def __init__(
        self,
        computed: Callable[[], float] = time.thread_time,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = native_sleep,
    ) -> None:
        """`computed` gives the seconds for which the calling thread has computed: what it waits for is no work."""
        self._computed = computed
        self._clock = clock
        self._sleep = sleep
        self._worked_until = self._left = 0.0

    def begin(self) -> None:
        """A piece of work begins."""
        self._worked_until = self._computed()
        self._left = MOST_REST_SECONDS

    def rest(self) -> None:
        """Rests when a slice is over. To be called often while it works."""
        if self._computed() - self._worked_until < SLICE_SECONDS:
            return
        begun = now = self._clock()
        while now - begun < min(self._left, LONGEST_REST_SECONDS):
            self._sleep(NAP_SECONDS)
            before, now = now, self._clock()
            if now - before < NAP_SECONDS + WAITED_SECONDS:
                break
        self._left -= now - begun
        self._worked_until = self._computed()


class NativeThread:
    """One thread of the system, for what may wait on a disk or on a server: only the caller waits, and the hub goes on.

    It starts with the first call, so no fork before that loses it. It holds up no exit of the process. What runs in it
    may use no lock, sleep or socket of a patched standard library; nor may it log. What computes for long calls `rests.rest()`
    now and then.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = Lock()
        self._apply: Callable[[_Call], Any] | None = None
        self.rests = Rests()

    def run(self, function: Callable[[], T]) -> T:
        """Runs `function` after those of earlier calls, and returns its result or raises its error."""
        with self._lock:
            if self._apply is None:
                self._apply = self._start()
        # gevent's pool would print an error that leaves the function.
        value, error = self._apply(lambda: self._outcome(function))
        if error is not None:
            raise error
        result: T = value
        return result

    def _outcome(self, function: Callable[[], object]) -> "_Outcome":
        self.rests.begin()
        try:
            return function(), None
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            return None, error

    def _start(self) -> "Callable[[_Call], Any]":
        sys.setswitchinterval(min(SWITCH_SECONDS, sys.getswitchinterval()))
        if monkey.is_module_patched("threading"):
            pool = ThreadPool(1)
            return lambda call: pool.spawn(call).get()
        calls: SimpleQueue[tuple[_Call, SimpleQueue[_Outcome]]] = SimpleQueue()

        def work() -> None:
            while True:
                call, answer = calls.get()
                answer.put(call())

        def apply(call: _Call) -> _Outcome:
            answer: SimpleQueue[_Outcome] = SimpleQueue()
            calls.put((call, answer))
            return answer.get()

        Thread(target=work, name=self._name, daemon=True).start()
        return apply


_Outcome = tuple[Any, BaseException | None]
_Call = Callable[[], _Outcome]


def socket_rounds() -> Callable[[], int] | None:
    """A counter of how often this thread's hub has looked at its sockets; None in an unpatched process."""
    if not monkey.is_module_patched("threading"):
        return None
    return lambda: gevent.get_hub().loop.iteration


def when_readable() -> Callable[[int, Callable[[], None]], Callable[[], None]] | None:
    """A function that watches a file descriptor; None in an unpatched process.

    It takes a descriptor and a callback, which the hub calls once when the descriptor can be read, and returns a
    function that ends the watch.
    """
    return _when_readable if monkey.is_module_patched("threading") else None


def _when_readable(handle: int, tell: Callable[[], None]) -> Callable[[], None]:
    watcher = gevent.get_hub().loop.io(handle, 1)  # 1: reading; the socket's own watcher stays as it is

    def told() -> None:
        watcher.stop()  # else it would fire again and again until the socket is read
        tell()

    def end() -> None:
        watcher.stop()
        watcher.close()

    watcher.start(told)
    return end


def native_poll() -> select.poll:
    """A `select.poll()` that stops only the thread that waits on it: in a patched process, no greenlet of a hub."""
    made: select.poll = monkey.get_original("select", "poll")()
    return made


def native_addresses(host: str) -> list[str]:
    """The addresses of a host, asked for by the calling thread without a hub. Raises OSError."""
    found = monkey.get_original("socket", "getaddrinfo")(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def greenlets() -> list[str]:
    """The name of each living greenlet of this process, or of the function that it runs. Takes milliseconds."""
    # `isinstance` would ask the object itself, and a weak proxy to a deleted object raises ReferenceError then.
    living = [each for each in gc.get_objects() if issubclass(type(each), greenlet) and not each.dead]
    return [_name(each) for each in living]


def _name(each: greenlet) -> str:
    run = getattr(each, "_run", None)
    told = vars(each).get("name") if hasattr(each, "__dict__") else None
    return str(told or getattr(run, "__qualname__", None) or type(each).__qualname__)


def _run_hub(function: Callable[[], None]) -> None:
    try:
        gevent.spawn(function).join()
    finally:
        gevent.get_hub().destroy(destroy_loop=True)
