"""Becomes a command that is told to end when the process that started it has died, on Linux: elsewhere it goes on.

A program of its own: `python -I -S child.py PARENT HOLDS COMMAND...`. It begins with INT and TERM blocked. Where HOLDS is
1 they stay so for a command that takes them when it is ready. The process that starts the command has threads, where
running Python between fork and exec may hang (docs.python.org, subprocess: preexec_fn).
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""linux/prctl.h. The kernel keeps it when a process becomes another program."""

ENDING = signal.SIGINT, signal.SIGTERM


def end_with(parent: int) -> None:
    """Has the kernel send TERM to this process when its parent dies. Exits where that has died already."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - needed on this system alone

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    parent, holds_signals, *command = sys.argv[1:]
    end_with(int(parent))
    if holds_signals == "0":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    try:
        os.execvp(command[0], command)  # noqa: S606 - a shell would stand between the signals and it
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main()
