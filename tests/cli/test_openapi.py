"""ltp openapi: the document without a service."""

import json

from ltp_service.http.openapi.document import document
from tests.cli.conftest import Run


def test_it_prints_the_document_that_the_service_has(run: Run) -> None:
    printed = run("openapi")
    assert (printed.code, printed.err) == (0, "")
    assert json.loads(printed.out) == document()
