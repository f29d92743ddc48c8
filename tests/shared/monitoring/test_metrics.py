"""/metrics of an API process and a worker that share one port."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import pytest

from ops.processes import stop
from shared.monitoring.system import SystemCollector
from shared.settings import read_settings
from tests.api.answers import T0
from tests.shared.monitoring.scraping import total
from tests.shared.monitoring.service import Service, is_served, start_worker, watched_service
from tests.worker.waiting import eventually


@pytest.fixture(scope="module")
def watched(urls: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On a Redis database of its own, so that no other worker is counted."""
    own = {**urls, "REDIS_URL": f"{urls['REDIS_URL']}?db=3"}
    with watched_service(own, tmp_path_factory.mktemp("watched")) as service:
        yield service


def test_a_ride_is_counted_from_its_first_batch_to_its_fold(watched: Service) -> None:
    before = watched.read()
    ride = watched.rider.start()
    for second in range(3):
        samples = [{"timestamp": T0 + second * 2000 + k, "power": 200} for k in (0, 1000)]
        assert watched.rider.upload(ride, samples).status_code == 202
    watched.rider.complete(ride)
    path = "/api/workouts/{id}/telemetry"

    def gained(name: str, **labels: str) -> float:
        return total(watched.read(), name, **labels) - total(before, name, **labels)

    eventually(lambda: gained("bpt_job_seconds_count", kind="fold", outcome="done") >= 1)
    eventually(lambda: gained("bpt_batches_total") == 3)
    assert gained("bpt_samples_total") == 6
    assert gained("bpt_requests_total", method="POST", route=path, status="202") == 3
    assert gained("bpt_requests_total", route="/api/workouts/{id}/complete", status="200") == 1
    assert 0 < gained("bpt_job_seconds_sum", kind="fold") < 60
    assert gained("bpt_pool_requests_total", process="api") > 0
    assert gained("bpt_pool_requests_total", process="worker") > 0


def test_no_path_method_or_status_of_a_stranger_makes_a_series(watched: Service) -> None:
    client = watched.rider.client
    for number in range(5):
        client.get(f"/nothing/{number}")
        client.get(f"/api/workouts/{number}")
    client.request("PROPFIND", "/health/live")
    eventually(lambda: total(watched.read(), "bpt_requests_total", method="other") == 1)
    found = [each for each in watched.read() if each.name == "bpt_requests_total"]
    eventually(lambda: total(watched.read(), "bpt_requests_total", route="none") >= 5)
    assert not [each for each in found if any(digit in each.labels["route"] for digit in "01234")]
    methods = {each.labels["method"] for each in watched.read() if "method" in each.labels}
    assert methods <= {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}


def test_the_servers_are_told_of(watched: Service) -> None:
    readings = watched.read()
    assert total(readings, "bpt_server_up", server="redis") == 1
    assert total(readings, "bpt_server_up", server="postgresql") == 1
    assert total(readings, "bpt_workers") == 1
    assert total(readings, "bpt_redis_memory_bytes") > 0
    assert total(readings, "bpt_redis_memory_limit_bytes") == 1024**3
    for folder in ("data", "backups"):
        free = total(readings, "bpt_disk_free_bytes", folder=folder)
        assert 0 < free <= total(readings, "bpt_disk_size_bytes", folder=folder)
    queues = {each.labels["queue"] for each in readings if each.name == "bpt_queue_events"}
    assert queues == {"prompt", "checkpoints", "imports", "recomputes"}
    waiting = {each.labels["what"] for each in readings if each.name == "bpt_waiting"}
    assert waiting == {"completions", "imports", "recomputes", "deliveries"}
    eventually(lambda: total(watched.read(), "bpt_sweeps_total") >= 1)


@pytest.mark.parametrize(("hours", "are_seen"), [("24", True), ("0", False)])
def test_backups_are_told_of_where_they_are_seen(
    hours: str, are_seen: bool, urls: Mapping[str, str]
) -> None:
    settings = read_settings({**urls, "BACKUP_HOURS": hours})
    told = {family.name for family in SystemCollector(settings).collect()}
    figures = {"bpt_backup_age_seconds", "bpt_backup_due_seconds"}
    assert told & figures == (figures if are_seen else set())


def test_what_a_worker_counted_outlives_it_and_its_successor_goes_on(
    watched: Service, tmp_path: Path
) -> None:
    """A restart must not leave a file more each time."""
    folder = Path(watched.environ["METRICS_DIR"])

    def files() -> set[str]:
        return {path.name for path in folder.glob("*.db")}

    second = start_worker(watched.environ, tmp_path / "second.log")
    eventually(lambda: total(watched.read(), "bpt_workers") == 2)
    eventually(lambda: "counter_3.db" in files())
    stop(second)
    known, folds = files(), total(watched.read(), "bpt_job_seconds_count", kind="fold")
    third = start_worker(watched.environ, tmp_path / "third.log")
    eventually(lambda: total(watched.read(), "bpt_workers") == 2)
    assert total(watched.read(), "bpt_job_seconds_count", kind="fold") >= folds
    stop(third)
    assert files() == known


def test_the_api_s_own_port_has_no_figures(service: str) -> None:
    assert httpx2.get(f"{service}/metrics").status_code == 404


def test_when_the_api_ends_a_worker_goes_on_telling_what_it_counted(watched: Service) -> None:
    """The last test here: no other one would find the API."""
    requests = total(watched.read(), "bpt_requests_total")
    log = Path(watched.environ["DATA_DIR"], "worker.log")
    assert "serving figures" not in log.read_text()
    watched.stop_api()
    eventually(lambda: is_served(watched.metrics))
    assert total(watched.read(), "bpt_requests_total") >= requests > 0
    assert "serving figures" in log.read_text()
