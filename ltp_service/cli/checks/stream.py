"""A running service, as its clients reach it: do streams come through at once?"""

from collections.abc import Iterator, Mapping

from ltp_service.cli.checks.finding import Finding, broken, ok, warning
from ltp_service.client.ask import reason_of
from ltp_service.client.blocking import Line
from ltp_service.client.sse import EventParser
from ltp_service.client.steps import Open, Receive, Send
from ltp_service.client.wire import Base, Broken, Response, request
from ltp_service.runtime.clock import Clock

STREAM, HEALTH = "/api/v1/stream", "/health"

HELLO_SECONDS = 5.0
"""Seconds for the first event. The next one follows within a heartbeat, so a buffer would have to be large to hold it."""

SLOW_SECONDS = 1.0
"""Seconds from which on the first event is late."""

BUFFERING = "switch buffering off for /api/v1/stream (nginx: proxy_buffering off, and no proxy_ignore_headers X-Accel-Buffering)"

_REMEDIES = {
    401: "put a key with read permission into LTP_API_KEY",
    403: "put a key with read permission into LTP_API_KEY",
    404: "is the URL that of the service, and does the proxy pass on /api/v1/stream?",
    429: "close streams that are not needed, or raise STREAM_MAX_PER_CLIENT; behind a proxy set TRUSTED_PROXIES",
    501: "streams need WORKER_CLASS=gevent",
    502: "the proxy does not reach the service: is it running, and does the proxy's upstream name its address?",
    503: "raise STREAM_MAX, or close streams that are not needed",
}
"""The remedy by the status of the answer."""


def look(url: str, key: str | None, clock: Clock) -> Iterator[Finding]:
    """One line on the service itself, and one on its streams. Raises ValueError for what is no base URL."""
    base = Base.read(url)
    headers = {"Accept": "text/event-stream"} | ({"X-API-Key": key} if key else {})
    alive = judge_life(base.url, _ask(base, HEALTH, {}, clock))
    yield alive
    if alive.level == "ok":
        yield judge_stream(base.url, _ask(base, STREAM, headers, clock))


class _Answer(Response):
    """An answer, until its first event."""

    seconds = 0.0
    """Seconds until the first event, or until the end."""
    event = ""
    """The name of the first event."""
    told = ""
    """What is wrong, in a few words; empty where it only did not come in time."""


def _ask(base: Base, path: str, headers: Mapping[str, str], clock: Clock) -> _Answer:
    answer, events = _Answer(), EventParser()
    began_at = clock.monotonic()
    with Line() as line:
        _, error = line.do(Open(base))
        if error is None:
            _, error = line.do(Send(request(base, path, {}, headers)))
        while error is None and not answer.is_complete and not answer.event:
            left = HELLO_SECONDS - (clock.monotonic() - began_at)
            if left <= 0:
                break
            received, error = line.do(Receive(left))
            try:
                content = b"" if received is None else answer.feed(received)
                if path == STREAM and answer.status == 200:
                    answer.event = next((event.name for event in events.feed(content)), "")
            except Broken as problem:
                answer.told = problem.reason
                break
        if error is not None:
            answer.told = reason_of(error)
    answer.seconds = clock.monotonic() - began_at
    return answer


def judge_life(url: str, answer: _Answer) -> Finding:
    """What the answer to /health means."""
    if answer.status == 200:
        return ok("service", f"{url} answers after {1000 * answer.seconds:.0f} ms")
    remedy = _REMEDIES.get(answer.status or 0, "is the service running, and the URL the right one?")
    return broken("service", f"{url}{HEALTH}: {_outcome(answer)}", remedy)


def _outcome(answer: _Answer) -> str:
    if answer.status is not None and not answer.told:
        return f"HTTP {answer.status}"
    return answer.told or f"no answer within {HELLO_SECONDS:g} s"


def judge_stream(url: str, answer: _Answer) -> Finding:
    """What the beginning of a stream means."""
    place = f"{url}{STREAM}"
    if answer.event:
        return _begun(place, answer)
    if answer.status not in (None, 200):
        remedy = _REMEDIES.get(answer.status, "see the log of the service and of the proxy")
        return broken("stream", f"{place}: {_outcome(answer)}", remedy)
    kind = answer.headers.get("content-type", "")
    if answer.status == 200 and "event-stream" not in kind:
        return broken("stream", f"{place} is answered with {kind or 'no content type'}", _REMEDIES[404])
    if answer.told or answer.is_complete:
        seen = f"{place}: {answer.told or 'ended before its first event'}"
        return broken("stream", seen, "see the log of the service and of the proxy")
    come = "only the head" if answer.status == 200 else "nothing"
    seen = f"{place}: {come} within {answer.seconds:.1f} s, though the service answers: something on the way buffers"
    return broken("stream", seen, BUFFERING)


def _begun(place: str, answer: _Answer) -> Finding:
    seen = f"{answer.event} after {1000 * answer.seconds:.0f} ms"
    if answer.event != "hello":
        return broken("stream", f"{place} begins with {answer.event}", _REMEDIES[404])
    if answer.seconds > SLOW_SECONDS:
        return warning("stream", seen, BUFFERING)
    return ok("stream", seen)
