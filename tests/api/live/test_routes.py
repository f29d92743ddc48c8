"""Rides that are watched while they go on, over HTTP."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import httpx2
import pytest

from shared.connections import Database, Redis, open_redis
from shared.redis_keys import samples_key
from shared.settings import read_settings
from tests.api.answers import T0, eventually, problem_of, seconds_of
from tests.api.conftest import MakeKey
from tests.api.live.streams import Stream, live, watching
from tests.api.serving import serving
from tests.conftest import Rider


@pytest.fixture
def service_redis(urls: dict[str, str]) -> Iterator[Redis]:
    """The Redis that the service uses."""
    with open_redis(read_settings(urls)) as client:
        yield client


def begin(rider: Rider) -> str:
    """A ride under way that has a minute at 200 W."""
    workout = rider.start()
    assert rider.upload(workout, seconds_of(200, 60)).status_code == 202
    return workout


def send(rider: Rider, workout: str, power: float, begin: int, count: int = 1) -> int:
    """Further seconds; the last one's timestamp."""
    samples = seconds_of(power, count, T0 + 1000 * begin)
    assert rider.upload(workout, samples).status_code == 202
    return T0 + 1000 * (begin + count - 1)


def powers(stream: Stream) -> dict[int, float]:
    """Watts by the seconds from the first sample on."""
    return {(time - T0) // 1000: row["power"] for time, row in sorted(stream.seen.items())}


def checkpoint(rider: Rider, database: Database, client: Redis, workout: str) -> None:
    """Have the ride folded although it goes on, and its stream trimmed."""
    with database.connection() as connection:
        connection.execute(
            "UPDATE workouts SET created_at = now() - interval '1 hour', fold_asked_at = NULL"
            " WHERE id = %s",
            [workout],
        )
    eventually(lambda: not client.exists(samples_key(UUID(workout))))


def test_samples_come_as_they_arrive(rider: Rider) -> None:
    workout = begin(rider)
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        for second in range(60, 63):
            stream.watch_until(send(rider, workout, 300, second))
    assert powers(stream) == {60: 300, 61: 300, 62: 300}


def test_the_answer_goes_through_a_proxy(rider: Rider) -> None:
    with watching(rider.client, live(begin(rider))) as stream:
        headers = stream.response.headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-accel-buffering"] == "no"
    assert "no-cache" in headers["cache-control"]
    assert "content-length" not in headers


def test_what_is_there_already_comes_first_where_it_is_asked_for(rider: Rider) -> None:
    workout = begin(rider)
    with watching(rider.client, live(workout, f"?from={T0 + 58_000}")) as stream:
        stream.watch_until(T0 + 59_000)
        stream.watch_until(send(rider, workout, 300, 60))
    assert powers(stream) == {58: 200, 59: 200, 60: 300}


def test_a_viewer_gets_the_channels_and_the_density_that_it_asks_for(rider: Rider) -> None:
    workout = begin(rider)
    with watching(rider.client, live(workout, "?every=10&channels=cadence")) as stream:
        stream.await_id()
        samples = [{"timestamp": T0 + 1000 * at, "power": 1, "cadence": at} for at in range(60, 85)]
        rider.upload(workout, samples)
        stream.watch_until(T0 + 80_000)
    rows = stream.seen.values()
    shown = [(row["timestamp"] - T0, row.get("cadence"), "power" in row) for row in rows]
    assert shown == [(60_000, 60, False), (70_000, 70, False), (80_000, 80, False)]


def test_two_viewers_see_the_same(rider: Rider) -> None:
    workout = begin(rider)
    with watching(rider.client, live(workout)) as one, watching(rider.client, live(workout)) as two:
        one.await_id()
        two.await_id()
        last = send(rider, workout, 250, 60, 30)
        one.watch_until(last)
        two.watch_until(last)
    assert powers(one) == powers(two) == dict.fromkeys(range(60, 90), 250)


def test_the_figures_so_far_are_those_of_the_final_code(rider: Rider) -> None:
    workout = begin(rider)
    rider.client.put(
        "/api/users/me/thresholds",
        json={"effectiveFrom": "2000-01-01", "ftp": 250, "criticalPower": 180, "wPrime": 20_000},
    )
    with watching(rider.client, live(workout)) as stream:
        figures = stream.next("summary").data
        while figures["wPrimeBalance"] is None:  # computed before the thresholds were known
            figures = stream.next("summary").data
        # 60 s of 20 W above critical power: 1.2 of 20 kJ are spent.
        assert figures["wPrimeBalance"] == 18.8
        assert figures["through"] == T0 + 59_000
        assert figures["summary"]["avgPower"] == figures["summary"]["normalizedPower"] == 200
        best = {(each["metric"], each["duration"]): each["value"] for each in figures["bests"]}
        assert best[("power", 60)] == 200
        send(rider, workout, 400, 60, 60)
        while figures["through"] != T0 + 119_000:
            figures = stream.next("summary").data
        running = figures["summary"]
        rider.complete(workout)
        end = stream.next("end").data
    assert running["avgPower"] == 300
    assert end["status"] == "COMPLETED"
    assert end["summary"] == running == rider.workout(workout)["summary"]


def test_a_stream_ends_with_its_ride_and_browsers_then_stop(rider: Rider) -> None:
    workout = begin(rider)
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        rider.complete(workout)
        assert stream.next("end").id == "end"
        assert list(stream.events()) == []
    with watching(rider.client, live(workout, f"?from={T0 + 59_000}")) as stream:
        assert stream.next("end").data["summary"]["sampleCount"] == 60
    assert powers(stream) == {59: 200}
    again = rider.client.get(live(workout), headers={"Last-Event-ID": "end"})
    assert (again.status_code, again.content) == (204, b"")


def test_samples_sent_with_the_completion_are_not_missed(rider: Rider) -> None:
    """The fold takes them out of Redis before anybody has read them there."""
    workout = begin(rider)
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        send(rider, workout, 300, 60, 10)
        rider.client.post(f"/api/workouts/{workout}/complete")
        stream.next("end")
    assert powers(stream) == dict.fromkeys(range(60, 70), 300)


def test_a_deleted_ride_is_gone(rider: Rider) -> None:
    workout = begin(rider)
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        rider.client.delete(f"/api/workouts/{workout}")
        stream.next("gone")
        assert list(stream.events()) == []
    problem_of(rider.client.get(live(workout)), 404)


def test_a_stream_goes_on_where_an_earlier_one_broke_off(rider: Rider) -> None:
    workout = begin(rider)
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        stream.watch_until(send(rider, workout, 250, 60))
        last_id = stream.id
    send(rider, workout, 300, 61, 5)
    with watching(rider.client, live(workout), last_id) as stream:
        stream.watch_until(T0 + 65_000)
        stream.watch_until(send(rider, workout, 350, 66))
    assert powers(stream) == {**dict.fromkeys(range(61, 66), 300), 66: 350}


def test_a_stream_goes_on_without_a_gap_after_a_fold_has_taken_its_place(
    rider: Rider, database: Database, service_redis: Redis
) -> None:
    workout = begin(rider)
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        stream.watch_until(send(rider, workout, 250, 60))
        last_id = stream.id
    send(rider, workout, 300, 61, 5)
    checkpoint(rider, database, service_redis, workout)
    send(rider, workout, 350, 66)
    with watching(rider.client, live(workout), last_id) as stream:
        stream.watch_until(T0 + 66_000)
        assert stream.id != last_id
    assert powers(stream) == {**dict.fromkeys(range(61, 66), 300), 66: 350}


def test_what_came_late_before_a_fold_is_not_missed_either(
    rider: Rider, database: Database, service_redis: Redis
) -> None:
    """The archive does not tell when a sample arrived; but there are more than were seen."""
    workout = begin(rider)
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        stream.watch_until(send(rider, workout, 250, 70))
        last_id = stream.id
    send(rider, workout, 300, 60, 10)
    checkpoint(rider, database, service_redis, workout)
    with watching(rider.client, live(workout), last_id) as stream:
        stream.watch_until(T0 + 69_000)
        stream.watch_until(T0 + 70_000)
    assert powers(stream) == {
        **dict.fromkeys(range(60), 200),
        **dict.fromkeys(range(60, 70), 300),
        70: 250,
    }


def test_a_fold_while_somebody_watches_leaves_no_gap(
    rider: Rider, database: Database, service_redis: Redis
) -> None:
    workout = begin(rider)
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        stream.watch_until(send(rider, workout, 250, 60))
        checkpoint(rider, database, service_redis, workout)
        stream.watch_until(send(rider, workout, 300, 61))
        last = send(rider, workout, 350, 62, 3)
        checkpoint(rider, database, service_redis, workout)
        stream.watch_until(last)
    assert powers(stream) == {60: 250, 61: 300, **dict.fromkeys(range(62, 65), 350)}


def test_an_id_of_no_stream_begins_from_the_start(rider: Rider) -> None:
    workout = begin(rider)
    with watching(rider.client, live(workout), "nonsense") as stream:
        stream.watch_until(T0 + 59_000)
    assert powers(stream) == dict.fromkeys(range(60), 200)


def test_a_revoked_key_ends_the_stream_and_opens_no_other(
    rider: Rider, make_api_key: MakeKey, database: Database, service: str
) -> None:
    workout, key = begin(rider), make_api_key(rider.account.user_id, ["read"])
    with (
        httpx2.Client(base_url=service, headers={"X-API-Key": key}) as client,
        watching(client, live(workout)) as stream,
    ):
        stream.await_id()
        with database.connection() as connection:
            connection.execute(
                "UPDATE api_keys SET revoked_at = now() WHERE id = %s", [key.split("_")[1]]
            )
        assert {each.name for each in stream.events()} <= {"summary"}
        eventually(lambda: client.get(live(workout)).status_code == 401)


@pytest.mark.parametrize(
    ("bound", "status"),
    [("MAX_VIEWERS_PER_KEY", 429), ("MAX_VIEWERS_PER_USER", 429), ("MAX_VIEWERS", 503)],
)
def test_so_many_may_watch_at_a_time(
    rider: Rider, urls: dict[str, str], tmp_path: Any, bound: str, status: int
) -> None:
    workout, headers = begin(rider), {"X-API-Key": rider.account.api_key}
    with serving({**urls, bound: "2"}, tmp_path / "api.log") as client:
        client.headers.update(headers)
        with watching(client, live(workout)) as one, watching(client, live(workout)) as two:
            one.await_id()
            two.await_id()
            refused = client.get(live(workout))
            problem_of(refused, status)
            assert int(refused.headers["retry-after"]) > 0

        def is_possible() -> bool:
            with watching(client, live(workout)) as stream:
                return stream.response.status_code == 200

        eventually(is_possible)


def test_a_stop_ends_streams_at_once_and_they_are_whole(
    rider: Rider, urls: dict[str, str], tmp_path: Any
) -> None:
    workout, headers = begin(rider), {"X-API-Key": rider.account.api_key}
    with ExitStack() as stack:
        with serving(urls, tmp_path / "api.log", SHUTDOWN_GRACE="600") as client:
            own = httpx2.Client(base_url=client.base_url, headers=headers)
            stream = stack.enter_context(watching(stack.enter_context(own), live(workout)))
            stream.await_id()
        # The process has ended, long before its grace time is over.
        assert all(each.name == "summary" for each in stream.events())
    assert " error " not in (tmp_path / "api.log").read_text()


def test_a_head_is_answered_without_a_stream(rider: Rider) -> None:
    answer = rider.client.head(live(begin(rider)))
    assert (answer.status_code, answer.content) == (200, b"")
