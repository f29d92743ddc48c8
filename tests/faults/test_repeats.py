"""Processes that die over what a client then asks for again: it is there once."""

import signal
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.conftest import Rider
from tests.faults.system import System

KEY = {"name": "head unit", "scopes": ["upload"]}


@pytest.mark.parametrize(
    ("point", "made"), [("before-keeping-answer", 0), ("after-keeping-answer", 1)]
)
def test_an_api_that_dies_over_a_request_with_a_key_makes_one_thing(
    system: System, point: str, made: int
) -> None:
    """Between what is made and the answer that is kept nothing is ever committed."""
    api = system.start_api(FAILPOINT=f"{point}=kill")
    rider, headers = system.make_rider(), {"Idempotency-Key": str(uuid4())}
    before = len(keys_of(system, rider))
    with pytest.raises(httpx2.TransportError):
        rider.client.post("/api/keys", json=KEY, headers=headers)
    assert api.wait(60) == -signal.SIGKILL
    assert len(keys_of(system, rider)) == before + made
    system.start_api()
    answers = [rider.client.post("/api/keys", json=KEY, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    first, second = (answer.json() for answer in answers)
    assert first == second
    assert [key["id"] for key in keys_of(system, rider)[before:]] == [first["key"]["id"]]
    device = {"X-API-Key": first["secret"]}
    assert httpx2.post(f"{system.url}/api/workouts", json={}, headers=device).status_code == 201


def keys_of(system: System, rider: Rider) -> list[dict[str, Any]]:
    query = "SELECT id FROM api_keys WHERE user_id = %s ORDER BY created_at"
    return system.query(query, [rider.account.user_id])


def test_an_api_that_dies_over_a_start_starts_one_ride(system: System) -> None:
    """Whether the ride was committed or not, nobody was told."""
    rider, path = system.make_rider(), f"/api/workouts/{uuid4()}"
    for point in ("before-starting", "after-starting"):
        api = system.start_api(FAILPOINT=f"{point}=kill")
        with pytest.raises(httpx2.TransportError):
            rider.client.put(path, json={"title": "Evening ride"})
        assert api.wait(60) == -signal.SIGKILL
    system.start_api()
    assert rider.client.put(path, json={"title": "Evening ride"}).status_code == 200
    assert rider.client.get("/api/workouts").json()["pagination"]["total"] == 1
