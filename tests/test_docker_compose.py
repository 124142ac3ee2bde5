"""docker-compose.yml against the service and the files that it mounts; `make check` holds it to Compose's schema."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose import FILE, SERVICES, mounts, settings
from tests.conftest import ROOT
from tests.deployed import config_of, files_of_a_worker, longest_end, volumes_of_the_image
from tests.dockerfile import command

LTP = SERVICES["ltp"]
NGINX = SERVICES["nginx"]
SOCKET = "/run/ltp-service"
CONFIGURATION = (ROOT / "deploy" / "nginx.conf").read_text()

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


# The service.


def test_every_setting_is_one_of_the_services_and_its_value_accepted() -> None:
    config = config_of(settings())
    assert config.cache_backend == "redis"
    assert config.redis_addr == "redis:6379"
    assert config.trusted_proxies == 1


def test_a_password_that_was_not_chosen_stops_it() -> None:
    for name in ("REDIS_PASSWORD", "GRAFANA_PASSWORD"):
        used = re.findall(rf"\$\{{{name}[^}}]*\}}", (ROOT / "docker-compose.yml").read_text())
        assert used
        assert all(text.startswith(f"${{{name}:?") for text in used)
    assert SERVICES["redis"]["environment"]["REDISCLI_AUTH"] == LTP["environment"]["REDIS_PASSWORD"]


def test_it_starts_what_the_image_starts() -> None:
    assert LTP["command"][:5] == [*command(), "--"]


def test_it_may_end_in_order() -> None:
    assert int(LTP["stop_grace_period"].removesuffix("s")) > longest_end(config_of(settings()))


def test_a_worker_and_nginx_may_open_all_of_the_streams() -> None:
    config = config_of(settings())
    assert LTP["ulimits"]["nofile"] >= files_of_a_worker(config)
    (connections,) = re.findall(r"worker_connections (\d+);", CONFIGURATION)
    # To the client and to the service.
    assert int(connections) > 2 * config.stream_max
    (of_one_address,) = re.findall(r"limit_conn streams (\d+);", CONFIGURATION)
    assert int(of_one_address) > config.stream_max_per_client * config.web_concurrency


def test_what_the_service_writes_to_is_a_volume_with_a_name() -> None:
    assert set(mounts(LTP)) == set(map(str, volumes_of_the_image()))


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
    assert published["nginx"].endswith(":80")
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
    assert mounts(SERVICES["redis"]) == {"/data": "redis"}
