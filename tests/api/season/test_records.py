"""Records, curves and exclusion, through HTTP and a worker."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.connections import Database
from tests.api.answers import T0, eventually, problem_of, seconds_of
from tests.conftest import Rider


def ride_at(rider: Rider, power: float, seconds: int = 120, start: int = T0) -> str:
    """A completed even ride."""
    workout = rider.start()
    rider.upload(workout, seconds_of(power, seconds, start))
    rider.complete(workout)
    return workout


def records_of(rider: Rider) -> dict[int, dict[str, Any]]:
    """The power records by duration."""
    answer = rider.client.get("/api/records", params={"metric": "power"})
    assert answer.status_code == 200
    return {record["duration"]: record for record in answer.json()["records"]}


def test_the_best_of_all_rides_is_the_record(rider: Rider) -> None:
    ride_at(rider, 200)
    best = ride_at(rider, 300, start=T0 + 1_000_000)
    ride_at(rider, 250, start=T0 + 2_000_000)
    records = records_of(rider)
    assert set(records) == {1, 5, 10, 15, 30, 60, 120}
    assert {record["value"] for record in records.values()} == {300}
    assert {record["workoutId"] for record in records.values()} == {best}
    assert records[60]["unit"] == "W"


def test_deleting_a_ride_takes_its_records_back(rider: Rider) -> None:
    second = ride_at(rider, 250, seconds=60)
    best = ride_at(rider, 300)
    rider.client.delete(f"/api/workouts/{best}").raise_for_status()
    records = records_of(rider)
    assert {record["workoutId"] for record in records.values()} == {second}
    assert 120 not in records  # nobody else held it for two minutes


def test_correcting_a_ride_takes_its_records_back(rider: Rider) -> None:
    second = ride_at(rider, 250)
    best = ride_at(rider, 300)
    rider.upload(best, seconds_of(100, 120))
    eventually(lambda: records_of(rider)[60]["workoutId"] == second)
    assert records_of(rider)[60]["value"] == 250


def test_an_excluded_ride_has_no_records_until_it_is_included(rider: Rider) -> None:
    second = ride_at(rider, 250)
    best = ride_at(rider, 300)
    answer = rider.client.post(f"/api/workouts/{best}/exclude")
    assert answer.status_code == 202
    assert answer.json()["workout"]["excluded"] is True
    eventually(lambda: records_of(rider)[60]["workoutId"] == second)
    assert rider.workout(best)["summary"]["avgPower"] == 300  # the ride itself is untouched
    rider.client.post(f"/api/workouts/{best}/include").raise_for_status()
    eventually(lambda: records_of(rider)[60]["workoutId"] == best)


def test_an_excluded_range_counts_for_no_record(rider: Rider) -> None:
    workout = rider.start()
    hard, easy = seconds_of(400, 60), seconds_of(200, 60, T0 + 60_000)
    rider.upload(workout, hard + easy)
    rider.complete(workout)
    assert records_of(rider)[120]["value"] == 300
    path = f"/api/workouts/{workout}"
    answer = rider.client.post(f"{path}/exclude", json={"from": T0, "to": T0 + 60_000})
    assert answer.json()["workout"]["excludedRanges"] == [{"from": T0, "to": T0 + 60_000}]
    eventually(lambda: 120 not in records_of(rider))
    assert records_of(rider)[60]["value"] == 200
    half = {"from": T0 + 30_000, "to": T0 + 60_000}
    rider.client.post(f"{path}/include", json=half).raise_for_status()
    eventually(lambda: records_of(rider)[30]["value"] == 400)


def test_a_hundred_ranges_of_a_ride_are_excluded_and_no_more(
    rider: Rider, database: Database
) -> None:
    workout = rider.start()
    with database.connection() as connection:
        connection.execute(
            "UPDATE workouts SET excluded_ranges = (SELECT range_agg(int8range("
            "%(start)s + 1000 * n, %(start)s + 1000 * n + 500)) FROM generate_series(1, 99) AS n)"
            " WHERE id = %(id)s",
            {"start": T0, "id": workout},
        )
    path = f"/api/workouts/{workout}"
    last, beyond = ({"from": T0 + at, "to": T0 + at + 500} for at in (0, 200_000))
    joined = {"from": T0, "to": T0 + 1500}
    split = {"from": T0 + 2100, "to": T0 + 2200}
    for change, range_, status in (
        ("exclude", last, 202),
        ("exclude", beyond, 409),
        ("include", split, 409),
        ("exclude", joined, 202),
        ("exclude", beyond, 202),
        ("include", split, 409),
        ("include", {}, 202),
        ("exclude", split, 202),
    ):
        answer = rider.client.post(f"{path}/{change}", json=range_)
        assert answer.status_code == status, (change, range_)
        if status == 409:
            assert "at most 100 excluded ranges" in problem_of(answer, 409)["detail"]


def test_a_range_is_excluded_by_the_words_of_every_query(rider: Rider) -> None:
    """A day of Zurich, 2023-11-14, begins an hour before that of Greenwich."""
    rider.client.patch("/api/users/me", json={"timeZone": "Europe/Zurich"})
    path = f"/api/workouts/{rider.start()}"
    day = {"from": "2023-11-14", "to": "2023-11-15T00:00"}
    answer = rider.client.post(f"{path}/exclude", json=day).json()
    midnight = 1_699_916_400_000
    assert answer["workout"]["excludedRanges"] == [{"from": midnight, "to": midnight + 86_400_000}]
    one = {"from": midnight + 0.4, "to": "1699916400001"}
    answer = rider.client.post(f"{path}/include", json=one).json()
    assert answer["workout"]["excludedRanges"][0]["from"] == midnight + 1
    problem = problem_of(rider.client.post(f"{path}/exclude", json={"from": "x", "to": T0}), 422)
    assert problem["detail"] == "from='x' is neither Unix milliseconds nor RFC 3339 nor a date"
    assert problem["errors"][0]["member"] == "from"


@pytest.mark.parametrize(
    "range_",
    [
        {"from": T0},
        {"from": T0, "to": T0},
        {"from": "soon", "to": T0},
        {"spike": T0, "to": T0 + 1},
        {"spike": "soon"},
        {"spike": 2**63 - 1},
    ],
)
def test_half_a_range_is_refused(rider: Rider, range_: dict[str, object]) -> None:
    workout = rider.start()
    answer = rider.client.post(f"/api/workouts/{workout}/exclude", json=range_)
    assert problem_of(answer, 422)["errors"]


def test_a_spike_is_flagged_and_is_no_record(rider: Rider) -> None:
    workout = rider.start()
    samples = seconds_of(200, 120)
    samples[60]["power"] = 2999
    rider.upload(workout, samples)
    summary = rider.complete(workout)["summary"]
    assert summary["spikes"] == [{"timestamp": T0 + 60_000, "power": 2999}]
    assert summary["maxPower"] == 2999  # flagged, never altered
    assert records_of(rider)[1]["value"] == 200


def figures_of(rider: Rider, workout: str) -> dict[str, Any]:
    """The summary, once nothing is left to be computed anew."""
    eventually(lambda: rider.client.get("/api/users/me/recompute").json()["pending"] == 0)
    summary: dict[str, Any] = rider.workout(workout)["summary"]
    return summary


def with_two_spikes(rider: Rider) -> str:
    """Two minutes at 200 W with a second of 2,999 W, and one of 2,600 W half a minute later."""
    workout = rider.start()
    samples = seconds_of(200, 120)
    samples[60]["power"], samples[90]["power"] = 2999, 2600
    rider.upload(workout, samples)
    rider.complete(workout)
    return workout


def test_a_spike_that_the_rider_says_is_real_counts_and_is_none_any_more(rider: Rider) -> None:
    workout = with_two_spikes(rider)
    path = f"/api/workouts/{workout}"
    answer = rider.client.post(f"{path}/include", json={"spike": T0 + 60_000})
    assert answer.status_code == 202
    vouched = [{"from": T0 + 60_000, "to": T0 + 60_001}]
    assert answer.json()["workout"]["vouchedRanges"] == vouched
    left = [{"timestamp": T0 + 90_000, "power": 2600}]
    assert figures_of(rider, workout)["spikes"] == left
    assert records_of(rider)[1]["value"] == 2999
    assert records_of(rider)[5]["value"] == pytest.approx((2999 + 4 * 200) / 5)
    rider.upload(workout, seconds_of(200, 60, T0 + 120_000))  # late samples change nothing of it
    eventually(lambda: rider.workout(workout)["summary"]["sampleCount"] == 180)
    assert (rider.workout(workout)["summary"]["spikes"], records_of(rider)[1]["value"]) == (
        left,
        2999,
    )
    rider.client.post(f"{path}/exclude", json={"spike": "2023-11-14T22:14:20Z"}).raise_for_status()
    assert figures_of(rider, workout)["spikeCount"] == 2
    assert records_of(rider)[1]["value"] == 200


def test_no_power_of_an_included_range_is_a_spike_until_it_is_excluded(rider: Rider) -> None:
    workout = with_two_spikes(rider)
    path, range_ = f"/api/workouts/{workout}", {"from": T0 + 60_000, "to": T0 + 91_000}
    rider.client.post(f"{path}/include", json=range_).raise_for_status()
    assert figures_of(rider, workout)["spikeCount"] == 0
    assert records_of(rider)[1]["value"] == 2999
    rider.client.post(f"{path}/include", json={}).raise_for_status()  # of the whole ride: stays
    assert figures_of(rider, workout)["spikeCount"] == 0
    answer = rider.client.post(f"{path}/exclude", json={**range_, "to": T0 + 61_000})
    answer.raise_for_status()
    assert answer.json()["workout"]["vouchedRanges"] == [{**range_, "from": T0 + 61_000}]
    assert figures_of(rider, workout)["spikes"] == [{"timestamp": T0 + 60_000, "power": 2999}]
    assert records_of(rider)[1]["value"] == 2600


def test_a_hundred_ranges_of_a_ride_are_without_spikes_and_no_more(
    rider: Rider, database: Database
) -> None:
    workout = rider.start()
    with database.connection() as connection:
        connection.execute(
            "UPDATE workouts SET vouched_ranges = (SELECT range_agg(int8range("
            "%(start)s + 1000 * n, %(start)s + 1000 * n + 500)) FROM generate_series(1, 99) AS n)"
            " WHERE id = %(id)s",
            {"start": T0, "id": workout},
        )
    path = f"/api/workouts/{workout}"
    for change, spike, status in (
        ("include", T0, 202),
        ("include", T0 + 500, 409),
        ("exclude", T0 + 1001, 409),  # it would split a range
        ("exclude", T0, 202),
        ("exclude", T0 + 1001, 202),
    ):
        answer = rider.client.post(f"{path}/{change}", json={"spike": spike})
        assert answer.status_code == status, (change, spike)


def test_twenty_rides_folded_at_once_leave_the_true_maxima(rider: Rider) -> None:
    workouts = [rider.start() for _ in range(20)]
    for number, workout in enumerate(workouts):
        rider.upload(workout, seconds_of(200 + number, 60 + number, T0 + number * 1_000_000))
    with ThreadPoolExecutor(20) as pool:
        assert all(each["status"] == "COMPLETED" for each in pool.map(rider.complete, workouts))
    assert {record["value"] for record in records_of(rider).values()} == {219}


def test_the_curve_of_a_season_has_the_best_ride_of_each_duration(rider: Rider) -> None:
    short = ride_at(rider, 400, seconds=60)
    long = ride_at(rider, 250, seconds=600, start=T0 + 1_000_000)
    curve = rider.client.get("/api/power-curve").json()["powerCurve"]
    assert [point["duration"] for point in curve[:120]] == list(range(1, 121))
    assert {point["power"] for point in curve if point["duration"] <= 60} == {400}
    assert {point["power"] for point in curve if point["duration"] > 60} == {250}
    assert {point["workoutId"] for point in curve} == {short, long}
    one = rider.client.get(f"/api/workouts/{long}/power-curve").json()["powerCurve"]
    assert {point["power"] for point in one} == {250}
    later = rider.client.get("/api/power-curve", params={"from": str(T0 + 1)}).json()["powerCurve"]
    assert {point["workoutId"] for point in later} == {long}


def test_an_excluded_ride_keeps_its_own_curve_and_loses_the_season_s(rider: Rider) -> None:
    workout = ride_at(rider, 300)
    path = f"/api/workouts/{workout}/power-curve"
    bests = rider.client.get(path).json()["bests"]
    assert {(best["duration"], best["value"]) for best in bests} >= {(60, 300), (120, 300)}
    rider.client.post(f"/api/workouts/{workout}/exclude").raise_for_status()
    assert records_of(rider) == {}  # at once
    assert rider.client.get("/api/power-curve").json()["powerCurve"] == []
    efforts = rider.client.get(path).json()
    assert efforts["bests"] == []
    assert len(efforts["powerCurve"]) == 120


def test_rides_that_take_records_from_each_other_do_not_deadlock(
    rider: Rider, database: Database
) -> None:
    """Records refer to rides: whoever writes one must not wait for a fold that waits for it."""
    before = deadlocks(database)
    workouts = [ride_at(rider, 250, start=T0 + n * 1_000_000) for n in range(6)]

    def disturb(number: int) -> None:
        workout = workouts[number % 6]
        rider.upload(workout, seconds_of(250 + number % 7, 120, T0 + number % 6 * 1_000_000))
        for change in ("exclude", "include"):
            answer = rider.client.post(f"/api/workouts/{workout}/{change}")
            assert answer.status_code == 202, answer.text

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(disturb, range(120)))
    eventually(lambda: rider.client.get("/api/users/me/recompute").json()["pending"] == 0)
    assert deadlocks(database) == before
    with database.connection() as connection:
        best = connection.execute(
            "SELECT max(value) AS value FROM workout_bests WHERE user_id = %s AND duration = 60",
            [rider.account.user_id],
        ).fetchone()
    assert best == {"value": records_of(rider)[60]["value"]}


def deadlocks(database: Database) -> int:
    """How many there have been, among everyone's transactions."""
    with database.connection() as connection:
        row = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row
    return int(row["deadlocks"])
