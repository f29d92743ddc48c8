"""`from` and `to`: wherever there are both, an end before the start is refused."""

import pytest

from api.app import OPERATIONS
from api.web.openapi import document
from api.web.routing import Operations
from tests.api.answers import problem_of
from tests.conftest import Rider

DOCUMENT = document([Operations("", "", OPERATIONS)], "1")
LATER, EARLIER = "2024-03-02", "2024-03-01"


def asked_by(method: str, path: str) -> set[str]:
    described = DOCUMENT["paths"][path][method.lower()]
    return {each["name"] for each in described["parameters"] if each["in"] == "query"}


RANGES = [
    (one.method, one.path) for one in OPERATIONS if {"from", "to"} <= asked_by(one.method, one.path)
]


def test_there_are_such_operations() -> None:
    assert len(RANGES) >= 9


@pytest.mark.parametrize(("method", "path"), RANGES, ids=" ".join)
def test_from_after_to_is_refused(rider: Rider, method: str, path: str) -> None:
    workout = rider.start()
    token = rider.client.post(f"/api/workouts/{workout}/share", json={}).json()["token"]
    place = path.replace("{id}", workout).replace("{token}", token)
    query = {"from": LATER, "to": EARLIER}
    problem = problem_of(rider.client.request(method, place, params=query), 422)
    assert "from" in problem["detail"]
    assert "to" in problem["detail"]
