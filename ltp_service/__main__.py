"""python -m ltp_service: the same as `ltp`."""

import os
import signal
import sys
from importlib import import_module

SERVERS = ["serve"], ["demo"]
"""Commands that Ctrl-C ends with 0 when they run."""


def run() -> int:
    """The command line of this process. Returns its exit code.

    Ctrl-C while the commands are being loaded ends it without a traceback, which would only tell of imports. Servers are
    loading until they become another program. TERM ends a command as Ctrl-C does, so that it leaves nothing half done.
    """
    serves = sys.argv[1:2] in SERVERS

    def leave(*_: object) -> None:
        os._exit(0 if serves else 128 + signal.SIGINT)

    is_obeyed = (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )  # else a script's background job
    if is_obeyed:
        signal.signal(signal.SIGINT, leave)
    main = import_module("ltp_service.cli").main
    if is_obeyed and not serves:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, leave if serves else _end)
    return int(main())


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(run())
