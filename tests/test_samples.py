"""The Python programs of README and of the pages for programmers have strict types, as their readers may want."""

import re
import sys
from pathlib import Path

from tests.ended import PROJECT, ended

PAGES = ("README.md", "docs/in-process.md", "docs/client.md")
PROGRAMS = [
    program
    for page in PAGES
    for program in re.findall(
        r"^```python\n(.*?)^```", (PROJECT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
]


def test_the_programs_have_strict_types(tmp_path: Path) -> None:
    assert len(PROGRAMS) >= 2 * len(PAGES)
    for number, program in enumerate(PROGRAMS):
        (tmp_path / f"program_{number}.py").write_text(program)
    cache = str(PROJECT / ".mypy_cache")
    options = ["--strict", "--config-file", "", "--cache-dir", cache]
    done = ended([sys.executable, "-m", "mypy", *options, str(tmp_path)], env={"MYPYPATH": str(PROJECT)})
    assert done.returncode == 0, done.stdout + done.stderr
