"""The Kubernetes manifests: each fits its schema, and what the promise rests on is set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.runtime.settings import Settings
from schemas.topics import Topics
from tests.support.json_schema import jsonschema_without

# Its validators take seconds to import: in one worker only.
pytestmark = pytest.mark.xdist_group("jsonschema")
FOLDER = Path(__file__).parents[2] / "infra/k8s"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = [
    manifest for name in KUSTOMIZATION["resources"] for manifest in yaml.safe_load_all((FOLDER / name).read_text())
]
CUSTOM = {"ScaledObject", "PodMonitor", "ServiceMonitor"}
"""Of KEDA and the Prometheus operator: their schemas are not Kubernetes'."""


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in MANIFESTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pods() -> list[dict[str, Any]]:
    found = []
    for manifest in MANIFESTS:
        spec = manifest.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found.append(spec["template"]["spec"])
    return found


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_each_manifest_fits_its_schema(manifest: dict[str, Any]) -> None:
    """Kubernetes' own schema, strictly; those of operators only by their heads."""
    if manifest["kind"] in CUSTOM:
        assert "/" in manifest["apiVersion"]
        assert manifest["spec"]
        return
    jsonschema_without()
    import kubernetes_validate  # slow to import

    kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_every_file_is_listed() -> None:
    """Nothing lies in the folder that is not applied."""
    assert {path.name for path in FOLDER.glob("*.yaml")} == {*KUSTOMIZATION["resources"], "kustomization.yaml"}


def test_pods_run_with_as_little_as_they_need() -> None:
    """Not as root, read-only, without capabilities or a token of the cluster: the restricted standard."""
    assert len(pods()) == 4
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
            assert container["resources"]["limits"]["memory"]


def test_a_processor_has_time_to_end_and_a_name_of_its_own() -> None:
    """No doubt by a deployment, and no pod fences another."""
    pod = named("Deployment", "processor")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > Settings.model_fields["ses_read_timeout_s"].default + 10
    assert pod["containers"][0]["args"] == ["process", "--instance", "$(POD_NAME)"]


def test_scaling_is_by_the_groups_lag_and_ends_at_the_partitions() -> None:
    """KEDA looks at the group and topic that mailonce uses by default; more processors than partitions would idle."""
    spec = named("ScaledObject", "processor")["spec"]
    (trigger,) = spec["triggers"]
    fields = Settings.model_fields
    assert trigger["metadata"]["consumerGroup"] == fields["group_id"].default
    assert trigger["metadata"]["topic"] == Topics(fields["topic_prefix"].default).jobs
    assert spec["maxReplicaCount"] == fields["partitions"].default


def test_settings_are_settings() -> None:
    """A misspelt variable would be ignored in silence."""
    known = {f"MAILONCE_{name.upper()}" for name in Settings.model_fields}
    data = named("ConfigMap", "mailonce")["data"]
    assert {name for name in data if name.startswith("MAILONCE_")} <= known


def test_the_producer_does_not_repeat_what_a_repeat_does_not_mend() -> None:
    """Exit code 3 is a result: rows were rejected."""
    job = named("CronJob", "producer")["spec"]["jobTemplate"]["spec"]
    (rule,) = job["podFailurePolicy"]["rules"]
    assert 3 in rule["onExitCodes"]["values"]
    assert job["template"]["spec"]["restartPolicy"] == "Never"
