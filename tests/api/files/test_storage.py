"""How much a user's files and samples may take, and what is left of a ride without its samples."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from ops.admin.accounts import create_account, read_storage
from shared.connections import Database
from shared.settings import Settings
from tests.api.answers import problem_of, seconds_of
from tests.api.files.ride_files import OCTETS, WAIT, gpx
from tests.api.serving import serving
from tests.conftest import Rider
from worker.jobs.expiring import Expiry

MB = 1024**2


@pytest.fixture
def served(urls: Mapping[str, str], tmp_path: Path) -> Iterator[httpx2.Client]:
    """An API with a quota of a megabyte, and a new user's key."""
    with serving(urls, tmp_path / "api.log", STORAGE_QUOTA="1mb") as client:
        account = create_account(urls["DATABASE_URL"], f"{uuid4()}@example.com", "test")
        client.headers = {"X-API-Key": account.api_key}
        yield client


def send_file(client: httpx2.Client, content: bytes) -> httpx2.Response:
    return client.post("/api/uploads", content=content, headers=OCTETS)


def storage_of(client: httpx2.Client) -> dict[str, Any]:
    storage: dict[str, Any] = client.get("/api/users/me").json()["storage"]
    return storage


def test_beyond_the_quota_files_are_refused_and_rides_are_not(served: httpx2.Client) -> None:
    assert storage_of(served) == {"originals": 0, "samples": 0, "quota": MB}
    assert send_file(served, b"a" * (MB - 1000)).status_code == 202
    assert storage_of(served)["originals"] == MB - 1000
    problem = problem_of(send_file(served, b"b" * 1001), 413)
    assert problem["type"] == "/problems/storage-full"
    assert f"{MB - 1000} of {MB} bytes are taken" in problem["detail"]
    assert send_file(served, b"c" * 1000).status_code == 202
    problem_of(send_file(served, b"d"), 413)

    ride = served.post("/api/workouts", json={}).json()["workout"]["id"]
    sent = served.post(f"/api/workouts/{ride}/telemetry", json=seconds_of(200, 60))
    assert sent.status_code == 202


def test_samples_count_as_they_are_archived(rider: Rider, urls: Mapping[str, str]) -> None:
    before = storage_of(rider.client)
    assert before == {"originals": 0, "samples": 0, "quota": None}
    ride = rider.start()
    rider.upload(ride, seconds_of(200, 60))
    rider.complete(ride)
    samples = storage_of(rider.client)["samples"]
    assert samples > 0
    told = {row["email"]: row for row in read_storage(urls["DATABASE_URL"])}[rider.account.email]
    assert (told["originals"], told["samples"]) == (0, samples)


@pytest.fixture
def old_ride(rider: Rider, database: Database, settings: Settings) -> str:
    """A ride of 60 s out of a file, whose samples were kept for a month and are deleted."""
    sent = rider.client.post("/api/uploads", content=gpx(60, power=200), headers=OCTETS | WAIT)
    assert sent.status_code == 200, sent.text
    ride: str = sent.json()["upload"]["workoutIds"][0]
    with database.connection() as connection:  # it ended in 2023; others did, too
        connection.execute("UPDATE workouts SET end_time = now() WHERE id <> %s", [ride])
    kept = type(settings)(
        database_url=settings.database_url, redis_url=settings.redis_url, retention_samples="30d"
    )
    Expiry(database, kept).expire()
    return ride


def test_a_ride_without_samples_keeps_its_figures_and_says_so(rider: Rider, old_ride: str) -> None:
    workout = rider.workout(old_ride)
    assert workout["summary"]["sampleCount"] == 60
    assert workout["samplesDeletedAt"].endswith("Z")
    (listed,) = rider.client.get("/api/workouts").json()["workouts"]
    assert listed["samplesDeletedAt"] == workout["samplesDeletedAt"]
    telemetry = rider.client.get(f"/api/workouts/{old_ride}/telemetry")
    assert telemetry.status_code == 200, telemetry.text
    assert telemetry.json()["samples"] == []
    curve = rider.client.get(f"/api/workouts/{old_ride}/power-curve")
    assert len(curve.json()["powerCurve"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "crop", {"from": 0}),
        ("DELETE", "crop", None),
        ("POST", "exclude", {}),
        ("POST", "include", {}),
    ],
)
def test_what_would_change_its_figures_is_refused(
    rider: Rider, old_ride: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    refused = rider.client.request(method, f"/api/workouts/{old_ride}/{path}", json=body)
    problem = problem_of(refused, 409)
    assert problem["type"] == "/problems/wrong-state"
    assert "no longer kept" in problem["detail"]


def test_the_same_ride_by_another_device_is_known_by_its_times(rider: Rider, old_ride: str) -> None:
    again = rider.client.post(
        "/api/uploads", content=gpx(58, power=201, name="Another"), headers=OCTETS | WAIT
    )
    problem = again.json()
    assert problem["upload"]["status"] == "duplicate", problem
    assert problem["upload"]["duplicateOf"] == old_ride
