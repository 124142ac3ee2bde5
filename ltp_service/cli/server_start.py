"""Runs gunicorn, and ends without a traceback when it is told to end while gunicorn is still being loaded.

A program of its own: `python -P server_start.py SCRIPT [OPTION]...`, or `-m MODULE` in the place of the script. It begins
with INT and TERM blocked, so that none is lost before it can take them. It does not import the package, whose modules
gunicorn loads only after it has patched the standard library.
"""

import os
import runpy
import signal
import sys
from types import FrameType

ENDING = signal.SIGINT, signal.SIGTERM


def leave(_: int, __: FrameType | None) -> None:
    """As gunicorn ends for these signals: with 0. Nothing is open yet that would have to be closed."""
    os._exit(0)


def main() -> None:
    for number in ENDING:
        signal.signal(number, leave)  # gunicorn puts its own in their place
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    del sys.argv[0]  # gunicorn starts what it finds there anew at USR2
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
