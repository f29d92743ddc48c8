"""The manifests of Kubernetes: valid by their schemas, and every command in them runs.

There is no cluster to apply them to, so each command is run by hand on the servers of the tests.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import kubernetes_validate
import psycopg
import pytest
import yaml

from ops.backups.folder import backups_in
from ops.processes import stop
from ops.server.stack import make_secrets
from shared.connections import open_redis
from shared.redis_keys import GROUP, Queue
from shared.settings import read_settings
from tests.conftest import ROOT, need
from tests.ops.pooler import configuration
from tests.ops.test_compose import check, python, wait_for

FOLDER = ROOT / "ops" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
# The oldest that providers still run, and the newest whose schemas there are.
VERSIONS = ["1.33", "1.37"]
DOCUMENT = (ROOT / "docs" / "kubernetes.md").read_text()
CAPACITY = (
    (ROOT / "docs" / "performance.md").read_text().partition("## A million riders at once")[2]
)
DEFAULTS = read_settings({"DATABASE_URL": "postgresql:///x", "REDIS_URL": "redis://x"})
KEDA = "keda.sh/v1alpha1"
NODE = ROOT / "tests" / "clients" / "node_modules"


def objects() -> Iterator[dict[str, Any]]:
    """Every object, in the order in which it is applied."""
    for file in KUSTOMIZATION["resources"]:
        yield from yaml.safe_load_all((FOLDER / file).read_text())


BY_NAME = {(each["kind"], each["metadata"]["name"]): each for each in objects()}
OF_KUBERNETES = [each for each in BY_NAME.values() if each["apiVersion"] != KEDA]
OF_KEDA = [each for each in BY_NAME.values() if each["apiVersion"] == KEDA]


def pod_of(each: Mapping[str, Any]) -> dict[str, Any]:
    """The pod that a workload makes."""
    spec: dict[str, Any] = each["spec"]
    if each["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    pod: dict[str, Any] = spec["template"]
    return pod


PODS = {
    name: pod_of(each)
    for (kind, name), each in BY_NAME.items()
    if kind in ("Deployment", "Job", "CronJob")
}


def container_of(name: str) -> dict[str, Any]:
    (container,) = PODS[name]["spec"]["containers"]
    assert container["name"] == name
    found: dict[str, Any] = container
    return found


def secrets_of(name: str) -> set[str]:
    """The keys of the secret that a pod sees."""
    for volume in PODS[name]["spec"]["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["secretName"] == "servers"
            return {item["path"] for item in volume["secret"].get("items", [])} or {"all"}
    return set()


def environ_of(name: str, secrets: Path, **more: str) -> dict[str, str]:
    """What the container has; its secrets are in ``secrets``."""
    container = container_of(name)
    assert container["envFrom"] == [{"configMapRef": {"name": "settings"}}]
    environ = {**BY_NAME["ConfigMap", "settings"]["data"], **more}
    environ |= {each["name"]: each["value"] for each in container.get("env", [])}
    for key in ("DATABASE_URL_FILE", "REDIS_URL_FILE"):
        file = Path(environ[key]).name
        assert secrets_of(name) & {file, "all"}
        environ[key] = str(secrets / file)
    bare = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    return {**bare, **environ}


@pytest.fixture
def secrets(urls: Mapping[str, str], tmp_path: Path) -> Path:
    """Files as the secret `servers` has them, that name the servers of the tests."""
    return write_secrets(tmp_path / "secrets", urls["DATABASE_URL"], f"{urls['REDIS_URL']}?db=3")


def write_secrets(folder: Path, database_url: str, redis_url: str) -> Path:
    make_secrets(folder)
    for name, url in (
        ("database_url", database_url),
        ("direct_database_url", database_url),
        ("redis_url", redis_url),
    ):
        (folder / name).write_text(url + "\n")
    return folder


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_by_the_schemas_of_kubernetes(version: str) -> None:
    """Strictly: a field that there is not is an error, too."""
    for each in OF_KUBERNETES:
        kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_find_what_is_wrong() -> None:
    each = json.loads(json.dumps(BY_NAME["Deployment", "api"]))
    each["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(each, VERSIONS[0], strict=True)


def keda(each: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    need("node", "nodejs")
    if not NODE.exists():
        lack = pytest.fail if os.environ.get("CI") else pytest.skip
        lack("the schemas of KEDA are not installed: run npm ci in tests/clients")
    command = ["node", "tests/ops/keda.mjs"]
    given = json.dumps(each)
    return subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True)


def test_what_scales_the_workers_is_valid_by_the_schemas_of_keda() -> None:
    done = keda(OF_KEDA)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "ScaledObject worker",
        "TriggerAuthentication redis",
        "TriggerAuthentication postgresql",
    ]
    (scaled,) = (each for each in OF_KEDA if each["kind"] == "ScaledObject")
    wrong = {**scaled, "spec": {**scaled["spec"], "triggers": [{"type": "redis-streams"}]}}
    assert "metadata" in keda([wrong]).stderr


def test_kustomize_makes_the_same_objects_in_the_namespace() -> None:
    need("kubectl", "kubernetes-client")
    done = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert {(each["kind"], each["metadata"]["name"]) for each in made} == set(BY_NAME)
    for each in made:
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == KUSTOMIZATION["namespace"]


def test_every_manifest_is_applied() -> None:
    files = {file.name for file in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KUSTOMIZATION["resources"]) == files
    images = {container_of(name)["image"] for name in PODS}
    assert {each["name"] for each in KUSTOMIZATION["images"]} == images


def test_no_pod_has_rights_or_takes_all_of_its_node() -> None:
    namespace = BY_NAME["Namespace", "bike-power-tracker"]["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, pod in PODS.items():
        context, container = pod["spec"]["securityContext"], container_of(name)
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_each_pod_sees_only_the_secrets_that_it_needs() -> None:
    assert secrets_of("api") == secrets_of("worker") == {"database_url", "redis_url"}
    assert secrets_of("pgbouncer") == {"pgbouncer_users"}
    assert not [each for each in BY_NAME if each[0] == "Secret"]


def test_what_serves_may_lose_one_pod_at_a_time_and_is_spread() -> None:
    for name in ("api", "worker", "pgbouncer"):
        budget = BY_NAME["PodDisruptionBudget", name]["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"]["matchLabels"] == PODS[name]["metadata"]["labels"]
        (spread,) = PODS[name]["spec"]["topologySpreadConstraints"]
        assert spread["topologyKey"] == "kubernetes.io/hostname"
        assert BY_NAME["Deployment", name]["spec"]["selector"]["matchLabels"] == {"app": name}
    assert BY_NAME["HorizontalPodAutoscaler", "api"]["spec"]["minReplicas"] >= 2
    assert BY_NAME["ScaledObject", "worker"]["spec"]["minReplicaCount"] >= 2


def test_a_stop_has_longer_than_what_is_under_way_may_take() -> None:
    pause = container_of("api")["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = {
        name: PODS[name]["spec"]["terminationGracePeriodSeconds"]
        for name in PODS
        if name in ("api", "worker")
    }
    assert grace["api"] > pause + DEFAULTS.shutdown_grace
    assert grace["worker"] > DEFAULTS.max_import_seconds


POOLER_FILE = BY_NAME["ConfigMap", "pgbouncer"]["data"]["pgbouncer.ini"]


def size(name: str) -> int:
    """A number of the poolers' file."""
    (found,) = re.findall(rf"(?m)^{name} = (\d+)$", POOLER_FILE)
    return int(found)


def test_a_pooler_has_the_file_of_the_stack_but_for_the_size_of_its_pool() -> None:
    own = {name: str(size(name)) for name in ("default_pool_size", "reserve_pool_size")}
    assert configuration(**own) == POOLER_FILE
    assert "host=postgres " in POOLER_FILE
    assert ("Service", "postgres") in BY_NAME


def test_the_poolers_leave_connections_of_postgresql_s_to_those_who_go_without() -> None:
    """To KEDA, migrations and backups, while a rollout has one pooler more.

    PostgreSQL takes 100 by default, of which three are for superusers.
    """
    poolers = BY_NAME["Deployment", "pgbouncer"]["spec"]
    assert poolers["strategy"]["rollingUpdate"]["maxSurge"] <= poolers["replicas"]
    count = 2 * poolers["replicas"]  # those that end are no part of the surge
    assert 97 - count * (size("default_pool_size") + size("reserve_pool_size")) >= 20
    assert poolers["replicas"] >= 2


def test_one_pooler_alone_takes_all_that_the_pods_open() -> None:
    """Beside its pool an API process has two connections for its looks, a worker five in all."""
    api = BY_NAME["HorizontalPodAutoscaler", "api"]["spec"]["maxReplicas"]
    workers = BY_NAME["ScaledObject", "worker"]["spec"]["maxReplicaCount"]
    opened = api * (DEFAULTS.database_pool_size + 2) + workers * 5
    assert opened <= size("max_client_conn")


def cores(quantity: str) -> float:
    """What Kubernetes means by ``700m`` or ``1``."""
    return int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def test_another_api_pod_comes_at_the_load_that_cores_are_planned_for() -> None:
    """A pod asks for more than it has then: else its node may have no more to give before that."""
    (planned,) = re.findall(r"cores planned for (\d+)% load", CAPACITY)
    (metric,) = BY_NAME["HorizontalPodAutoscaler", "api"]["spec"]["metrics"]
    (target,) = (cores(metric["resource"]["target"][key]) for key in ("averageValue",))
    assert target == int(planned) / 100
    assert target < cores(container_of("api")["resources"]["requests"]["cpu"]) <= 1


def test_pods_may_become_as_many_as_a_million_riders_need() -> None:
    """Those of a batch every ten seconds; what one a second needs is said in the document."""
    needed = dict(re.findall(r"(?m)^\| (\d+) \| [\d,]+ \| [\d.]+ µs \| (\d+) \|$", CAPACITY))
    fold = r"(?m)^\| (?:checkpoints|completions) \| [\d,]+ \| [\d.]+ ms \| (\d+) \|"
    workers = sum(map(int, re.findall(fold, CAPACITY)))
    api = BY_NAME["HorizontalPodAutoscaler", "api"]["spec"]["maxReplicas"]
    assert int(needed["10"]) <= api < int(needed["1"])
    assert 0 < workers <= BY_NAME["ScaledObject", "worker"]["spec"]["maxReplicaCount"]
    said = f"need {needed['60']} at a batch a minute, {needed['10']} at one every ten seconds, and"
    assert f"{said} {needed['1']} at one a second" in DOCUMENT


def test_the_ingress_lets_through_what_the_api_takes() -> None:
    annotations = BY_NAME["Ingress", "api"]["metadata"]["annotations"]
    megabytes = annotations["nginx.ingress.kubernetes.io/proxy-body-size"].removesuffix("m")
    assert int(megabytes) * 1024**2 >= max(DEFAULTS.max_file_bytes, DEFAULTS.max_body_bytes)


def test_workers_are_scaled_by_streams_and_rows_that_there_are(
    urls: Mapping[str, str], database: Any
) -> None:
    """The query answers, and each stream and group is one that workers read."""
    triggers = BY_NAME["ScaledObject", "worker"]["spec"]["triggers"]
    streams = [each["metadata"] for each in triggers if each["type"] == "redis-streams"]
    assert {each["stream"] for each in streams} <= {str(queue) for queue in Queue}
    assert {each["consumerGroup"] for each in streams} == {GROUP}
    (rows,) = (each["metadata"] for each in triggers if each["type"] == "postgresql")
    with psycopg.connect(urls["DATABASE_URL"]) as connection:
        (counted,) = connection.execute(rows["query"]).fetchone() or [None]
    assert isinstance(counted, int)
    keys = {
        parameter["key"]
        for each in OF_KEDA
        if each["kind"] == "TriggerAuthentication"
        for parameter in each["spec"]["secretTargetRef"]
    }
    assert keys == {"redis_address", "redis_password", "direct_database_url"}


def test_the_migrate_command_migrates(secrets: Path) -> None:
    done = check(container_of("migrate")["command"], environ_of("migrate", secrets))
    assert (done.returncode, done.stdout) == (0, "nothing to apply\n"), done.stderr


def test_the_backup_command_writes_a_backup(secrets: Path, tmp_path: Path) -> None:
    environ = environ_of("backup", secrets)
    assert environ["BACKUP_DIR"] == environ["TMPDIR"] == "/backups"
    environ |= {"BACKUP_DIR": str(tmp_path / "backups"), "TMPDIR": str(tmp_path)}
    done = check(container_of("backup")["command"], environ)
    assert done.returncode == 0, done.stderr
    assert len(backups_in(tmp_path / "backups")) == 1


def probe_of(container: Mapping[str, Any], kind: str, port: int) -> list[str]:
    """A probe as a command; one by HTTP asks as the kubelet does."""
    probe = container[kind]
    if "exec" in probe:
        return list(probe["exec"]["command"])
    asked = probe["httpGet"]
    assert asked["port"] == "http"
    program = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=8).read()"
    return ["python", "-c", program, f"http://127.0.0.1:{port}{asked['path']}"]


def passes(probe: list[str], environ: Mapping[str, str]) -> bool:
    return check(probe, environ).returncode == 0


@pytest.mark.parametrize(
    ("name", "probes"),
    [("api", ["startupProbe", "readinessProbe", "livenessProbe"]), ("worker", ["readinessProbe"])],
)
def test_the_pod_gets_ready_and_stops_within_its_grace(
    name: str, probes: list[str], secrets: Path
) -> None:
    """On Redis database 3: the worker must be the only one there."""
    port = 18767
    own = {"HOST": "127.0.0.1", "PORT": str(port), "METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
    environ, container = {**environ_of(name, secrets), **own}, container_of(name)
    commands = [probe_of(container, kind, port) for kind in probes]
    assert not any(passes(probe, environ) for probe in commands)
    process = subprocess.Popen(
        python(container["command"]), cwd=ROOT, env=environ, stderr=subprocess.DEVNULL
    )
    try:
        for probe in commands:
            wait_for(partial(passes, probe, environ))
        process.send_signal(signal.SIGTERM)
        grace = PODS[name]["spec"]["terminationGracePeriodSeconds"]
        assert process.wait(grace) == 0
    finally:
        stop(process)


def test_the_group_that_keda_asks_about_is_there_once_a_worker_runs(secrets: Path) -> None:
    environ = environ_of("worker", secrets) | {"METRICS_HOST": "127.0.0.1", "METRICS_PORT": "0"}
    command = python(container_of("worker")["command"])
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
    settings = read_settings({**environ, "DATABASE_URL_FILE": environ["DATABASE_URL_FILE"]})
    streams = [
        each["metadata"]["stream"]
        for each in BY_NAME["ScaledObject", "worker"]["spec"]["triggers"]
        if each["type"] == "redis-streams"
    ]
    try:
        with open_redis(settings) as client:
            wait_for(lambda: all(client.exists(stream) for stream in streams))
            for stream in streams:
                (group,) = client.xinfo_groups(stream)
                assert group["name"] == GROUP.encode()
                assert group["lag"] == 0  # the figure that the scaler goes by
    finally:
        stop(process)
