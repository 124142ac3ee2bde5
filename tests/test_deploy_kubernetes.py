"""deploy/kubernetes: the shape of each object, and that they fit each other and the service."""

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import yaml
from lightkube.core.resource_registry import resource_registry
from lightkube.core.schema import DictMixin

from tests.conftest import ROOT
from tests.deployed import config_of, longest_end, volumes_of_the_image
from tests.dockerfile import final

FILES = sorted((ROOT / "deploy" / "kubernetes").iterdir())
OBJECTS: dict[str, dict[str, Any]] = {
    each["kind"]: each for each in (yaml.safe_load(file.read_text()) for file in FILES)
}
DEPLOYMENT = OBJECTS["Deployment"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
(CONTAINER,) = POD["containers"]
PROBES = {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}


def read(manifest: dict[str, Any]) -> dict[str, Any]:
    """What Kubernetes knows of it. Raises ValidationError for a field that is missing or of another type."""
    model = resource_registry.load(manifest["apiVersion"], manifest["kind"])
    return msgspec.convert(manifest, cast(type[DictMixin], model)).to_dict()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_is_an_object_of_kubernetes_without_a_field_too_many(file: Path) -> None:
    manifest = yaml.safe_load(file.read_text())
    assert read(manifest) == manifest
    assert manifest["metadata"]["name"] == "ltp-service"


def test_a_field_that_does_not_exist_is_noticed() -> None:
    manifest = OBJECTS["Service"]
    misspelt = {**manifest, "spec": {**manifest["spec"], "port": 80}}
    assert read(misspelt) != misspelt
    with pytest.raises(msgspec.ValidationError):
        read({**manifest, "spec": {"ports": [{"port": "80"}]}})


def test_every_setting_is_one_of_the_services_and_its_value_accepted() -> None:
    config = config_of(OBJECTS["ConfigMap"]["data"])
    assert config.cache_backend == "redis"
    assert {"configMapRef": {"name": "ltp-service"}} in CONTAINER["envFrom"]
    assert {"secretRef": {"name": "ltp-service"}} in CONTAINER["envFrom"]


def test_it_starts_what_the_image_starts() -> None:
    assert not {"command", "args"} & CONTAINER.keys()


def test_no_history_is_written_to_a_disk_that_ends_with_the_pod_and_the_secret_may_name_a_server() -> None:
    assert not config_of(OBJECTS["ConfigMap"]["data"]).history_url.get_secret_value()
    # Of two sources with the same name the later one counts.
    assert [next(iter(source)) for source in CONTAINER["envFrom"]] == ["configMapRef", "secretRef"]


def test_no_variable_that_looks_like_a_setting_comes_from_kubernetes_itself() -> None:
    assert POD["enableServiceLinks"] is False


@pytest.mark.parametrize(("probe", "path"), PROBES.items())
def test_each_probe_asks_its_own_question_at_the_services_port(probe: str, path: str) -> None:
    (port,) = CONTAINER["ports"]
    assert CONTAINER[probe]["httpGet"] == {"path": path, "port": port["name"]}
    assert str(port["containerPort"]) == final("EXPOSE")


def test_it_has_left_the_load_balancer_before_it_ends_and_may_end_in_order() -> None:
    pause = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    config = config_of(OBJECTS["ConfigMap"]["data"])
    assert pause > CONTAINER["readinessProbe"]["periodSeconds"]
    assert POD["terminationGracePeriodSeconds"] > pause + longest_end(config)


def test_it_is_the_images_user_with_no_rights_and_a_tree_that_is_read_only() -> None:
    user, group = map(int, final("USER").split(":"))
    pod, container = POD["securityContext"], CONTAINER["securityContext"]
    assert (pod["runAsUser"], pod["runAsGroup"], pod["runAsNonRoot"]) == (user, group, True)
    assert container["readOnlyRootFilesystem"] is True
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert POD["automountServiceAccountToken"] is False


def test_where_it_may_write_something_is_mounted() -> None:
    mounted = {each["mountPath"]: each["name"] for each in CONTAINER["volumeMounts"]}
    assert str(volumes_of_the_image()[0]) in mounted
    assert set(mounted.values()) == {volume["name"] for volume in POD["volumes"]}


def test_one_more_is_up_before_one_goes_and_never_all_go_at_once() -> None:
    assert DEPLOYMENT["replicas"] >= 2
    assert DEPLOYMENT["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert OBJECTS["PodDisruptionBudget"]["spec"]["minAvailable"] == 1


def test_all_of_them_mean_the_same_pods() -> None:
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    (spread,) = POD["topologySpreadConstraints"]
    assert DEPLOYMENT["selector"]["matchLabels"] == labels
    assert OBJECTS["Service"]["spec"]["selector"] == labels
    assert OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert OBJECTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert spread["labelSelector"]["matchLabels"] == labels


def test_the_service_and_who_may_reach_it_name_the_containers_port() -> None:
    (port,) = CONTAINER["ports"]
    (rule,) = OBJECTS["NetworkPolicy"]["spec"]["ingress"]
    assert [each["targetPort"] for each in OBJECTS["Service"]["spec"]["ports"]] == [port["name"]]
    assert rule["ports"] == [{"port": port["name"]}]
