"""gunicorn.conf.py, as far as it can be seen without a server."""

import os
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


STARTED = """
import gc
from runpy import run_path
from types import SimpleNamespace

def start(is_alive):
    print(len(gc.get_objects()) < 0.1 * gc.get_freeze_count(), gc.isenabled())

hooks = run_path("gunicorn.conf.py")
services = SimpleNamespace(start=start, told_to_end=None)
app = SimpleNamespace(extensions={"ltp_service": services})
hooks["post_fork"](None, SimpleNamespace(app=SimpleNamespace(wsgi=lambda: app), age=2, alive=True))
"""


def test_a_worker_looks_for_garbage_among_what_is_made_after_its_start() -> None:
    assert ended([sys.executable, "-c", STARTED], check=True).stdout == "True True\n"


ROOM = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))
from runpy import run_path
run_path("gunicorn.conf.py")["make_room_for_streams"]()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_a_worker_may_open_as_many_files_as_there_can_be_streams() -> None:
    enough = ended(
        [sys.executable, "-c", ROOM.format(hard=8000)], env={**os.environ, "STREAM_MAX": "5000"}, check=True
    )
    assert enough.stdout == "6200\n"

    short = ended(
        [sys.executable, "-c", ROOM.format(hard=4096)], env={**os.environ, "STREAM_MAX": "5000"}, check=True
    )
    assert short.stdout.endswith("4096\n")
    assert "STREAM_MAX=5000 needs 6200" in short.stdout + short.stderr
