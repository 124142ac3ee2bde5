"""The programs of docs/client.md: what the last one does, and that the page is whole."""

import re
import sys

from ltp_service import client
from tests.ended import PROJECT, ended

PAGE = (PROJECT / "docs" / "client.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_fake_service_of_the_page_works() -> None:
    ended([sys.executable, "-c", PROGRAMS[-1]], check=True)


def test_the_page_has_every_event_and_error() -> None:
    shown = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert shown == set(client.__all__) - {"AsyncPrices", "Prices", "PricesError", "Event"}
