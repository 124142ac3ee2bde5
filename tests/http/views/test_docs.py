"""ltp_service.http.views.docs"""

import json
import re
from hashlib import sha256
from urllib.parse import urljoin

import pytest

from ltp_service.http.headers import FOR_JSON, FOR_PAGES
from ltp_service.http.openapi.document import document
from ltp_service.http.openapi.swagger import FILES, FOLDER, PAGE
from tests.service import FreshService

MANIFEST = json.loads((FOLDER / "MANIFEST.json").read_text())
OURS = {PAGE, "start.js"}
SERVED = sorted(FILES.keys() - {PAGE})
POLICY = "Content-Security-Policy"


def test_the_document_is_served_as_it_is(service: FreshService) -> None:
    answer = service.get("/openapi.json")
    assert answer.content_type == "application/json"
    assert answer.get_json() == json.loads(json.dumps(document()))


def test_the_page_may_run_our_own_scripts_only(service: FreshService) -> None:
    answer = service.get("/docs")
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.headers[POLICY] == dict(FOR_PAGES)[POLICY]
    assert "unsafe" not in answer.headers[POLICY]


def test_nothing_but_the_page_gets_the_policy_of_pages(service: FreshService) -> None:
    for path in ("/openapi.json", "/docs/start.js", "/docs/nothing"):
        assert service.get(path).headers[POLICY] == dict(FOR_JSON)[POLICY]


def test_the_page_asks_only_for_what_is_served(service: FreshService) -> None:
    page = service.get("/docs").get_data(as_text=True)
    asked = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(asked) == 5
    for path in asked:
        assert service.get(f"/{path}").status_code == 200


@pytest.mark.parametrize("name", SERVED)
def test_a_file_is_served_byte_for_byte_and_may_be_kept(service: FreshService, name: str) -> None:
    answer = service.get(f"/docs/{name}")
    assert answer.status_code == 200
    assert answer.get_data() == (FOLDER / name).read_bytes()
    assert answer.content_type == FILES[name]
    assert re.fullmatch("public, max-age=[0-9]+", answer.headers["Cache-Control"])
    again = service.get(f"/docs/{name}", If_None_Match=answer.headers["ETag"])
    assert again.status_code == 304
    assert again.get_data() == b""


def test_two_files_never_share_an_etag(service: FreshService) -> None:
    paths = ["/docs", "/openapi.json", *(f"/docs/{name}" for name in SERVED)]
    assert len({service.get(path).headers["ETag"] for path in paths}) == len(paths)


@pytest.mark.parametrize(
    "name", ["nothing", PAGE, "MANIFEST.json", "__init__.py", "../document.py", "..%2fdocument.py"]
)
def test_no_other_file_is_served(service: FreshService, name: str) -> None:
    answer = service.get(f"/docs/{name}")
    assert answer.status_code == 404
    assert answer.get_json()["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        *((path, "/docs") for path in ("/docs/", "/docs/.", "/docs/index.html", "/swagger", "/swagger/")),
        *((path, "/docs") for path in ("/swagger/index.html", "/swagger/ui/index.html/")),
        ("/swagger/doc.json", "/openapi.json"),
    ],
)
def test_where_others_have_the_page_leads_to_it(service: FreshService, path: str, leads_to: str) -> None:
    answer = service.get(path)
    location = answer.headers["Location"]
    assert answer.status_code == 301
    assert answer.get_data() == b""
    for root in ("", "/prices"):  # the second as a proxy may have it
        assert urljoin(f"http://host{root}{path}", location) == f"http://host{root}{leads_to}"
    assert service.get(leads_to).status_code == 200


def test_swagger_ui_is_as_it_was_published() -> None:
    held = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert held == MANIFEST["sha256"].keys() | OURS | {"MANIFEST.json", "__init__.py"}
    for name, expected in MANIFEST["sha256"].items():
        assert sha256((FOLDER / name).read_bytes()).hexdigest() == expected, name
    assert FILES.keys() == MANIFEST["sha256"].keys() | OURS


def test_its_licence_is_kept() -> None:
    assert MANIFEST["license"] == "Apache-2.0"
    assert "Apache License" in (FOLDER / "LICENSE").read_text()
    assert "SmartBear" in (FOLDER / "NOTICE").read_text()


@pytest.mark.parametrize("name", sorted(OURS))
def test_what_we_wrote_names_no_address_outside_and_no_inline_script(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert not re.search(r"https?:|[\"'(]//", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)


def test_the_page_asks_no_validator_on_the_internet() -> None:
    assert "validatorUrl: null" in (FOLDER / "start.js").read_text()
