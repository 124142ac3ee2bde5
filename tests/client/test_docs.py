"""The programs of docs/client.md: their types, and what the last one does."""

import re
import sys
from pathlib import Path

from ltp_service import client
from tests.ended import PROJECT, ended

PAGE = (PROJECT / "docs" / "client.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_programs_have_strict_types(tmp_path: Path) -> None:
    assert len(PROGRAMS) == 5
    for number, program in enumerate(PROGRAMS):
        (tmp_path / f"program_{number}.py").write_text(program)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        "",
        "--cache-dir",
        str(PROJECT / ".mypy_cache"),
        str(tmp_path),
    ]
    done = ended(command, env={"MYPYPATH": str(PROJECT)})
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_fake_service_of_the_page_works() -> None:
    ended([sys.executable, "-c", PROGRAMS[-1]], check=True)


def test_the_page_has_every_event_and_error() -> None:
    shown = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert shown == set(client.__all__) - {"AsyncPrices", "Prices", "PricesError", "Event"}
