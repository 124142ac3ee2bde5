"""What a command does where standard output is full or closed, or where its reader has gone."""

import os
import subprocess
import sys
from collections.abc import Callable

import click
import pytest

from ltp_service.cli.standard_streams import Descriptor, OutputLost, guarded
from tests.deadline import DEADLINE
from tests.ended import PROJECT, ended

LTP = [sys.executable, "-m", "ltp_service"]


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def without_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize(
    ("place", "code", "says"),
    [
        (full, 74, "Error: standard output cannot be written (No space left on device); "),
        (without_reader, 141, ""),
    ],
)
def test_a_result_that_nobody_gets_is_no_success(place: Callable[[], int], code: int, says: str) -> None:
    with os.fdopen(place(), "w") as output:
        done = subprocess.run(
            [*LTP, "--version"],
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == code
    assert done.stderr[: len(says) or None] == says


def test_closed_streams_change_only_that_an_output_is_lost() -> None:
    line = '"$@" --version >&- 2>&- <&-; echo $?; "$@" price ? 2>&- <&-; echo $?'
    assert ended(["bash", "-c", line, "bash", *LTP]).stdout.split() == ["74", "2"]


def test_a_program_that_this_one_becomes_gets_no_socket_in_the_place_of_a_closed_stream() -> None:
    becoming = (
        "import os; from ltp_service.cli.standard_streams import guarded\n"
        "with guarded({}): os.execl('/bin/sh', 'sh', '-c', 'echo $(readlink /proc/$$/fd/1) >&2')"
    )
    done = ended(["bash", "-c", '"$@" >&-', "bash", sys.executable, "-c", becoming])
    assert done.stderr == "/dev/null\n"


def test_after_the_first_failure_nothing_is_written_and_nothing_said() -> None:
    number = full()
    try:
        output = Descriptor(number, is_needed=True)
        with pytest.raises(OutputLost, match="No space left on device"):
            output.write(b"1")
        assert output.write(b"23") == 2
    finally:
        os.close(number)


@pytest.mark.parametrize(
    ("locale", "written"),
    [
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, b"\\xe9"),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, b"\\xe9"),
        ({"LANG": "C", "LC_ALL": "C.UTF-8"}, "é".encode()),
        ({}, "é".encode()),
    ],
)
def test_a_terminal_of_the_locale_c_is_written_in_ascii(
    locale: dict[str, str], written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = os.openpty()
    monkeypatch.setattr("ltp_service.cli.standard_streams.STDOUT", theirs)
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, os.fdopen(ours, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stdout", terminal)
        with guarded(locale):
            click.echo("é")
        assert screen.read(100) == written + b"\r\n"
