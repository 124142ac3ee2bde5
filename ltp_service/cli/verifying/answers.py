"""What an answer of GET /api/v1/ltp says beside its numbers: status, headers, and pairs without a price; pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ltp_service.cli.verifying.said import Finding, Report
from ltp_service.client.wire import read_json

MOST_CACHE_SECONDS = {True: 0, False: 1}
"""Seconds for which a cache may keep an answer, with detail and without."""

_MAX_AGE = re.compile(r"\bmax-age=(\d+)")


class AnswerJudge:
    """Remembers the last answer without detail, which 304 and an ETag refer to."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._etag = ""
        self._body = b""
        self._at = 0.0

    def read(
        self,
        *,
        detail: bool,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        pairs: Sequence[str],
        at: float,
    ) -> list[dict[str, Any]] | None:
        """The items that the answer stands for; None where it is none about prices."""
        self._at = at
        if status == 304:
            body = self._body
        elif status not in (200, 206, 503):
            return None
        items, errors = self._content(body)
        if items is None:
            return [] if status == 503 else None
        if status == 200:
            self._check_headers(headers, body, detail)
        failed = {error.get("pair") for error in errors}
        told = {item.get("pair") for item in items}
        for pair in pairs:
            if status != 503 and pair not in told and (status == 200 or pair not in failed):
                self._find("no-price", pair, f"status {status} without it", "a price, or an error for it")
        return items

    def _content(self, body: bytes) -> tuple[list[dict[str, Any]] | None, list[dict[str, Any]]]:
        try:
            content = read_json(body)
        except ValueError as error:
            self._find("unreadable", None, f"answer: {error}", "JSON")
            return None, []
        fields = content if isinstance(content, dict) else {}
        errors = fields.get("errors", [])
        items = fields.get("ltp")
        if items is None and "code" not in fields:
            self._find("unreadable", None, "an answer without `ltp`", "a list of prices")
        return (None if items is None else _objects(items)), _objects(errors)

    def _check_headers(self, headers: Mapping[str, str], body: bytes, detail: bool) -> None:
        control = headers.get("cache-control", "")
        age = _MAX_AGE.search(control)
        if age and int(age[1]) > MOST_CACHE_SECONDS[detail]:
            self._find(
                "cacheable",
                None,
                f"Cache-Control: {control}",
                f"max-age={MOST_CACHE_SECONDS[detail]} at most",
            )
        etag = headers.get("etag", "")
        if detail:
            return
        if etag and etag == self._etag and body != self._body:
            self._find("hidden", None, f"ETag {etag}", "the body is another one than before")
        self._etag, self._body = etag, body

    def _find(self, kind: str, pair: str | None, said: str, true: str) -> None:
        self._report(Finding(kind, self._at, pair, said, true))


def _objects(values: Any) -> list[dict[str, Any]]:
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []
