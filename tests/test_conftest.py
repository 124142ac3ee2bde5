"""A skip is no success under CI=true, and elsewhere it gives its reason."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import SLOWEST

ROOT = Path(__file__).resolve().parent.parent

FILES = {
    "in_the_test": "import pytest\ndef test_it():\n    pytest.skip('no nginx')\n",
    "by_a_mark": "import pytest\n@pytest.mark.skip(reason='no nginx')\ndef test_it(): pass\n",
    "as_a_module": "import pytest\npytest.skip('no nginx', allow_module_level=True)\n",
    "recordings": "import pytest\ndef test_it(recorded):\n    recorded('nothing/such.jsonl')\n",
    "expected": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it():\n    assert False\n",
}
SKIPPING = ("in_the_test", "by_a_mark", "as_a_module")


def run_pytest(tmp_path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Another pytest on all the files, under this project's conftest."""
    for name, source in FILES.items():
        (tmp_path / f"test_{name}.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-rfEsx", "--rootdir", str(tmp_path)]
    return subprocess.run(
        [
            *command,
            "-c",
            "/dev/null",
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
            str(tmp_path),
        ],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        text=True,
    )


def reasons(output: str, outcome: str) -> dict[str, str]:
    """By file, what the summary says of those with an outcome."""
    lines = [line for line in output.splitlines() if line.startswith(outcome)]
    return {name: line for name in FILES for line in lines if f"test_{name}.py" in line}


def test_under_ci_a_skip_is_a_failure_that_gives_its_reason(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, {"CI": "true"})
    assert result.returncode != 0
    failed = reasons(result.stdout, "FAILED") | reasons(result.stdout, "ERROR")
    assert set(failed) == set(SKIPPING)
    assert result.stdout.count("CI=true forbids: Skipped: no nginx") >= 3
    assert "SKIPPED [1] " in result.stdout  # the recordings, which no program brings
    assert "the recorded sessions are not at hand" in result.stdout
    assert set(reasons(result.stdout, "XFAIL")) == {"expected"}


def test_elsewhere_a_skip_is_a_skip_that_gives_its_reason(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, {})
    assert result.returncode == 0
    assert set(reasons(result.stdout, "SKIPPED")) >= set(SKIPPING)
    assert "no nginx" in result.stdout


def test_the_slowest_files_exist() -> None:
    assert [name for name in SLOWEST if not (ROOT / "tests" / f"{name}.py").exists()] == []
