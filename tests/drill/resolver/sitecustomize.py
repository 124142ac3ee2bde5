"""On the service's PYTHONPATH: names ending in .invalid are resolved to loopback, or late, or not at all; and the machine may
have another name.

Python imports this module before anything else, so before gevent patches the standard library, and it stands where
both of them ask the system. What to do is read, at each question, from the file that LTP_DRILL_RESOLVER names:
nothing, `fail`, `both` (::1 comes before 127.0.0.1), or a number of seconds to wait before failing, as an unreachable
name server does. LTP_DRILL_MACHINE is the machine's name.
"""

import _socket
import os
import time
from pathlib import Path
from typing import Any

_ask_system = _socket.getaddrinfo
_sleep = time.sleep


def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    """As `socket.getaddrinfo`."""
    name = host.decode() if isinstance(host, bytes) else str(host)
    if not name.endswith(".invalid"):
        return _ask_system(host, *arguments, **options)
    order = Path(os.environ["LTP_DRILL_RESOLVER"]).read_text()
    good = _ask_system("127.0.0.1", *arguments, **options)
    if order == "both":
        return [*_ask_system("::1", *arguments, **options), *good]
    if not order:
        return good
    if order != "fail":
        _sleep(float(order))
    raise _socket.gaierror(_socket.EAI_AGAIN, "Temporary failure in name resolution")


_socket.getaddrinfo = getaddrinfo
_name = os.environ.get("LTP_DRILL_MACHINE") or _socket.gethostname()
_socket.gethostname = lambda: _name
