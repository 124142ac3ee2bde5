"""docker-compose.yml against the service and the files that it mounts; `make check` holds it to Compose's schema."""

import re
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest
import yaml

from tests.compose import FILE, SERVICES, TEXT, VARIABLE, Begun, begin, interpolated, mounts, settings
from tests.conftest import ROOT
from tests.deployed import config_of, files_of_a_worker, longest_end, volumes_of_the_image
from tests.dockerfile import command, final

LTP = SERVICES["ltp"]
NGINX = SERVICES["nginx"]
SOCKET = "/run/ltp-service"
CONFIGURATION = (ROOT / "deploy" / "nginx.conf").read_text()

CHOSEN = "one that was chosen"

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


# The service.


def test_every_setting_is_one_of_the_services_and_its_value_accepted() -> None:
    config = config_of(settings(REDIS_PASSWORD=CHOSEN))
    assert config.cache_backend == "redis"
    assert config.redis_addr == "redis:6379"
    assert config.trusted_proxies == 1


def test_no_variable_has_to_be_set() -> None:
    assert re.findall(r"\$\{\w+\}|:\?", TEXT) == []
    assert VARIABLE.findall(TEXT)


def test_a_file_of_settings_need_not_be_there_and_does_not_bring_grafanas_password() -> None:
    assert LTP["env_file"] == [{"path": ".env", "required": False}]
    assert LTP["environment"]["GRAFANA_PASSWORD"] == ""


def test_the_health_check_asks_where_the_service_listens_whatever_the_file_of_settings_says() -> None:
    config = config_of(settings(REDIS_PASSWORD=CHOSEN))
    assert f"--bind={config.host}:{config.port}" in LTP["command"]


def test_it_starts_what_the_image_starts() -> None:
    assert LTP["command"][:5] == [*command(), "--"]


def test_it_may_end_in_order() -> None:
    assert int(LTP["stop_grace_period"].removesuffix("s")) > longest_end(
        config_of(settings(REDIS_PASSWORD=CHOSEN))
    )


def test_a_worker_and_nginx_may_open_all_of_the_streams() -> None:
    config = config_of(settings(REDIS_PASSWORD=CHOSEN))
    assert LTP["ulimits"]["nofile"] >= files_of_a_worker(config)
    (connections,) = re.findall(r"worker_connections (\d+);", CONFIGURATION)
    # To the client and to the service.
    assert int(connections) > 2 * config.stream_max
    (of_one_address,) = re.findall(r"limit_conn streams (\d+);", CONFIGURATION)
    assert int(of_one_address) > config.stream_max_per_client * config.web_concurrency


def test_what_the_service_writes_to_is_a_volume_with_a_name() -> None:
    written = {text.split(":")[1] for text in LTP["volumes"] if not text.endswith(":ro")}
    assert written == set(map(str, volumes_of_the_image()))


# Every container.


@each_service
def test_it_has_no_rights_and_a_tree_that_is_read_only(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert "privileged" not in service


@each_service
def test_it_is_nobody_and_has_a_limit_of_memory(service: dict[str, Any]) -> None:
    assert (
        "build" in service or int(service["user"].partition(":")[0]) > 0
    )  # the image's own user is not root
    assert "mem_limit" in service


@each_service
def test_its_image_cannot_change_and_says_whether_it_is_well(service: dict[str, Any]) -> None:
    if "build" in service:  # then the Dockerfile says both
        assert service["build"] == "."
    else:
        assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", service["image"])
        assert service["healthcheck"]["test"][0].startswith("CMD")


@each_service
def test_everything_that_is_mounted_is_there(service: dict[str, Any]) -> None:
    for source in mounts(service).values():
        assert (ROOT / source).exists() if source.startswith(".") else source in FILE["volumes"]


@each_service
def test_what_is_mounted_from_the_project_cannot_be_written_to(service: dict[str, Any]) -> None:
    assert all(text.endswith(":ro") for text in service.get("volumes", []) if text.startswith("."))


def test_no_network_and_no_volume_is_left_over() -> None:
    assert {name for each in SERVICES.values() for name in each["networks"]} == FILE["networks"].keys()
    named = {source for each in SERVICES.values() for source in mounts(each).values()}
    assert {source for source in named if not source.startswith(".")} == FILE["volumes"].keys()


# Who reaches whom.


def test_only_prometheus_and_redis_are_in_a_network_with_the_service() -> None:
    beside = {name for name, each in SERVICES.items() if set(each["networks"]) & set(LTP["networks"])}
    assert beside == {"ltp", "redis", "prometheus"}
    assert "ports" not in LTP
    assert FILE["networks"]["store"] == {"internal": True}
    assert SERVICES["redis"]["networks"] == ["store"]


def test_only_nginx_is_published_to_other_machines() -> None:
    published = {name: port for name, each in SERVICES.items() for port in each.get("ports", [])}
    open_to_all = {name for name, port in published.items() if not port.startswith("127.0.0.1:")}
    assert open_to_all == {"nginx"}
    assert interpolated(published["nginx"], {}) == "8080:80"
    assert interpolated(published["nginx"], {"HTTP_PORT": "127.0.0.1:9000"}) == "127.0.0.1:9000:80"
    assert "listen 80 " in CONFIGURATION


def test_nginx_finds_the_socket_that_the_service_binds() -> None:
    assert f"--bind=unix:{SOCKET}/http.sock" in LTP["command"]
    assert f"server unix:{SOCKET}/http.sock " in CONFIGURATION
    assert mounts(LTP)[SOCKET] == mounts(NGINX)[SOCKET] == "socket"


def test_nginx_may_write_where_it_has_to_and_open_as_many_files_as_it_wants() -> None:
    writable = [Path(text.partition(":")[0]) for text in NGINX["tmpfs"]]
    written = re.findall(r"^\s*(?:pid|\w+_temp_path|proxy_cache_path) ([^ ;]+)", CONFIGURATION, re.MULTILINE)
    assert len(written) == 7
    assert all(any(Path(path).is_relative_to(place) for place in writable) for path in written)
    (wanted,) = re.findall(r"worker_rlimit_nofile (\d+);", CONFIGURATION)
    assert NGINX["ulimits"]["nofile"] == int(wanted)


def test_prometheus_asks_the_service_at_its_port() -> None:
    (group,) = yaml.safe_load((ROOT / "deploy" / "prometheus" / "targets.compose.yml").read_text())
    (target,) = group["targets"]
    name, _, port = target.partition(":")
    assert SERVICES[name] is LTP
    assert f"--bind=0.0.0.0:{port}" in LTP["command"]
    assert mounts(SERVICES["prometheus"])["/etc/prometheus/targets.yml"].endswith("targets.compose.yml")


def test_prometheus_reads_what_is_mounted() -> None:
    prometheus = SERVICES["prometheus"]
    (configuration,) = [
        word.partition("=")[2] for word in prometheus["command"] if word.startswith("--config.file=")
    ]
    assert configuration in mounts(prometheus)
    read = yaml.safe_load((ROOT / mounts(prometheus)[configuration]).read_text())
    assert {str(Path(configuration).with_name(name)) for name in read["rule_files"]} <= mounts(
        prometheus
    ).keys()


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    grafana = SERVICES["grafana"]
    provisioning = ROOT / mounts(grafana)["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "ltp_service.yml").read_text())["providers"]
    assert source["url"] == "${PROMETHEUS_URL}"
    assert grafana["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
    assert set(grafana["networks"]) & set(SERVICES["prometheus"]["networks"])
    assert list((ROOT / mounts(grafana)[provider["options"]["path"]]).glob("*.json"))


def test_redis_keeps_everything() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command
    assert mounts(SERVICES["redis"])["/data"] == "redis"


def test_the_graphs_are_there_when_they_are_asked_for() -> None:
    asked = {name for name, each in SERVICES.items() if each.get("profiles") == ["graphs"]}
    assert asked == {"prometheus", "grafana"}
    assert not {"profiles"} & set().union(*(SERVICES[name] for name in SERVICES.keys() - asked))


# Passwords.


def password_of(begun: Begun) -> str:
    """The one that Redis or Grafana begins with."""
    if begun.program == "redis-server":
        return begun.arguments[begun.arguments.index("--requirepass") + 1]
    return begun.environ["GF_SECURITY_ADMIN_PASSWORD"]


each_with_a_password = pytest.mark.parametrize("name", ["redis", "grafana"])


@each_with_a_password
def test_a_password_is_made_at_the_first_start_and_kept(name: str, tmp_path: Path) -> None:
    made = [password_of(begin(name, tmp_path)) for _ in range(2)]
    assert re.fullmatch("[A-Za-z0-9]{30,43}", made[0])
    assert made[0] == made[1]
    assert (tmp_path / "password").read_text() == f"{made[0]}\n"
    assert len({password_of(begin(name, folder)) for folder in (tmp_path, empty(tmp_path))}) == 2


@each_with_a_password
def test_a_password_that_was_chosen_counts_and_none_is_made(name: str, tmp_path: Path) -> None:
    assert password_of(begin(name, tmp_path, **{f"{name.upper()}_PASSWORD": CHOSEN})) == CHOSEN
    assert list(tmp_path.iterdir()) == []


def test_only_the_users_of_a_password_can_read_it(tmp_path: Path) -> None:
    begin("redis", tmp_path)
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o440
    _, group = SERVICES["redis"]["user"].split(":")
    assert group == final("USER").partition(":")[2]
    assert "/run/redis/password" in LTP["environment"].values()
    assert "redis:/run/redis:ro" in LTP["volumes"]
    volumes = {name: set(mounts(each).values()) for name, each in SERVICES.items()}
    assert {name for name, mounted in volumes.items() if "redis" in mounted} == {"redis", "ltp"}
    assert {name for name, mounted in volumes.items() if "grafana" in mounted} == {"grafana"}


def test_half_a_password_of_a_start_that_was_broken_off_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "password").touch()
    (tmp_path / "password.new").write_text("half")
    assert len(password_of(begin("redis", tmp_path))) >= 30
    assert [each.name for each in tmp_path.iterdir()] == ["password"]


def test_no_redis_begins_without_a_password(tmp_path: Path) -> None:
    with pytest.raises(CalledProcessError):
        begin("redis", tmp_path / "gone")


def empty(folder: Path) -> Path:
    (made := folder / "another").mkdir()
    return made
