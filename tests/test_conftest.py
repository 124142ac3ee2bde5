import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SKIPPING_FILES = {
    "in the test": "import pytest\ndef test_it():\n    pytest.skip('no nginx')\n",
    "by a mark": "import pytest\n@pytest.mark.skip(reason='no nginx')\ndef test_it(): pass\n",
    "as a module": "import pytest\npytest.skip('no nginx', allow_module_level=True)\n",
}


def run_pytest(tmp_path: Path, source: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Another pytest on one file, under this project's conftest."""
    (tmp_path / "test_one.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-rs", "--rootdir", str(tmp_path)]
    return subprocess.run(
        [*command, "-c", "/dev/null", "-p", "no:cacheprovider", str(tmp_path)],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        text=True,
    )


@pytest.mark.parametrize("source", SKIPPING_FILES.values(), ids=SKIPPING_FILES.keys())
def test_under_ci_a_skip_is_a_failure_that_gives_its_reason(source: str, tmp_path: Path) -> None:
    result = run_pytest(tmp_path, source, {"CI": "true"})
    assert result.returncode != 0
    assert "no nginx" in result.stdout
    assert "CI=true forbids" in result.stdout


def test_elsewhere_a_skip_is_a_skip_that_gives_its_reason(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, SKIPPING_FILES["in the test"], {})
    assert result.returncode == 0
    assert "no nginx" in result.stdout


def test_recordings_that_are_not_at_hand_are_no_failure_under_ci(tmp_path: Path) -> None:
    source = "import pytest\ndef test_it(recorded):\n    recorded('nothing/such.jsonl')\n"
    assert run_pytest(tmp_path, source, {"CI": "true"}).returncode == 0


def test_an_expected_failure_stays_one_under_ci(tmp_path: Path) -> None:
    source = "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it():\n    assert False\n"
    assert run_pytest(tmp_path, source, {"CI": "true"}).returncode == 0
