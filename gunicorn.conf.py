"""How gunicorn runs the service. gevent patches first, because a later patch breaks TLS contexts and locks."""

import os

monkey_patched = os.environ.get("WORKER_CLASS", "gevent").strip().lower() != "gthread"
if monkey_patched:
    from importlib import metadata

    from gevent import monkey

    # gevent asks 25 times which installed packages extend it. Each answer would read the entry points of all of them again.
    read_entry_points = metadata.entry_points
    metadata.entry_points = read_entry_points().select
    monkey.patch_all()
    metadata.entry_points = read_entry_points

import gc
import logging
import resource
import signal
import sys
import tempfile
import time
from math import ceil
from pathlib import Path
from typing import Any

import gunicorn.util
from gunicorn.systemd import listen_fds

from ltp_service.runtime.clock import SystemClock
from ltp_service.runtime.open_files import REMEDY, WORKER_CONNECTIONS, files_granted, files_needed
from ltp_service.exchanges.registry import unknown_collectors
from ltp_service.settings.config import Config, keep_or_load_config, unknown_names
from ltp_service.domain.errors import ConfigError
from ltp_service.metrics import folder as metrics_folder
from ltp_service.runtime.logs import STDERR, STDOUT, ServerLog, configure, finish, style_of, take_over_streams
from ltp_service.http.listening import refuse_a_socket_in_use, tell_of_ports_in_use, where_it_listens
from ltp_service.http.refusals import refuse
from ltp_service.http.services import services_of
from ltp_service.assembly.prices import GTHREAD_THREADS


def class_that_is_patched(config: Config) -> list[str]:
    """Refuses gthread from a file: gthread must not be patched, and the patch comes before the files are read."""
    if config.worker_class != "gthread" or not monkey_patched:
        return []
    return [
        "worker_class: 'gthread' refused: WORKER_CLASS=gthread must come from the environment, not from a file"
    ]


try:
    settings = keep_or_load_config(unknown_collectors, class_that_is_patched)
except ConfigError as error:
    sys.exit(str(error))

configure(settings.log_level, style_of(settings.log_format), SystemClock().monotonic)
take_over_streams()

gunicorn.util.write_error = refuse

wsgi_app = "wsgi:app"
bind = settings.host if settings.host.startswith("unix:") else f"{settings.host}:{settings.port}"
workers = settings.web_concurrency
# gevent takes 80-100 µs per request and delays a tick by milliseconds; gthread takes 130-400 µs and delays it by
# seconds (measured). gevent_pywsgi is faster still, but never closes an idle connection and has no hook after a
# request. Keep-alive is two seconds, because a client that sends half a request blocks its place, and a stopping
# worker, for that long. deploy/nginx.conf closes its connections earlier.
worker_class = {
    "gevent": "ltp_service.http.worker.Worker",
    "gthread": "ltp_service.http.thread_worker.ThreadWorker",
}[settings.worker_class]
keepalive = 2
threads = GTHREAD_THREADS  # for gthread
worker_connections = WORKER_CONNECTIONS
graceful_timeout = ceil(settings.shutdown_timeout)
timeout = 30
preload_app = False
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - memory, so that a slow disk never stops a heartbeat
control_socket_disable = True
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 8190
# No header of any client changes the scheme or the path, so gunicorn need not check the client's address.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
forwarded_allow_ips = "*"
http_protocols = "h1"
proc_name = "ltp_service"
logger_class = ServerLog

WORKER_STOP_SECONDS = min(4.0, settings.shutdown_timeout)
"""Seconds that a stopping worker waits for its runners."""

LAST_LINES_SECONDS = 0.5
"""Seconds that an ending process waits for a slow reader of its log."""


def make_room_for_streams() -> None:
    """Raises the number of files that this process, and each worker after it, may open."""
    needed = files_needed(settings.stream_max)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    granted = files_granted(needed)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    if granted < needed:
        logging.getLogger("ltp_service").warning(
            "a worker may open %d files, and STREAM_MAX=%d needs %d: %s",
            granted,
            settings.stream_max,
            needed,
            REMEDY,
        )


def make_workers_neighbours(server: Any) -> None:
    """Gives the workers of a fleet a file in which they share prices while Redis is away. It has no name, and ends with
    them. The server keeps it, because this file is read anew at a reload."""
    if settings.cache_backend != "redis" or settings.web_concurrency < 2 or hasattr(server, "neighbours"):
        return
    try:
        server.neighbours = tempfile.TemporaryFile(dir=worker_tmp_dir)  # noqa: SIM115 - open as long as the process
    except OSError as error:
        logging.getLogger("ltp_service").warning(
            "the workers of this machine cannot share prices, and each asks REST by itself: %s", error
        )


def on_starting(server: Any) -> None:
    if not server.master_pid and not listen_fds(unset_environment=False):
        refuse_a_socket_in_use(server.cfg.address)
        if not server.cfg.reuse_port:
            tell_of_ports_in_use(server.cfg.address)
    if monkey_patched:  # gthread serves no streams
        make_room_for_streams()
    make_workers_neighbours(server)
    metrics_folder.choose(settings.web_concurrency, worker_tmp_dir)
    folder = metrics_folder.shared_folder()
    if folder is not None and not server.master_pid:  # after USR2 the old master still uses it
        metrics_folder.begin(folder)
    log = logging.getLogger("ltp_service")
    for warning in unknown_names(os.environ):
        log.warning("%s", warning)
    if settings.cache_backend == "memory" and settings.web_concurrency > 1:
        log.warning(
            "%d workers with CACHE_BACKEND=memory: each has its own feed, prices and rate limits, and a client that"
            " meets another worker may see a price go back; CACHE_BACKEND=redis or WEB_CONCURRENCY=1 mends that",
            settings.web_concurrency,
        )


def when_ready(server: Any) -> None:
    # gunicorn calls this in the master alone, and not for a reload.
    # With GUNICORN_CMD_ARGS=--reuse-port each worker binds for itself, later.
    addresses = [listener.getsockname() for listener in server.LISTENERS] or server.cfg.address
    told = where_it_listens(addresses, "https" if server.cfg.is_ssl else "http")
    logging.getLogger("ltp_service").info("%s", told)


def on_reload(server: Any) -> None:
    make_workers_neighbours(server)
    metrics_folder.choose(settings.web_concurrency, worker_tmp_dir)


LOCAL_ADDRESSES = ("127.0.0.1", "::1", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def pre_fork(server: Any, worker: Any) -> None:
    if (folder := metrics_folder.shared_folder()) is not None:
        metrics_folder.keep(folder)
    # Until its application is loaded, a new worker has the master's signal handlers, which only queue signals, and
    # Python drops signals during the fork. A worker told to end in that time would run until it is killed.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)


def after_fork_here() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    for writer in (STDOUT, STDERR):
        writer.hand_over()


os.register_at_fork(after_in_parent=after_fork_here)


def post_fork(server: Any, worker: Any) -> None:
    def end(*_: object) -> None:
        worker.alive = False

    for number in ENDING_SIGNALS:
        signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    services = services_of(worker.app.wsgi())
    if hasattr(server, "neighbours") and services.prices.fleet is not None:
        services.prices.fleet.meet(server.neighbours.fileno())
    keep_for_good()
    services.start(lambda: bool(worker.alive))
    worker.told_to_end = services.told_to_end
    if worker.age == 1:
        services.first_key.announce(local_port(worker.sockets))


def keep_for_good() -> None:
    """Spares Python's collector what lives as long as the process: looking through it takes 30 ms, while nothing is sent or
    answered. Greenlets that start later are still found by it."""
    gc.collect()
    gc.freeze()


def local_port(sockets: list[Any]) -> int | None:
    """The TCP port at which a program on this machine reaches one of `sockets`; None where there is none."""
    addresses = (each.getsockname() for each in sockets)
    ports = (
        address[1] for address in addresses if isinstance(address, tuple) and address[0] in LOCAL_ADDRESSES
    )
    return next(ports, None)


def pre_request(worker: Any, request: Any) -> None:
    """In place of gunicorn's own, which logs the path at level debug: a client may put a key there by mistake."""


def post_request(worker: Any, request: Any, environ: Any, response: Any) -> None:
    # Without this a saturated worker serves some connections at the cost of others. It does not look at sockets;
    # ltp_service/http/turns.py does that for the feed.
    time.sleep(0)  # runs the other greenlets that are ready


def worker_exit(server: Any, worker: Any) -> None:
    if worker.app.callable is not None:
        services_of(worker.app.callable).stop(WORKER_STOP_SECONDS)
    finish(LAST_LINES_SECONDS)
    leave_the_garbage()


def leave_the_garbage() -> None:
    """Skips Python's collection of all objects at exit, which takes longer than the rest of the exit."""
    gc.freeze()
    gc.disable()


def child_exit(server: Any, worker: Any) -> None:
    if (folder := metrics_folder.shared_folder()) is not None:
        from ltp_service.metrics.merged import forget  # noqa: PLC0415 - see metrics/folder.py

        try:
            forget(worker.pid, folder)
        except OSError as error:
            # gunicorn would end the service.
            logging.getLogger("ltp_service").warning(
                "/metrics keeps showing gauges of worker %d, which has ended (%s); make room in %s, or let the user of"
                " the service write there, and start the service again",
                worker.pid,
                error.strerror,
                folder,
            )


def on_exit(server: Any) -> None:
    if (folder := metrics_folder.shared_folder()) is not None and not server.reexec_pid:
        metrics_folder.remove(folder)
    finish(LAST_LINES_SECONDS)
    leave_the_garbage()
