"""gunicorn.conf.py, as far as it can be seen without a server."""

import os
import re
import sys
from pathlib import Path

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


MASTER = """
from runpy import run_path
from types import SimpleNamespace

run_path("gunicorn.conf.py")[{hook!r}](None, SimpleNamespace(pid=7))
print("goes on")
"""


def said_by_master(hook: str, folder: Path) -> str:
    command = [sys.executable, "-c", MASTER.replace("{hook!r}", repr(hook))]
    done = ended(command, env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}, check=True)
    return done.stdout + done.stderr


def test_a_worker_finds_the_metrics_folder_that_has_gone(tmp_path: Path) -> None:
    assert said_by_master("pre_fork", tmp_path / "run" / "metrics") == "goes on\n"
    assert (tmp_path / "run" / "metrics").is_dir()


def test_a_worker_counts_elsewhere_where_the_metrics_folder_cannot_be_made_again(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    said = said_by_master("pre_fork", tmp_path / "run" / "metrics")

    assert "goes on\n" in said
    found = re.search(r"cannot be used any more \(Not a directory\), and new workers count in (\S+),", said)
    assert found is not None
    Path(found[1]).rmdir()


def test_the_master_outlives_a_metrics_folder_in_which_it_can_remove_nothing(tmp_path: Path) -> None:
    (tmp_path / "gauge_livemax_7.db").mkdir()  # removing it fails for root, too
    said = said_by_master("child_exit", tmp_path)

    assert "goes on\n" in said
    assert "gauges of worker 7, which has ended (Is a directory)" in said
