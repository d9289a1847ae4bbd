"""deploy/k8s: the manifests fit each other, the images and the settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate.configuration import SERVICES, settings_of, variable_name
from meta_learning.serving.settings import SECRETS

FOLDER = Path(__file__).parents[2] / "deploy/k8s"
API_VERSIONS = {
    "ConfigMap": "v1",
    "Deployment": "apps/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PersistentVolumeClaim": "v1",
    "PodDisruptionBudget": "policy/v1",
    "Service": "v1",
    "StatefulSet": "apps/v1",
}
PORTS = {"ingest": 8001, "trainer": 8002, "evolver": 8003, "monitor": 8000, "valkey": 6379}


def manifests() -> Iterator[dict[str, Any]]:
    for name in kustomization()["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))


def kustomization() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
    return loaded


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found for found in manifests() if found["kind"] == kind}


def workloads() -> dict[str, dict[str, Any]]:
    return of_kind("Deployment") | of_kind("StatefulSet")


def container(name: str) -> dict[str, Any]:
    (found,) = workloads()[name]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_the_kustomization_names_every_file() -> None:
    assert sorted(kustomization()["resources"]) == sorted(
        path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml"
    )
    assert {image["name"] for image in kustomization()["images"]} == {f"meta-learning-{name}" for name in SERVICES}


def test_every_manifest_is_of_a_current_api() -> None:
    for found in manifests():
        assert found["apiVersion"] == API_VERSIONS[found["kind"]]
        assert found["metadata"]["name"]


@pytest.mark.parametrize("name", PORTS)
def test_selectors_meet_the_labels_of_the_pods(name: str) -> None:
    spec = workloads()[name]["spec"]
    labels = spec["template"]["metadata"]["labels"].items()
    assert spec["selector"]["matchLabels"].items() <= labels
    assert of_kind("Service")[name]["spec"]["selector"].items() <= labels
    if name in SERVICES:
        assert of_kind("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"].items() <= labels


@pytest.mark.parametrize("name", PORTS)
def test_a_pod_is_probed_bounded_and_without_rights(name: str) -> None:
    pod, main = workloads()[name]["spec"]["template"]["spec"], container(name)
    assert pod["terminationGracePeriodSeconds"] >= 15
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert main["securityContext"]["readOnlyRootFilesystem"] is True
    assert main["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert main["ports"][0]["containerPort"] == PORTS[name]
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(main)
    assert {"requests", "limits"} <= set(main["resources"])


@pytest.mark.parametrize("name", SERVICES)
def test_liveness_asks_whether_it_lives_and_readiness_whether_it_can_work(name: str) -> None:
    assert container(name)["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container(name)["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


@pytest.mark.parametrize("name", PORTS)
def test_every_mount_has_its_volume(name: str) -> None:
    spec = workloads()[name]["spec"]
    volumes = {volume["name"] for volume in spec["template"]["spec"].get("volumes", ())}
    volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())}
    assert {mount["name"] for mount in container(name)["volumeMounts"]} == volumes


@pytest.mark.parametrize("name", SERVICES)
def test_every_variable_is_a_setting_of_some_service(name: str) -> None:
    known = {
        variable_name(field, info)
        for service in SERVICES
        if (settings := settings_of(service))
        for field, info in settings.model_fields.items()
    } | {f"{secret}_FILE" for secret in SECRETS}
    given = set(of_kind("ConfigMap")["meta-learning"]["data"]) | {
        item["name"] for item in container(name).get("env", ())
    }
    assert given <= known
    assert all(isinstance(value, str) for value in of_kind("ConfigMap")["meta-learning"]["data"].values())


def test_keys_of_language_models_reach_the_evolver_alone() -> None:
    holders = {
        name for name in SERVICES if any(e["name"].endswith("C_API_KEY") for e in container(name).get("env", ()))
    }
    assert holders == {"evolver"}
