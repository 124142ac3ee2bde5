"""Running a program to its end."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.deadline import DEADLINE

PROJECT = Path(__file__).resolve().parent.parent


def ended(
    command: Sequence[str | Path], *, check: bool = False, **more: Any
) -> subprocess.CompletedProcess[str]:
    """All that it wrote, as text, and its exit code; it runs in the project's folder unless told otherwise."""
    given = {"cwd": PROJECT, "timeout": DEADLINE, **more}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, check=check, **given
    )
    return done
