"""What a device maker's ride is after: read with the rider's key, not with the device's."""

from pathlib import Path
from typing import Any

import httpx2

from examples.device_client import Device, Pace, Trouble
from tests.conftest import Rider
from tests.worker.readings import T0

Row = dict[str, Any]
HURRIED = Pace(upload=0.02, receipt=0.1, longest=0.1, slow=0.1)


def upload_key(client: httpx2.Client) -> str:
    """A key that may do no more than a device should."""
    answer = client.post("/api/keys", json={"name": "device", "scopes": ["upload"]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


def device_of(rider: Rider, file: Path, url: str, troubles: list[Trouble]) -> Device:
    """A device in a hurry, with a key of its own."""
    return Device(url, upload_key(rider.client), file, troubles.append, HURRIED)


def rows(seconds: int, begin: int = 0) -> list[Row]:
    """Part of a ride at 1 Hz."""
    return [
        {
            "timestamp": T0 + 1000 * at,
            "power": float(100 + at % 300),
            "cadence": float(60 + at % 40),
        }
        for at in range(begin, begin + seconds)
    ]


def rides_of(rider: Rider) -> list[dict[str, Any]]:
    """All of the rider's workouts in which there is something."""
    answer = rider.client.get("/api/workouts")
    assert answer.status_code == 200, answer.text
    return [each for each in answer.json()["workouts"] if held(rider, each["id"])]


def held(rider: Rider, workout_id: str) -> list[Row]:
    """The samples that the server has of a workout."""
    answer = rider.client.get(f"/api/workouts/{workout_id}/telemetry")
    assert answer.status_code == 200, answer.text
    samples: list[Row] = answer.json()["samples"]
    return samples


def assert_one_ride(rider: Rider, expected: list[Row]) -> None:
    """The rider has one completed ride, and every sample of it."""
    [ride] = rides_of(rider)
    assert ride["status"] == "COMPLETED"
    assert held(rider, ride["id"]) == sorted(expected, key=lambda row: row["timestamp"])
