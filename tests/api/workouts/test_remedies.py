"""What riders put right by hand, through HTTP and a worker."""

import csv
import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from shared.connections import Database
from tests.api.answers import T0, eventually, problem_of, seconds_of
from tests.conftest import Rider

MINUTE = 60_000  # ms


def ridden(rider: Rider, *powers: float) -> str:
    """A completed ride with a minute of each power."""
    workout = rider.start()
    upload_minutes(rider, workout, *powers)
    rider.complete(workout)
    return workout


def upload_minutes(rider: Rider, workout: str, *powers: float, start: int = T0) -> None:
    """A minute of each power, at 8 m/s by the odometer."""
    samples = [
        {**sample, "distance": 8 * second}
        for second, sample in enumerate(
            each
            for nth, power in enumerate(powers)
            for each in seconds_of(power, 60, start + nth * MINUTE)
        )
    ]
    assert rider.upload(workout, samples).status_code == 202


def crop(rider: Rider, workout: str, **bounds: object) -> httpx2.Response:
    return rider.client.post(f"/api/workouts/{workout}/crop", json=bounds)


def undo_crop(rider: Rider, workout: str) -> httpx2.Response:
    return rider.client.delete(f"/api/workouts/{workout}/crop")


def remove(rider: Rider, workout: str, **bounds: str | int) -> httpx2.Response:
    return rider.client.delete(f"/api/workouts/{workout}/telemetry", params=bounds)


def figures(rider: Rider, workout: str) -> Any:
    """The summary, once nothing is left to be computed anew."""
    eventually(lambda: rider.client.get("/api/users/me/recompute").json()["pending"] == 0)
    return rider.workout(workout)["summary"]


def times(rider: Rider, workout: str, **query: str | int) -> list[int]:
    """The timestamps that can be read."""
    answer = rider.client.get(f"/api/workouts/{workout}/telemetry", params=query)
    return [sample["timestamp"] for sample in answer.json()["samples"]]


def receipt(rider: Rider, workout: str) -> Any:
    return rider.client.get(f"/api/workouts/{workout}/receipt").json()


def record_of(rider: Rider, duration: int) -> float | None:
    """The power record over so many seconds."""
    records = rider.client.get("/api/records", params={"metric": "power"}).json()["records"]
    return next((each["value"] for each in records if each["duration"] == duration), None)


def exported(rider: Rider, workout: str) -> list[str]:
    """The timestamps of the ride in the account's export."""
    answer = rider.client.get("/api/users/me/export")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        [name] = [each for each in archive.namelist() if workout in each]
        rows = list(csv.reader(io.StringIO(archive.read(name).decode())))
    return [row[0] for row in rows[1:]]


def test_what_is_cropped_away_counts_for_nothing_until_the_crop_is_undone(rider: Rider) -> None:
    """A minute in the car at 900 W before, another after three minutes of 200 W."""
    workout = ridden(rider, 900, 200, 200, 200, 900)
    whole = figures(rider, workout)
    assert (whole["avgPower"], whole["duration"], record_of(rider, 60)) == (480, 299, 900)

    answer = crop(rider, workout, **{"from": T0 + MINUTE, "to": T0 + 4 * MINUTE})
    assert answer.status_code == 202
    assert answer.json()["workout"]["crop"] == {"from": T0 + MINUTE, "to": T0 + 4 * MINUTE}
    assert times(rider, workout) == [T0 + MINUTE + 1000 * second for second in range(180)]
    part = figures(rider, workout)
    assert (part["avgPower"], part["maxPower"], part["sampleCount"]) == (200, 200, 180)
    assert (part["duration"], part["recordedTime"], part["totalDistance"]) == (179, 180, 8 * 179)
    row = rider.workout(workout)
    assert (row["startTime"], row["endTime"]) == ("2023-11-14T22:14:20Z", "2023-11-14T22:17:19Z")
    assert row["duration"] == 179
    assert (record_of(rider, 60), record_of(rider, 300)) == (200, None)
    assert rider.client.get("/api/stats").json()["totals"][0]["totalDistance"] == 8 * 179
    assert len(exported(rider, workout)) == 180
    assert receipt(rider, workout)["sampleCount"] == 300  # it is kept

    for _ in range(2):
        answer = undo_crop(rider, workout)
        assert (answer.status_code, answer.json()["workout"]["crop"]) == (202, None)
    assert figures(rider, workout) == whole
    assert (len(times(rider, workout)), record_of(rider, 60)) == (300, 900)
    assert rider.workout(workout)["startTime"] == "2023-11-14T22:13:20Z"


def test_a_cropped_ride_has_the_figures_of_one_with_those_samples_alone(rider: Rider) -> None:
    workout = ridden(rider, 900, 180, 220, 260)
    crop(rider, workout, **{"from": T0 + MINUTE}).raise_for_status()
    alone = rider.start()
    upload_minutes(rider, alone, 180, 220, 260, start=T0 + MINUTE)
    expected = {**rider.complete(alone)["summary"]}
    assert figures(rider, workout) == expected


def test_a_crop_keeps_out_what_is_uploaded_outside_of_it_later(rider: Rider) -> None:
    workout = ridden(rider, 200, 300)
    crop(rider, workout, to="2023-11-14T22:14:20Z").raise_for_status()
    assert figures(rider, workout)["avgPower"] == 200
    rider.upload(workout, seconds_of(900, 60, T0 + 2 * MINUTE))
    rider.upload(workout, seconds_of(210, 30))
    eventually(lambda: rider.workout(workout)["summary"]["avgPower"] == 205)
    assert rider.workout(workout)["duration"] == 59
    assert (len(times(rider, workout)), receipt(rider, workout)["sampleCount"]) == (60, 180)


def test_a_further_crop_replaces_the_one_before(rider: Rider) -> None:
    workout = ridden(rider, 100, 200, 300)
    crop(rider, workout, to=T0 + MINUTE).raise_for_status()
    crop(rider, workout, **{"from": T0 + 2 * MINUTE}).raise_for_status()
    assert figures(rider, workout)["avgPower"] == 300


def test_a_crop_narrows_what_is_asked_of_telemetry(rider: Rider) -> None:
    workout = ridden(rider, 200, 200)
    crop(rider, workout, **{"from": T0 + 10_000, "to": T0 + 20_000}).raise_for_status()
    assert len(times(rider, workout, to=T0 + 12_000)) == 2
    assert len(times(rider, workout, **{"from": T0 + 15_000})) == 5
    # Of the mean over each minute, what lies within.
    assert times(rider, workout, resolution=60) == [T0 // MINUTE * MINUTE]
    telemetry = rider.workout(workout, includeTelemetry="true")["telemetry"]
    assert len(telemetry) == 10


@pytest.mark.parametrize(
    "bounds",
    [{}, {"from": T0, "to": T0}, {"from": T0 + 5, "to": T0}, {"to": "soon"}, {"to": T0}],
)
def test_a_crop_that_leaves_nothing_is_refused(rider: Rider, bounds: dict[str, object]) -> None:
    workout = ridden(rider, 200)
    assert problem_of(crop(rider, workout, **bounds), 422)["errors"]
    assert rider.workout(workout)["crop"] is None


def test_a_ride_is_cropped_by_the_words_of_every_query(rider: Rider) -> None:
    """The ride is of 2023-11-14 at Greenwich, where Brisbane has the 15th since 14:00."""
    rider.client.patch("/api/users/me", json={"timeZone": "Australia/Brisbane"})
    workout = ridden(rider, 200)
    answer = crop(rider, workout, **{"from": "2023-11-15", "to": "2023-11-16"})
    midnight = 1_699_970_400_000
    assert answer.json()["workout"]["crop"] == {"from": midnight, "to": midnight + 86_400_000}


def test_a_ride_under_way_is_cropped_once_it_is_completed(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 60))
    problem = problem_of(crop(rider, workout, to=T0 + 30_000), 409)
    assert problem["detail"] == "the workout is ACTIVE: complete it, then crop it"
    rider.complete(workout)
    assert crop(rider, workout, to=T0 + 30_000).status_code == 202


def test_removed_samples_are_gone_from_everything(rider: Rider, database: Database) -> None:
    """The second of three minutes; only there was a heart rate."""
    workout = ridden(rider, 200, 900, 400)
    beats = [{"timestamp": T0 + MINUTE + 1000 * n, "heartrate": 150} for n in range(60)]
    rider.upload(workout, beats)
    eventually(lambda: rider.workout(workout)["summary"]["avgHeartrate"] == 150)

    answer = remove(rider, workout, **{"from": T0 + MINUTE, "to": T0 + 2 * MINUTE})
    assert answer.status_code == 202
    kept = [T0 + 1000 * n for n in (*range(60), *range(120, 180))]
    assert times(rider, workout) == kept  # at once
    summary = figures(rider, workout)
    assert (summary["avgPower"], summary["maxPower"], summary["sampleCount"]) == (300, 400, 120)
    assert summary["avgHeartrate"] is None
    assert record_of(rider, 60) == 400
    assert receipt(rider, workout)["sampleCount"] == 120
    assert archived_channels(database, workout) == {"timestamp": 120, "power": 120, "distance": 120}
    removed = {"from": T0 + MINUTE, "to": T0 + 2 * MINUTE - 999}
    assert rider.workout(workout)["removedRanges"] == [removed]


def archived_channels(database: Database, workout: str) -> dict[str, int]:
    """How many values of each channel are archived."""
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT channel, sum(samples)::int AS samples FROM workout_channels"
            " WHERE workout_id = %s GROUP BY channel",
            [workout],
        ).fetchall()
    return {row["channel"]: row["samples"] for row in rows}


@pytest.mark.parametrize("before", [0, 55])
def test_what_is_removed_is_refused_if_it_is_uploaded_again(rider: Rider, before: int) -> None:
    """In a batch of ten samples, and in one of 65."""
    workout = ridden(rider, 200, 900)
    remove(rider, workout, **{"from": T0 + MINUTE}).raise_for_status()
    assert figures(rider, workout)["avgPower"] == 200
    batch = seconds_of(300, before + 10, T0 + MINUTE - 1000 * (before + 5))
    problem = problem_of(rider.upload(workout, batch), 422)
    fault = {"detail": "lies where samples were removed for good", "member": "timestamp"}
    assert problem["errors"][0] == {**fault, "index": before + 5}
    receipt_ = rider.upload(workout, batch, headers={"Prefer": "handling=lenient"}).json()
    assert (receipt_["accepted"], receipt_["droppedCount"]) == (before + 5, 5)
    eventually(lambda: rider.workout(workout)["summary"]["maxPower"] == 300)
    assert len(times(rider, workout)) == 60


def test_an_api_that_has_not_heard_of_a_removal_brings_nothing_back(
    rider: Rider, database: Database
) -> None:
    """The row is changed behind its back, without the trigger that would tell it."""
    workout = ridden(rider, 200, 900)
    with database.connection() as connection:
        connection.execute("ALTER TABLE workouts DISABLE TRIGGER workouts_changed")
        connection.execute(
            "UPDATE workouts SET stale = true, fold_asked_at = NULL,"
            " removed_ranges = int8multirange(int8range(%s, %s)) WHERE id = %s",
            [T0 + MINUTE, T0 + 2 * MINUTE, workout],
        )
        connection.execute("ALTER TABLE workouts ENABLE ALWAYS TRIGGER workouts_changed")
    assert figures(rider, workout)["avgPower"] == 200
    upload_minutes(rider, workout, 300, 900)
    eventually(lambda: rider.workout(workout)["summary"]["avgPower"] == 300)
    assert len(times(rider, workout)) == receipt(rider, workout)["sampleCount"] == 60


def test_samples_that_wait_are_removed_as_well(rider: Rider) -> None:
    """Of a ride under way, before any checkpoint."""
    workout = rider.start()
    upload_minutes(rider, workout, 200, 900)
    remove(rider, workout, **{"from": T0 + MINUTE}).raise_for_status()
    assert len(times(rider, workout)) == 60
    assert figures(rider, workout)["avgPower"] == 200
    upload_minutes(rider, workout, 300, start=T0 + 3 * MINUTE)  # the ride goes on
    assert rider.complete(workout)["summary"]["avgPower"] == 250


def test_removing_again_or_where_there_is_nothing_changes_nothing(rider: Rider) -> None:
    workout = ridden(rider, 200, 300)
    remove(rider, workout, to=T0 + MINUTE).raise_for_status()
    before = figures(rider, workout)
    nothing: tuple[dict[str, str | int], ...] = (
        {"to": T0 + MINUTE},
        {"from": T0 + 5 * MINUTE},
        {"from": "2040-01-01"},
    )
    for bounds in nothing:
        answer = remove(rider, workout, **bounds)
        assert answer.status_code == 202
        assert answer.json()["workout"]["removedRanges"] == [{"from": T0, "to": T0 + 59_001}]
    assert figures(rider, workout) == before


@pytest.mark.parametrize("bounds", [{}, {"from": T0, "to": T0}, {"from": "soon"}])
def test_a_removal_says_which_samples(rider: Rider, bounds: dict[str, str | int]) -> None:
    workout = ridden(rider, 200)
    problem = problem_of(remove(rider, workout, **bounds), 422)
    assert bounds or "DELETE /api/workouts/{id} deletes" in problem["detail"]
    assert len(times(rider, workout)) == 60


def test_a_hundred_ranges_of_a_ride_are_removed_and_no_more(
    rider: Rider, database: Database
) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 300))
    with database.connection() as connection:
        connection.execute(
            "UPDATE workouts SET removed_ranges = (SELECT range_agg(int8range("
            "%(start)s + 2000 * n, %(start)s + 2000 * n + 1)) FROM generate_series(1, 99) AS n)"
            " WHERE id = %(id)s",
            {"start": T0, "id": workout},
        )
    for second, status in ((201, 202), (203, 409)):
        at = T0 + 1000 * second
        assert remove(rider, workout, **{"from": at, "to": at + 1000}).status_code == status
    joined = {"from": T0 + 199_000, "to": T0 + 204_000}  # with the one at 201
    assert remove(rider, workout, **joined).status_code == 202


@pytest.mark.parametrize("request_of", [crop, undo_crop, remove], ids=lambda each: each.__name__)
def test_nobody_else_puts_a_ride_right(
    rider: Rider, make_rider: Callable[[], Rider], request_of: Callable[..., httpx2.Response]
) -> None:
    workout = ridden(rider, 200)
    bounds = {} if request_of is undo_crop else {"to": T0 + 30_000}
    problem_of(request_of(make_rider(), workout, **bounds), 404)
    assert len(times(rider, workout)) == 60
