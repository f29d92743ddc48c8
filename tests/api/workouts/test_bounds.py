"""How many rides a user may have under way, make in an hour, and have in all."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import httpx2

from ops.admin.accounts import create_account
from tests.api.answers import problem_of
from tests.api.serving import serving


@contextmanager
def user_of(
    urls: Mapping[str, str], folder: Path, bound: str, most: int
) -> Iterator[httpx2.Client]:
    """A user of an API process with such a bound."""
    account = create_account(urls["DATABASE_URL"], f"{token_hex(6)}@example.com", "test")
    with serving({**urls, bound: str(most)}, folder / "api.log") as client:
        client.headers["X-API-Key"] = account.api_key
        yield client


def start(client: httpx2.Client) -> httpx2.Response:
    return client.post("/api/workouts", json={})


def id_of(response: httpx2.Response) -> str:
    workout_id: str = response.json()["workout"]["id"]
    return workout_id


def test_as_many_rides_may_be_under_way_as_the_setting_says_however_fast_they_begin(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    with user_of(urls, tmp_path, "MAX_ACTIVE_RIDES", 3) as client:
        with ThreadPoolExecutor(10) as threads:
            answers = list(threads.map(lambda _: start(client), range(10)))
        begun = [each for each in answers if each.status_code == 201]
        assert len(begun) == 3
        refused = next(each for each in answers if each.status_code != 201)
        assert problem_of(refused, 409)["detail"] == (
            "a user may have 3 workouts that are ACTIVE or PAUSED: complete or delete one"
        )
        first, second, _ = map(id_of, begun)
        client.post(f"/api/workouts/{first}/pause")
        assert start(client).status_code == 409
        client.post(f"/api/workouts/{first}/complete")
        assert start(client).status_code == 201
        client.delete(f"/api/workouts/{second}")
        assert start(client).status_code == 201


def test_who_makes_and_deletes_rides_all_the_time_has_to_wait(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    with user_of(urls, tmp_path, "MAX_RIDES_PER_HOUR", 4) as client:
        for _ in range(4):
            assert client.delete(f"/api/workouts/{id_of(start(client))}").status_code == 200
        refused = start(client)
        problem_of(refused, 429)
        assert 3500 < int(refused.headers["retry-after"]) <= 3600


def test_deleted_rides_count_among_all_until_they_are_purged(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    with user_of(urls, tmp_path, "MAX_RIDES", 2) as client:
        client.delete(f"/api/workouts/{id_of(start(client))}")
        assert start(client).status_code == 201
        problem_of(start(client), 409)
