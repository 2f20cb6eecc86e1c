"""What the shipped files say of folders and ports, compared: each container may write where it writes, and whoever
serves metrics is scraped where it serves them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from processor.adapters.metrics_server import PORTS_TRIED
from schemas.runtime.settings import Settings
from tests.unit.test_kubernetes import MANIFESTS, pods

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
DOCKERFILE = (INFRA / "Dockerfile").read_text()
IMAGE = DOCKERFILE[DOCKERFILE.index("AS runtime") :]
IMAGE_ENV = dict(re.findall(r"(MAILONCE_\w+)=(\S+)", IMAGE))
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "docker-compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("mailonce:")}
UNITS = {path.name: path.read_text() for path in (INFRA / "systemd").glob("*.service")}
(UID,) = re.findall(r"^USER (\d+):\d+$", IMAGE, re.MULTILINE)
(WORKDIR,) = re.findall(r"^WORKDIR (\S+)$", IMAGE, re.MULTILINE)


# ---- folders ----


def written(command: list[str], env: dict[str, Any], works_in: str = WORKDIR) -> set[str]:
    """Folders that a container with this command writes to: its working directory, and what it is told."""
    given = IMAGE_ENV | env
    places = {works_in} | {after for word, after in itertools.pairwise(command) if word == "--dir"}
    if command[0] == "dashboard":
        places.add(given["MAILONCE_DASHBOARD_DIR"])
    return places


def test_the_images_volumes_belong_to_its_user() -> None:
    """A new volume takes its owner from the folder in the image: made before VOLUME and USER, by whom it is used."""
    volumes = re.findall(r"^VOLUME (\S+)$", IMAGE, re.MULTILINE)
    assert volumes
    user = re.search(r"^USER ", IMAGE, re.MULTILINE)
    assert user is not None
    for volume in volumes:
        made = re.search(rf"install -d -o {UID} -g {UID}(?: -m 0?7\d\d)? {volume}$", IMAGE, re.MULTILINE)
        assert made is not None, f"{volume} would be root's"
        assert made.start() < IMAGE.index(f"VOLUME {volume}") < user.start()


@pytest.mark.parametrize("name", OURS)
def test_each_container_may_write_where_it_writes(name: str) -> None:
    """The root file system is read-only: every such place is a tmpfs, or a volume on a folder that the image's user owns."""
    service = OURS[name]
    mounts = dict(mount.split(":", 1) for mount in service.get("volumes", []))
    writable = {place for place in mounts.values() if not place.endswith(":ro")}
    owned = set(re.findall(rf"install -d -o {UID} -g {UID}(?: -m \d+)? (\S+)$", IMAGE, re.MULTILINE))
    command = [str(word) for word in service["command"]]
    for place in written(command, service["environment"], service.get("working_dir", WORKDIR)):
        assert place in service["tmpfs"] or (place in writable and place in owned), f"{name} cannot write {place}"
    assert set(mounts) - {mount for mount in mounts if mount.startswith(".")} <= set(COMPOSE["volumes"])


def test_rejected_rows_outlive_their_container() -> None:
    """The producer is run with `--rm` and writes them into its working directory: a volume with a name."""
    service = COMPOSE["services"]["producer"]
    assert not {"--rejects", "--output"} & set(service["command"])
    volumes = {place: name for name, place in (mount.split(":", 1) for mount in service["volumes"])}
    assert volumes[service["working_dir"]] in COMPOSE["volumes"]


def test_compose_needs_no_variable() -> None:
    """`ps`, `logs` and `down` read the whole file too. A password that everybody can read here opens this machine's
    own address alone: each of its services is published on loopback, written out, or not at all."""
    text = (INFRA / "docker-compose.yml").read_text()
    assert re.findall(r"\$\{\w+:?\?", text) == []
    given = set(re.findall(r"\$\{\w*(?:TOKEN|PASSWORD)\w*:-([^}]+)\}", text))
    assert given
    users = [service for service in COMPOSE["services"].values() if any(word in yaml.dump(service) for word in given)]
    assert len(users) >= 2
    for service in users:
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
        assert service.get("network_mode") is None


def test_prometheus_shows_the_dashboards_own_token() -> None:
    """One word in two places, with the same default."""
    shown = COMPOSE["configs"]["dashboard_token"]["content"]
    assert shown == COMPOSE["services"]["dashboard"]["environment"]["MAILONCE_DASHBOARD_TOKEN"]
    (mount,) = COMPOSE["services"]["prometheus"]["configs"]
    assert mount["source"] == "dashboard_token"
    assert f"credentials_file: {mount['target']}\n" in (INFRA / "prometheus/compose.yml").read_text()


def test_each_pod_may_write_where_it_writes() -> None:
    """The same in Kubernetes: an empty or claimed volume, which fsGroup gives to the image's user."""
    claims = {
        claim["metadata"]["name"]
        for manifest in MANIFESTS
        for claim in manifest.get("spec", {}).get("volumeClaimTemplates", [])
    }
    for pod in pods():
        security = pod["securityContext"]
        assert str(security["runAsUser"]) == str(security["fsGroup"]) == UID
        kinds = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            env = {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
            at = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            for place in written(container.get("args", [""]), env):
                volume = at[place]["name"]
                assert not at[place].get("readOnly")
                assert volume in claims or "emptyDir" in kinds[volume], f"{container['name']} cannot write {place}"


def test_no_service_sets_a_setting() -> None:
    """Kubernetes puts NAME_PORT=tcp://… of each Service into each pod: `mailonce-dashboard` would break every command."""
    assert all(pod["enableServiceLinks"] is False for pod in pods())


def test_units_work_in_the_folder_that_they_may_write() -> None:
    """`ProtectSystem=strict` leaves the state folder only; relative folders are looked for in the working one."""
    for name, unit in UNITS.items():
        (state,) = re.findall(r"^StateDirectory=(\S+)$", unit, re.MULTILINE)
        assert re.findall(r"^WorkingDirectory=(\S+)$", unit, re.MULTILINE) == [f"/var/lib/{state}"], name
    assert not Path(Settings.model_fields["dashboard_dir"].default).is_absolute()


def test_the_units_variables_are_settings() -> None:
    """A misspelt one would be ignored in silence; one that a unit asks for by itself is in the example."""
    named = re.findall(r"^([A-Z]\w*)=", (INFRA / "systemd/env.example").read_text(), re.MULTILINE)
    known = {f"MAILONCE_{name.upper()}" for name in Settings.model_fields}
    asked = {name for unit in UNITS.values() for name in re.findall(r"\$\$(MAILONCE_\w+)", unit)}
    assert asked <= set(named)
    unknown = {name for name in named if not name.startswith(("AWS_", "MAILONCE_KAFKA_"))} - known - asked
    assert unknown == set()


# ---- ports ----


def scraped(file: str) -> dict[str, list[str]]:
    """Job: its targets, as host:port."""
    found: dict[str, list[str]] = {}
    for job in yaml.safe_load((INFRA / "prometheus" / file).read_text())["scrape_configs"]:
        targets = [target for static in job.get("static_configs", []) for target in static["targets"]]
        targets += [f"{name}:{dns['port']}" for dns in job.get("dns_sd_configs", []) for name in dns["names"]]
        found[job["job_name"]] = targets
    return found


def unit_port(name: str) -> int:
    (port,) = re.findall(r"--metrics-port (\d+)", UNITS[name])
    return int(port)


def test_prometheus_looks_where_the_units_serve() -> None:
    """On one machine: processors from one port on, each the next free one; evidence and dashboard at theirs."""
    jobs = scraped("prometheus.yml")
    first, evidence = unit_port("mailonce-processor@.service"), unit_port("mailonce-evidence.service")
    dashboard = Settings.model_fields["dashboard_port"].default
    targets = jobs["mailonce-processor"]
    assert targets == [f"127.0.0.1:{first + n}" for n in range(len(targets))]
    assert len(targets) > 1
    assert jobs["mailonce-evidence"] == [f"127.0.0.1:{evidence}"]
    assert jobs["mailonce-dashboard"] == [f"127.0.0.1:{dashboard}"]
    assert f"127.0.0.1:{dashboard}" in UNITS["mailonce-dashboard.service"]
    # A processor that takes the evidence's port would be scraped as the evidence.
    assert not {evidence, dashboard} & set(range(first, first + PORTS_TRIED))
    assert all(
        "--metrics-port" in UNITS[name] for name in UNITS if re.search(r"mailonce (process|evidence)\b", UNITS[name])
    )


def test_prometheus_looks_where_the_containers_serve() -> None:
    """In compose: the service's name, and the port of its own environment or the image's."""
    for job, targets in scraped("compose.yml").items():
        (target,) = targets
        host, _, port = target.partition(":")
        assert job == f"mailonce-{host}"
        env = IMAGE_ENV | COMPOSE["services"][host]["environment"]
        at = env["MAILONCE_METRICS_PORT"] or str(Settings.model_fields["dashboard_port"].default)
        assert port == at, job
        assert re.search(rf"^EXPOSE .*\b{port}\b", IMAGE, re.MULTILINE)
    for service in OURS.values():
        for published in service.get("ports", []):
            _, outside, inside = published.split(":")
            assert outside == inside


def test_prometheus_looks_where_the_pods_serve() -> None:
    """In Kubernetes: ports by name, with the numbers that the image uses."""
    numbers = {
        "metrics": IMAGE_ENV["MAILONCE_METRICS_PORT"],
        "http": str(Settings.model_fields["dashboard_port"].default),
    }
    served: set[str] = set()
    for pod in pods():
        for container in pod["containers"]:
            for port in container.get("ports", []):
                assert str(port["containerPort"]) == numbers[port["name"]], container["name"]
                served.add(port["name"])
            probes = [container[kind] for kind in ("livenessProbe", "readinessProbe") if kind in container]
            assert {probe["httpGet"]["port"] for probe in probes} <= {
                port["name"] for port in container.get("ports", [])
            }
    for manifest in MANIFESTS:
        spec = manifest.get("spec", {})
        for endpoint in [*spec.get("podMetricsEndpoints", []), *spec.get("endpoints", [])]:
            assert endpoint["port"] in served, manifest["metadata"]["name"]


def test_alerts_name_jobs_that_are_scraped() -> None:
    """By each of the ways to scrape."""
    named = re.findall(r'job=~?"mailonce-([^"]+)"', (INFRA / "prometheus/alerts.yml").read_text())
    jobs = {f"mailonce-{name}" for text in named for name in text.strip("()").split("|")}
    assert jobs
    for file in ("prometheus.yml", "compose.yml"):
        assert jobs <= set(scraped(file)), file


def test_the_docs_name_the_ports_that_are_used() -> None:
    """Every metrics port in the documentation is a unit's or the image's."""
    text = "".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    used = {
        IMAGE_ENV["MAILONCE_METRICS_PORT"],
        *(str(unit_port(name)) for name in UNITS if "--metrics-port" in UNITS[name]),
    }
    told = set(re.findall(r"--metrics-port[= ](\d+)|\b(94\d\d)\b", text))
    assert {one or other for one, other in told} <= used
    assert used <= {one or other for one, other in told}


def test_grafana_finds_what_compose_mounts() -> None:
    """The dashboards' folder and the data source are those that the provisioning names."""
    mounts = dict(mount.split(":")[:2] for mount in COMPOSE["services"]["grafana"]["volumes"])
    (provider,) = yaml.safe_load((INFRA / "grafana/provisioning/dashboards/mailonce.yml").read_text())["providers"]
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    (source,) = yaml.safe_load((INFRA / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert f"127.0.0.1:{port}:{port}" in COMPOSE["services"][host]["ports"]
    board = (INFRA / "grafana/dashboards/mailonce.json").read_text()
    assert set(re.findall(r'"uid": "([\w-]*prometheus)"', board)) == {source["uid"]}
