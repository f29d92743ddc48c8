"""Starting a ride anew, as after an answer that was lost."""

import asyncio

import pytest

from ops.simulation.contracts import CONTRACTS, Words
from ops.simulation.requests import Requests, Traffic, open_client
from tests.conftest import Rider


@pytest.mark.parametrize("by", CONTRACTS)
def test_a_ride_that_was_started_without_an_answer_is_found(rider: Rider, by: str) -> None:
    words = Words("Simulated ride-1", "road", f"ride-{rider.account.user_id}")

    async def start_twice() -> list[str]:
        async with open_client(str(rider.client.base_url)) as client:
            requests = Requests(client, Traffic(), rider.account.api_key)
            return [await CONTRACTS[by](requests, words).start() for _ in range(2)]

    first, second = asyncio.run(start_twice())
    assert first == second
    assert rider.client.get("/api/workouts").json()["pagination"]["total"] == 1
