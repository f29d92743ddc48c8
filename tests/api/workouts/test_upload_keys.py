"""What a key that only uploads reads: no words, no figures but of the ride that it has ended."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from api.app import OPERATIONS
from api.web.routing import Operation
from shared.connections import Database
from tests.api.answers import T0, problem_of, seconds_of
from tests.api.conftest import MakeKey
from tests.conftest import Rider

FOR_UPLOADS = [operation for operation in OPERATIONS if operation.scope == "upload"]
BODIES: dict[str, Any] = {
    "upload_telemetry": [{"timestamp": T0}],
    "create_workout": {},
    "add_laps": {"laps": [{"end": T0}]},
}
TITLE, DESCRIPTION, POWER = "Hidden title", "Hidden description", 231
STATES = ["ACTIVE", "PAUSED", "PROCESSING", "COMPLETED", "ARCHIVED", "FAILED"]


@pytest.fixture
def device(rider: Rider, make_api_key: MakeKey) -> Iterator[httpx2.Client]:
    """Of the same rider, with a key that only uploads."""
    key = make_api_key(rider.account.user_id, ["upload"])
    with httpx2.Client(base_url=rider.client.base_url, headers={"X-API-Key": key}) as client:
        client.timeout = 30
        yield client


def ridden(rider: Rider) -> str:
    """A workout with everything that can be read of one."""
    workout = rider.start(title=TITLE, description=DESCRIPTION)
    rider.upload(workout, seconds_of(POWER, 60))
    return workout


def set_status(database: Database, workout: str, status: str) -> None:
    with database.connection() as connection:
        # Due in a minute's time, so that no worker changes the state meanwhile.
        later = "UPDATE workouts SET status = %s, fold_asked_at = now() WHERE id = %s"
        connection.execute(later, [status, workout])


@pytest.mark.parametrize(
    ("operation", "state"),
    [
        pytest.param(operation, state, id=f"{operation.handler.__name__}-{state}")
        for operation in FOR_UPLOADS
        for state in STATES
        # Then it ends the ride, of which it gets the figures: that is a test of its own.
        if operation.path != "/api/workouts/{id}/complete" or state not in ("ACTIVE", "PAUSED")
    ],
)
def test_nothing_that_somebody_wrote_or_a_worker_computed_is_read(
    rider: Rider, device: httpx2.Client, database: Database, operation: Operation, state: str
) -> None:
    workout = ridden(rider)
    rider.complete(workout)
    rider.client.post(f"/api/workouts/{workout}/exclude")
    assert rider.workout(workout)["summary"]["avgPower"] == POWER  # else it would prove nothing
    set_status(database, workout, state)
    for query in ({}, {"wait": "1"}, {"gap": "1"}):
        answer = device.request(
            operation.method,
            operation.path.replace("{id}", workout),
            params=query,
            json=BODIES.get(operation.handler.__name__),
        )
        for hidden in (TITLE, DESCRIPTION, "avgPower", '"excluded":true'):
            assert hidden not in answer.text


def test_the_walk_knows_every_operation_of_an_upload_key() -> None:
    names = {operation.handler.__name__ for operation in FOR_UPLOADS}
    changes = {"pause_workout", "resume_workout", "complete_workout"}
    files = {"send_file"}  # see tests/api/files/test_uploads.py, for `get_upload` as well
    assert names == changes | files | {
        "create_workout",
        "start_workout",
        "upload_telemetry",
        "get_receipt",
        "add_laps",
    }


def test_who_ends_a_ride_reads_its_figures_and_again_if_the_answer_was_lost(
    rider: Rider, device: httpx2.Client, make_api_key: MakeKey, database: Database
) -> None:
    workout = ridden(rider)

    def complete(client: httpx2.Client) -> Any:
        path = f"/api/workouts/{workout}/complete"
        return client.post(path, params={"wait": "30"}, timeout=40).json()["workout"]

    for _ in range(2):
        answer = complete(device)
        assert (answer["status"], answer["summary"]["avgPower"]) == ("COMPLETED", POWER)
        assert (answer["title"], answer["description"], answer["duration"]) == (None, None, 59)

    other = make_api_key(rider.account.user_id, ["upload"])
    with httpx2.Client(base_url=device.base_url, headers={"X-API-Key": other}) as client:
        assert (complete(client)["status"], complete(client)["summary"]) == ("COMPLETED", None)
    assert complete(rider.client)["title"] == TITLE

    with database.connection() as connection:
        long_over = "UPDATE workouts SET completed_at = now() - interval '61 minutes' WHERE id = %s"
        connection.execute(long_over, [workout])
    answer = complete(device)
    assert (answer["status"], answer["summary"], answer["endTime"]) == ("COMPLETED", None, None)


def test_a_device_is_told_what_it_sent_and_how_its_ride_stands(
    rider: Rider, device: httpx2.Client
) -> None:
    made = device.post("/api/workouts", json={"title": "Mine", "description": "My own"}).json()
    workout = made["workout"]
    assert (workout["title"], workout["description"]) == ("Mine", "My own")
    path = f"/api/workouts/{workout['id']}"
    paused = device.post(f"{path}/pause").json()["workout"]
    assert (paused["id"], paused["status"], paused["title"]) == (workout["id"], "PAUSED", None)
    assert rider.client.post(f"{path}/resume").json()["workout"]["title"] == "Mine"
    problem_of(device.get(path), 403)
