import pytest

from ltp_service.http.headers import FOR_JSON, FOR_PAGES, Cors, Headers, is_preflight

OURS = "https://app.example.org"
STRANGERS = [
    "https://evil.example",
    "http://app.example.org",
    "https://app.example.org:8443",
    "https://app.example.org.evil.example",
    "https://appxexample.org",
    "https://APP.example.org",
    "https://app.example.org/",
    "https://app.example.org\r\nX-Evil: 1",
    "https://app.example.org, https://evil.example",
    "null",
    "*",
    "",
]


def allowed(headers: Headers) -> str | None:
    return dict(headers).get("Access-Control-Allow-Origin")


def csp(headers: Headers) -> dict[str, str]:
    """The policy's directives with their sources."""
    directives = dict(headers)["Content-Security-Policy"].split("; ")
    return {name: sources for name, _, sources in (directive.partition(" ") for directive in directives)}


@pytest.mark.parametrize("headers", [FOR_JSON, FOR_PAGES])
def test_every_answer_forbids_guessing_leaking_and_framing(headers: Headers) -> None:
    known = dict(headers)
    assert known["X-Content-Type-Options"] == "nosniff"
    assert known["Referrer-Policy"] == "no-referrer"
    assert known["X-Frame-Options"] == "DENY"
    assert csp(headers)["frame-ancestors"] == csp(headers)["default-src"] == "'none'"


def test_nothing_may_run_from_a_json_answer() -> None:
    assert csp(FOR_JSON).keys() == {"default-src", "frame-ancestors"}


def test_a_page_runs_our_own_files_only() -> None:
    policy = csp(FOR_PAGES)
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data:"
    assert "unsafe" not in str(policy)


def test_an_origin_on_the_list_may_read_the_answer_and_its_headers() -> None:
    answer = dict(Cors((OURS, "https://b.example")).answer(OURS))
    assert answer["Access-Control-Allow-Origin"] == OURS
    exposed = answer["Access-Control-Expose-Headers"].split(", ")
    assert set(exposed) == {
        *("X-Request-ID", "X-Price-Source", "Retry-After", "ETag", "Link"),
        *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    }


@pytest.mark.parametrize("origin", STRANGERS)
def test_no_other_origin_may_read_or_ask(origin: str) -> None:
    cors = Cors((OURS, "https://b.example"))
    assert cors.answer(origin) == cors.preflight(origin) == (("Vary", "Origin"),)


@pytest.mark.parametrize("origin", [OURS, "https://evil.example", None])
def test_a_cache_is_told_that_the_answer_depends_on_the_origin(origin: str | None) -> None:
    assert ("Vary", "Origin") in Cors((OURS,)).answer(origin)


@pytest.mark.parametrize("origin", [OURS, "https://evil.example", "null", None])
def test_an_answer_for_everybody_is_the_same_for_everybody(origin: str | None) -> None:
    cors = Cors(("*",))
    assert allowed(cors.answer(origin)) == "*"
    assert cors.answer(origin) == cors.answer(None)
    assert "Vary" not in dict(cors.answer(origin))


@pytest.mark.parametrize("origin", [*STRANGERS, OURS, None])
def test_without_a_list_nothing_is_said(origin: str | None) -> None:
    assert Cors(()).answer(origin) == ()
    assert Cors(()).preflight(origin or "") == ()


@pytest.mark.parametrize(("origins", "answer"), [((OURS,), OURS), (("*",), "*")])
def test_a_preflight_is_told_what_may_be_asked(origins: tuple[str, ...], answer: str) -> None:
    told = dict(Cors(origins).preflight(OURS))
    assert told["Access-Control-Allow-Origin"] == answer
    assert set(told["Access-Control-Allow-Methods"].split(", ")) == {"GET", "HEAD", "POST", "DELETE"}
    assert {"X-API-Key", "X-Request-ID", "If-None-Match"} <= set(
        told["Access-Control-Allow-Headers"].split(", ")
    )
    assert 0 < int(told["Access-Control-Max-Age"]) <= 7200
    assert ("Vary" in told) == (answer != "*")


@pytest.mark.parametrize("origins", [(), (OURS,), ("*",)])
def test_cookies_are_never_invited(origins: tuple[str, ...]) -> None:
    cors = Cors(origins)
    assert "Access-Control-Allow-Credentials" not in dict(cors.answer(OURS) + cors.preflight(OURS))


def test_only_an_announced_request_is_a_preflight() -> None:
    assert is_preflight("OPTIONS", OURS, "POST")
    assert not is_preflight("OPTIONS", None, "POST")
    assert not is_preflight("OPTIONS", OURS, None)
    assert not is_preflight("GET", OURS, "POST")
