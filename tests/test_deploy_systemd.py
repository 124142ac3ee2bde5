"""deploy/systemd: the unit against the service; tests/process/test_systemd.py has systemd and gunicorn judge it."""

import shlex
from pathlib import Path

import yaml

from tests.conftest import ROOT
from tests.deployed import config_of, files_of_a_worker, longest_end
from tests.dockerfile import command
from tests.systemd import SERVICE, environment, start_command

CONFIGURATION = (ROOT / "deploy" / "nginx.conf").read_text()


def test_every_setting_is_one_of_the_services_and_its_value_accepted() -> None:
    config = config_of(environment())
    assert config.trusted_proxies == 1
    state = Path("/var/lib") / SERVICE["StateDirectory"][0]
    assert config.database_path.parent == state
    assert config.history_url.file
    assert config.history_url.file.parent == state


def test_it_starts_what_make_installs_in_the_folder_of_the_project() -> None:
    program, *arguments = start_command()
    (folder,) = SERVICE["WorkingDirectory"]
    assert program == f"{folder}/.venv/bin/python"
    assert ["python", *arguments][:4] == command()


def test_nginx_and_prometheus_find_it() -> None:
    socket = f"unix:/run/{SERVICE['RuntimeDirectory'][0]}/http.sock"
    assert f"--bind={socket}" in start_command()
    assert f"server {socket} " in CONFIGURATION
    (group,) = yaml.safe_load((ROOT / "deploy" / "prometheus" / "targets.yml").read_text())
    assert [f"--bind={target}" for target in group["targets"]] == start_command()[5:6]


def test_it_may_end_in_order_and_is_started_again_for_ever() -> None:
    assert int(SERVICE["TimeoutStopSec"][0]) > longest_end(config_of(environment()))
    assert SERVICE["Restart"] == ["on-failure"]
    assert SERVICE["KillMode"] == ["mixed"]


def test_a_worker_may_open_all_of_its_streams() -> None:
    assert int(SERVICE["LimitNOFILE"][0]) >= files_of_a_worker(config_of(environment()))


def test_a_reload_is_the_signal_that_gunicorn_reloads_at() -> None:
    assert shlex.split(SERVICE["ExecReload"][0])[1:] == ["-HUP", "$MAINPID"]
