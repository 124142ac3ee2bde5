"""What gunicorn looks up once: the settings and streams are those that it would have found by itself."""

import logging
from collections.abc import Iterator
from io import StringIO

import pytest
from gunicorn.config import Config as GunicornConfig
from gunicorn.http.wsgi import base_environ

from ltp_service.http.gunicorn_once import keep_settings


def test_every_setting_reads_as_before() -> None:
    config = GunicornConfig()
    config.set("keepalive", 7)
    config.set("bind", ["127.0.0.1:0"])
    names = [*config.settings, "address", "is_ssl", "worker_class_str"]
    before = {name: getattr(config, name) for name in names}
    keep_settings(config)
    assert {name: getattr(config, name) for name in names} == before
    assert vars(config)["keepalive"] == 7


@pytest.fixture
def handler() -> Iterator[logging.StreamHandler[StringIO]]:
    """Of gunicorn's error log."""
    handler = logging.StreamHandler(StringIO())
    log = logging.getLogger("gunicorn.error")
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


def test_what_an_application_writes_comes_to_the_stream_that_the_error_log_has_then(
    handler: logging.StreamHandler[StringIO],
) -> None:
    config = GunicornConfig()
    config.set("errorlog", "a file")
    errors = base_environ(config)["wsgi.errors"]
    reopened = StringIO()
    handler.setStream(reopened)
    errors.write("one ")
    errors.writelines(["two ", "three"])
    errors.flush()
    assert reopened.getvalue() == "one two three"


def test_what_an_application_writes_comes_to_standard_error_too(capsys: pytest.CaptureFixture[str]) -> None:
    base_environ(GunicornConfig())["wsgi.errors"].write("a word")
    assert capsys.readouterr().err == "a word"
