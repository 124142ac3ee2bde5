"""The connection to PostgreSQL: what goes wrong, how long it takes, and what is said about it."""

import logging
import re
import socket
import time
import traceback
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from ltp_service.domain.errors import StoreUnavailable
from ltp_service.history import postgres_link
from ltp_service.history.postgres_link import Connection, Link
from tests.deadline import generous
from tests.patched import run_patched
from tests.postgres_server import PASSWORD, PostgresServer
from tests.redis_server import free_port


def link(url: str, seconds: float = 30) -> Link:
    return Link(url, seconds)


def one(connection: Connection) -> Any:
    return connection.execute("SELECT 1").fetchone()


def sleep(seconds: float) -> Callable[[Connection], Any]:
    return lambda connection: connection.execute("SELECT pg_sleep(%s)", [seconds])


def refused(action: Callable[[], object]) -> str:
    """What the error says, once it was made sure that nothing of it contains the password."""
    with pytest.raises(StoreUnavailable) as caught:
        action()
    told = "".join(traceback.format_exception(caught.value))
    for secret in (PASSWORD, PASSWORD[:5], "ver%2F"):
        assert secret not in told
    return str(caught.value)


def test_it_is_opened_when_it_is_needed_and_after_it_was_closed(postgres: PostgresServer) -> None:
    opened = link(postgres.url())
    first, second = (opened.use(lambda connection: connection) for _ in range(2))
    assert first is second
    opened.close()
    assert opened.use(one) == (1,)
    assert opened.use(lambda connection: connection) is not first
    opened.close()


def test_each_connection_has_its_settings_but_for_those_that_a_version_does_not_know(
    postgres: PostgresServer,
) -> None:
    opened = Link(postgres.url(), 30, {"application_name": "mine", "setting_of_tomorrow": "on"})
    for name, value in (("application_name", "mine"), ("statement_timeout", "30s")):
        assert shown(opened, name) == value
    opened.close()


def shown(opened: Link, name: str) -> Any:
    return opened.use(lambda connection: connection.execute("SELECT current_setting(%s)", [name]).fetchall())[
        0
    ][0]


def test_a_name_is_resolved_and_the_next_host_is_tried(postgres: PostgresServer) -> None:
    tail = postgres.url().partition("@")[2].partition(":")[2]
    login = postgres.url().rpartition("@")[0]
    port, _, database = tail.partition("/")
    opened = link(f"{login}@127.0.0.1:{free_port()},localhost:{port}/{database}")
    assert opened.use(one) == (1,)
    opened.close()


def test_a_server_that_begins_or_ends_is_not_blamed_on_the_url() -> None:
    refusal = psycopg.OperationalError("connection failed: FATAL:  the database system is shutting down")
    told = postgres_link.explain_connecting(refusal)
    assert "is not ready" in told
    assert "password" not in told


@pytest.mark.parametrize(
    ("right", "wrong", "cause"),
    [
        ("ltp:", "other:", "refused the connection .*correct user, password and database"),
        ("a%25ver", "b%25ver", "refused the connection .*correct user, password and database"),
        ("/postgres", "/missing", "refused the connection .*database"),
        ("a%25ver", "a%zzver", "HISTORY_URL cannot be read"),
        ("/postgres", "/postgres?nonsense=1", "HISTORY_URL cannot be read"),
        ("127.0.0.1", "no-such-host.invalid", "cannot be reached .*correct HISTORY_URL"),
    ],
)
def test_a_wrong_url_is_explained_without_the_password(
    postgres: PostgresServer, right: str, wrong: str, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    opened = link(postgres.url().replace(right, wrong, 1))
    told = refused(lambda: opened.use(one))
    assert re.search(cause, told), told
    assert "ver%2F" not in caplog.text
    assert PASSWORD not in caplog.text


def test_a_server_that_is_gone_is_not_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = link(f"postgresql://ltp:{'x' * 9}@127.0.0.1:{free_port()}/history")
    told = refused(lambda: opened.use(one))
    assert "cannot be reached" in told
    monkeypatch.setattr(postgres_link, "_open", lambda *_: pytest.fail("it was asked again"))
    assert refused(lambda: opened.use(one)) == told


def test_a_statement_that_lasts_too_long_is_ended_by_the_server_and_the_connection_stays(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = link(postgres.url(), 0.2)
    held = opened.use(lambda connection: connection)
    assert "took too long" in refused(lambda: opened.use(sleep(60)))
    assert "took too long" in refused(lambda: opened.use(one)), "it is left alone for a while"
    monkeypatch.setattr(opened, "_silent_until", 0.0)
    assert opened.use(lambda connection: connection) is held
    assert opened.use(one) == (1,)
    opened.close()


def test_a_transaction_ends_where_something_is_raised(postgres: PostgresServer) -> None:
    opened = link(postgres.url())

    def broken(connection: Connection) -> None:
        connection.execute("BEGIN")
        raise KeyError

    with pytest.raises(KeyError):
        opened.use(broken)
    assert opened.use(lambda connection: connection.info.transaction_status.name) == "IDLE"
    opened.close()


def test_a_frozen_server_holds_a_question_only_until_its_deadline(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_link, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(postgres_link, "_SILENT_SECONDS", 0.1)
    opened = link(own_postgres.url(), 0.2)
    opened.use(one)
    own_postgres.freeze()
    began = time.monotonic()
    assert "did not answer in time" in refused(lambda: opened.use(one, again=True))
    assert "did not answer within 0.3 s" in refused(lambda: opened.use(one))
    assert time.monotonic() - began < generous(0.3, 0.3)
    own_postgres.thaw()
    monkeypatch.setattr(postgres_link, "CONNECT_SECONDS", 30)
    monkeypatch.setattr(opened, "_silent_until", 0.0)
    assert opened.use(one) == (1,)
    opened.close()


def test_a_port_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_link, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        opened = link(f"postgresql://ltp:xxxxxxxx@127.0.0.1:{silent.getsockname()[1]}/history")
        assert "did not answer within 0.2 s" in refused(lambda: opened.use(one))


@pytest.mark.parametrize("end", [PostgresServer.kill, PostgresServer.stop])
def test_a_restarted_server_is_found_again(
    own_postgres: PostgresServer, end: Callable[[PostgresServer], None]
) -> None:
    opened = link(own_postgres.url())
    opened.use(one)
    end(own_postgres)
    own_postgres.restart()
    assert opened.use(one, again=True) == (1,)
    end(own_postgres)
    own_postgres.restart()
    assert "PostgreSQL (HISTORY_URL)" in refused(lambda: opened.use(one))
    assert opened.use(one) == (1,)
    opened.close()


def test_it_waits_in_its_own_thread_and_never_stops_the_hub(
    postgres: PostgresServer, own_postgres: PostgresServer
) -> None:
    own_postgres.freeze()
    told = run_patched(
        """
        import sys, time
        import gevent
        from ltp_service.domain.errors import StoreUnavailable
        from ltp_service.history import postgres_link
        from ltp_service.runtime.spawn import NativeThread

        latest = 0.0

        def tick():
            global latest
            while True:
                began = time.monotonic()
                gevent.sleep(0.002)
                latest = max(latest, time.monotonic() - began)

        def ask(url):
            try:
                postgres_link.Link(url, 1).use(lambda connection: connection.execute("SELECT pg_sleep(60)"))
            except StoreUnavailable as error:
                # Neither was a hub made for this thread.
                return str(error), gevent._hub_local.get_hub_if_exists()

        gevent.spawn(tick)
        frozen, slow = sys.argv[1:]
        thread = NativeThread("reader")
        print(*thread.run(lambda: ask(slow)), sep="\\n")
        postgres_link.CONNECT_SECONDS = 1
        print(*thread.run(lambda: ask(frozen)), sep="\\n")
        print(latest)
        """,
        own_postgres.url(),
        postgres.url(),
    )
    own_postgres.thaw()
    slow_error, slow_hub, frozen_error, frozen_hub, latest = told.splitlines()
    assert "took too long" in slow_error
    assert "did not answer within 1 s" in frozen_error
    assert slow_hub == frozen_hub == "None"
    assert float(latest) < 0.5, "the hub was stopped while the thread waited"
