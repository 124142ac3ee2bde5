"""gunicorn.conf.py, as far as it can be seen without a server."""

import sys

from tests.ended import ended

HOOKS = """
import gc
from runpy import run_path
from types import SimpleNamespace

hooks = run_path("gunicorn.conf.py")
hooks[{hook!r}](*{arguments})
print(gc.isenabled(), gc.get_freeze_count() > 0)
"""


def ends_without_garbage(hook: str, arguments: str) -> bool:
    command = [sys.executable, "-c", HOOKS.replace("{hook!r}", repr(hook)).replace("{arguments}", arguments)]
    return ended(command, check=True).stdout == "False True\n"


def test_neither_a_worker_nor_the_master_looks_for_garbage_at_its_end() -> None:
    assert ends_without_garbage("worker_exit", "(None, SimpleNamespace(app=SimpleNamespace(callable=None)))")
    assert ends_without_garbage("on_exit", "(SimpleNamespace(reexec_pid=0),)")
