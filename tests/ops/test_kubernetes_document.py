"""docs/kubernetes.md: its overlays suit the manifests, and what it has run in a pod runs."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import kubernetes_validate
import psycopg
import pytest
import yaml

from ops.admin import migrations
from ops.processes import spawn, stop
from tests.conftest import ROOT, need, serving
from tests.ops.databases import own_database
from tests.ops.monitoring.promql import History, Scrape
from tests.ops.test_compose import python, wait_for
from tests.ops.test_kubernetes import (
    BY_NAME,
    DOCUMENT,
    FOLDER,
    KEDA,
    KUSTOMIZATION,
    VERSIONS,
    container_of,
    environ_of,
    keda,
    write_secrets,
)
from tests.shared.monitoring.scraping import Reading

BLOCKS = [
    yaml.safe_load(re.sub(f"(?m)^{indent}", "", text))
    for indent, text in re.findall(r"(?ms)^( *)```yaml\n(.*?)^ *```", DOCUMENT)
]
PATCHES = [block["patches"] for block in BLOCKS if "patches" in block]
OVERLAYS = dict(zip(("own", "cluster", "sentinel", "tls", "replica"), PATCHES, strict=True))
((BACKUP_MISSED,),) = (block for block in BLOCKS if isinstance(block, list))
# What the scaler of a type has to be told, beside the stream: keda.sh/docs, its scalers.
NEEDED = {
    "redis-streams": {"address"},
    "redis-cluster-streams": {"addresses"},
    "redis-sentinel-streams": {"addresses", "sentinelMaster"},
}
HOUR = 3600.0


def test_keda_reaches_postgresql_from_its_own_namespace() -> None:
    """There the Service has a longer name."""
    assert f"@postgres.{KUSTOMIZATION['namespace']}:5432/" in DOCUMENT


def overlaid(folder: Path, *names: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The objects that overlays of the document make of the manifests, one after the other."""
    need("kubectl", "kubernetes-client")
    patches = [patch for name in names for patch in OVERLAYS[name]]
    folder.mkdir()
    (folder / "base").symlink_to(FOLDER)
    file = folder / "kustomization.yaml"
    file.write_text(yaml.safe_dump({"resources": ["base"], "patches": patches}))
    command = ["kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load_all(done.stdout)
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


def test_the_overlays_of_the_document_suit_the_manifests(tmp_path: Path) -> None:
    made = overlaid(tmp_path / "overlay", "own", "replica")
    for each in made.values():
        if each["apiVersion"] != KEDA:
            kubernetes_validate.validate(each, VERSIONS[0], strict=True)
    pod = made["Deployment", "api"]["spec"]["template"]["spec"]
    assert pod["volumes"][0]["secret"]["items"][-1]["key"] == "database_read_url"
    assert pod["containers"][0]["env"][0]["name"] == "DATABASE_READ_URL_FILE"
    assert made["ConfigMap", "settings"]["data"]["PUBLIC_URL"] == "https://power.example.org"
    assert made["Ingress", "api"]["spec"]["ingressClassName"] == "nginx"


@pytest.mark.parametrize("secured", [[], ["tls"]], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("servers", "kind"),
    [
        ([], "redis-streams"),
        (["cluster"], "redis-cluster-streams"),
        (["sentinel"], "redis-sentinel-streams"),
    ],
)
def test_keda_is_told_what_it_needs_of_one_redis_server_or_several(
    servers: list[str], kind: str, secured: list[str], tmp_path: Path
) -> None:
    made = overlaid(tmp_path / "overlay", *servers, *secured)
    done = keda([each for each in made.values() if each["apiVersion"] == KEDA])
    assert done.returncode == 0, done.stderr
    told = made["TriggerAuthentication", "redis"]["spec"]["secretTargetRef"]
    parameters = {each["parameter"] for each in told}
    assert ("sentinelPassword" in parameters) == (kind == "redis-sentinel-streams")
    *streams, rows = made["ScaledObject", "worker"]["spec"]["triggers"]
    assert rows["type"] == "postgresql"
    for trigger in streams:
        assert trigger["type"] == kind
        assert NEEDED[kind] <= {*trigger["metadata"], *parameters}
        assert ("enableTLS" in trigger["metadata"]) == bool(secured)


def told_of_the_cronjob(now: float, **moments: float) -> History:
    """What kube-state-metrics tells of our CronJob, and of somebody else's that never succeeded."""
    ours = {"namespace": KUSTOMIZATION["namespace"], "cronjob": "backup"}
    other = Reading("kube_cronjob_created", {"namespace": "other", "cronjob": "backup"}, 0.0)
    readings = [Reading(f"kube_cronjob_{name}", ours, at) for name, at in moments.items()]
    return History(Scrape(now, [other, *readings]))


@pytest.mark.parametrize(
    ("hours", "moments", "is_missed"),
    [
        (100, {"created": 0.0, "status_last_successful_time": 80 * HOUR}, False),
        (100, {"created": 0.0, "status_last_successful_time": 70 * HOUR}, True),
        (20, {"created": 0.0}, False),
        (30, {"created": 0.0}, True),
        (1, {}, True),
    ],
    ids=["of today", "of yesterday", "not due yet", "never any", "no CronJob"],
)
def test_the_alert_of_the_document_fires_where_the_cronjob_made_no_backup(
    hours: float, moments: dict[str, float], is_missed: bool
) -> None:
    history = told_of_the_cronjob(hours * HOUR, **moments)
    assert bool(history.evaluate(BACKUP_MISSED["expr"])) == is_missed
    assert ("CronJob", "backup") in BY_NAME


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder with what the image has of this checkout."""
    folder, ignored = tmp_path / "image", shutil.ignore_patterns("__pycache__")
    for name in re.findall(r"(?m)^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text()):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


@pytest.fixture
def service(urls: Mapping[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """What leads to an API and a worker on a database of their own."""
    with own_database(urls, "pods") as own:
        migrations.apply(own["DATABASE_URL"])
        worker = spawn(
            python(container_of("worker")["command"]),
            log=tmp_path / "worker.log",
            environ={**os.environ, **own, "PYTHONPATH": str(ROOT)},
        )
        try:
            with serving(tmp_path / "api.log", **own) as url:
                wait_for(lambda: httpx2.get(f"{url}/health/ready").json()["workers"] == 1)
                yield {**own, "API_URL": url}
        finally:
            stop(worker)


def test_what_runs_in_a_pod_runs_and_the_doctor_finds_all_well(
    service: Mapping[str, str], image: Path, tmp_path: Path
) -> None:
    """Also days after the first account was made, without a backup that the pod could see."""
    secrets = write_secrets(tmp_path / "s", service["DATABASE_URL"], service["REDIS_URL"])

    def run(pod: str, command: str) -> str:
        own = {"API_URL": service["API_URL"], "PUBLIC_URL": service["API_URL"]}
        environ = {**environ_of(pod, secrets), **own, "PYTHONPATH": str(image)}
        words = python(command.split())
        done = subprocess.run(words, cwd=image, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    make_user, doctor = re.findall(r"exec deployment/(\w+) -- (python -m ops .*)", DOCUMENT)
    assert "bpt_" in run(*make_user)
    with psycopg.connect(service["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE users SET created_at = now() - interval '3 days'")
    assert run(*doctor).endswith("\nall is well\n")


def test_the_doctor_asks_the_api_by_its_service() -> None:
    asked = httpx2.URL(BY_NAME["ConfigMap", "settings"]["data"]["API_URL"])
    (port,) = BY_NAME["Service", asked.host]["spec"]["ports"]
    assert (asked.port or 80) == port["port"]
