"""The image, built without Docker, run as its user."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.compose import SERVICES
from tests.dockerfile import command, final, health_check
from tests.process.image import Image, StepFailed, as_user, build
from tests.process.service import Service, environment
from tests.simulator.client import Simulator

CHECK = [*command(), "--", "--check-config"]
"""A start that ends as soon as everything is loaded."""

pytestmark = pytest.mark.timeout(300)  # the packages may have to be downloaded


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Skips where the packages cannot be had."""
    with tempfile.TemporaryDirectory(prefix="ltp-image-") as folder:
        Path(folder).chmod(0o755)  # for the image's user
        try:
            built = build(Path(folder))
        except StepFailed as error:
            if "Retrying" not in str(error):
                raise
            # Without a network all other tests remain; with CI=true a skip is a failure.
            pytest.skip(f"the package index that the image needs is out of reach: {error}")
        yield built


def settings(simulator: Simulator | None, **more: str) -> Mapping[str, str]:
    """The tests' own, without what is of this machine."""
    names = {"HOST", "PORT", "RATE_LIMIT_ENABLED", "COLLECTORS", "KRAKEN_WEBSOCKET_URL", "KRAKEN_REST_URL"}
    return {name: value for name, value in environment(simulator, {}).items() if name in names} | more


def tree(image: Image) -> set[tuple[Path, float]]:
    """What there is, and since when, but for the volumes."""
    return {
        (path, path.stat(follow_symlinks=False).st_mtime)
        for path in image.root.rglob("*")
        if not any(path.is_relative_to(volume) for volume in image.volumes)
    }


def test_the_image_holds_what_the_service_needs_and_no_more(image: Image) -> None:
    assert {each.name for each in image.directory.iterdir()} == {
        *("__pycache__", "configs", "gunicorn.conf.py", "ltp_service", "wsgi.py")
    }
    assert not (image.root / "build").exists()


def test_only_the_volumes_are_the_users_and_can_be_written_to(image: Image) -> None:
    owned = ["-o", "-uid", str(user)] if (user := as_user().get("user")) else []
    found = ["find", str(image.root), "-not", "-type", "l", "(", "-writable", *owned, ")"]
    writable = subprocess.run(found, capture_output=True, text=True, check=True, **as_user()).stdout
    assert sorted(map(Path, writable.splitlines())) == sorted(image.volumes)


def test_it_serves_as_its_user_from_a_read_only_tree_and_ends(image: Image, simulator: Simulator) -> None:
    before = tree(image)
    given = settings(simulator, WEB_CONCURRENCY="2")
    with Service.begun(image.start(command(), given), feeds=2) as service:
        assert [service.get(path).status for path in ("/health", "/ready", "/metrics")] == [200] * 3
        assert service.ltp()
        assert image.run(health_check(), {"PORT": str(service.port)}) == (0, "")
        for pid in [service.master_pid, *service.worker_pids()]:
            assert Path(f"/proc/{pid}").stat().st_uid == as_user().get("user", os.getuid())
        service.signal(signal.Signals[final("STOPSIGNAL")])
        assert service.wait_for_exit() == 0
        assert image.run(health_check(), {"PORT": str(service.port)})[0] != 0
    assert tree(image) == before


def test_a_start_compiles_nothing_of_what_the_image_holds(image: Image) -> None:
    code, told = image.run(CHECK, {"PYTHONVERBOSE": "1"})
    assert code == 0
    compiled = re.findall(
        rf"^# code object from '?({re.escape(str(image.root))}[^']*\.py)'?$", told, re.MULTILINE
    )
    assert compiled == []
    assert f"{image.directory}/ltp_service/__pycache__/app." in told


def test_composes_command_gives_nginx_and_prometheus_a_way(image: Image, simulator: Simulator) -> None:
    http = image.root / "run/ltp-service/http.sock"
    places = {
        "--bind=0.0.0.0:8080": "--bind=127.0.0.1:0",
        "--bind=unix:/run/ltp-service/http.sock": f"--bind=unix:{http}",
    }
    words = [places.get(word, word) for word in SERVICES["ltp"]["command"]]
    with Service.begun(image.start(words, settings(simulator)), feeds=1) as service:
        assert service.get("/metrics").status == 200
        assert http.stat().st_mode & 0o777 == 0o777  # nginx is another user


def test_the_first_key_can_be_made_in_the_container(image: Image) -> None:
    words = ["python", "-m", "ltp_service", "keys", "create", "--name", "ops", "--permission", "admin"]
    code, output = image.run(words, {})
    assert code == 0, output
    assert "ltp_" in output


def test_a_file_that_is_forgotten_is_noticed(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    assert image.run(CHECK, {}) == (0, "")
    less = image.root.with_name("less")
    shutil.copytree(image.directory, less, ignore=shutil.ignore_patterns("views"))
    monkeypatch.setattr(image, "directory", less)
    assert image.run(CHECK, {})[0] != 0
