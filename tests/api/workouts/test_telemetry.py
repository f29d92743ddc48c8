"""Telemetry over HTTP: what was uploaded can be read back, in every form."""

import csv
import gzip
import io
import json
from typing import Any

import pytest

from tests.api.answers import T0, problem_of, seconds_of, without_epoch
from tests.conftest import Rider

RIDE: list[dict[str, Any]] = [
    {"timestamp": T0, "power": 210, "speed": 8.186, "lat": 47.1234567},
    {"timestamp": T0 + 1000, "power": 0, "heartrate": 148},
    {"timestamp": T0 + 2500, "temperature": -3.5},
    {"timestamp": T0 + 3000, "power": 430, "speed": 8.5},
]


def read(rider: Rider, workout: str, **query: object) -> dict[str, Any]:
    response = rider.client.get(
        f"/api/workouts/{workout}/telemetry", params={k: str(v) for k, v in query.items()}
    )
    assert response.status_code == 200, response.text
    telemetry: dict[str, Any] = response.json()
    return telemetry


def read_samples(rider: Rider, workout: str, **query: object) -> list[dict[str, Any]]:
    telemetry = read(rider, workout, **query)
    samples: list[dict[str, Any]] = telemetry["samples"]
    assert telemetry["sampleCount"] == len(samples)
    return samples


@pytest.fixture(params=["waiting in Redis", "archived", "half and half"])
def ridden(rider: Rider, request: pytest.FixtureRequest) -> str:
    """A workout with RIDE, wherever it is held."""
    workout = rider.start()
    halves = [RIDE[1:], RIDE[:1]] if request.param == "half and half" else [RIDE]
    rider.upload(workout, halves[0])
    if request.param != "waiting in Redis":
        rider.complete(workout)
    for half in halves[1:]:
        rider.upload(workout, half)
    return workout


def test_an_uploaded_batch_is_accepted_and_read_back(rider: Rider) -> None:
    workout = rider.start()
    response = rider.upload(workout, {"samples": [{"timestamp": T0, "power": 210}]})
    assert response.status_code == 202
    assert without_epoch(response.json()) == {"accepted": 1, "receivedThrough": T0}
    read = rider.client.get(f"/api/workouts/{workout}/telemetry").json()
    assert read["samples"] == [{"timestamp": T0, "power": 210}]


def test_a_constant_hour_has_its_power_as_average_and_normalized_power(rider: Rider) -> None:
    workout = rider.start(title="Steady")
    samples = [{"timestamp": T0 + 1000 * s, "power": 200} for s in range(3600)]
    rider.upload(workout, samples)
    summary = rider.complete(workout)["summary"]
    assert summary["avgPower"] == summary["normalizedPower"] == 200
    assert summary["totalEnergy"] == pytest.approx(720)  # 200 W for 3600 s
    assert summary["sampleCount"] == 3600


def test_a_ride_is_read_as_it_was_sent_wherever_it_is_held(rider: Rider, ridden: str) -> None:
    assert read_samples(rider, ridden) == RIDE
    assert rider.workout(ridden, includeTelemetry="true")["telemetry"] == RIDE
    assert "telemetry" not in rider.workout(ridden)


def test_every_form_of_body_is_stored_alike(rider: Rider) -> None:
    columns = {
        name: [sample.get(name) for sample in RIDE]
        for name in ("timestamp", "power", "speed", "lat", "heartrate", "temperature")
    }
    lines = "\n".join(map(json.dumps, RIDE))
    read_back = []
    for body in (RIDE, {"samples": RIDE}, columns):
        workout = rider.start()
        assert rider.upload(workout, body).json()["accepted"] == 4
        read_back.append(read_samples(rider, workout))
    workout = rider.start()
    response = rider.client.post(
        f"/api/workouts/{workout}/telemetry",
        content=lines,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert without_epoch(response.json()) == {"accepted": 4, "receivedThrough": T0 + 3000}
    read_back.append(read_samples(rider, workout))
    assert read_back == [RIDE] * 4


def test_received_through_is_the_latest_of_a_batch_in_any_order(rider: Rider) -> None:
    answer = rider.upload(rider.start(), list(reversed(RIDE))).json()
    assert without_epoch(answer) == {"accepted": 4, "receivedThrough": T0 + 3000}


def test_an_empty_batch_is_accepted_and_is_nothing(rider: Rider) -> None:
    workout = rider.start()
    answer = rider.upload(workout, []).json()
    assert without_epoch(answer) == {"accepted": 0, "receivedThrough": None}
    assert read_samples(rider, workout) == []


def test_a_batch_sent_again_changes_nothing(rider: Rider, ridden: str) -> None:
    rider.upload(ridden, RIDE)
    assert read_samples(rider, ridden) == RIDE


def test_a_correction_wins_and_takes_nothing_else_away(rider: Rider, ridden: str) -> None:
    rider.upload(ridden, [{"timestamp": T0, "power": 190}])
    assert read_samples(rider, ridden)[0] == {**RIDE[0], "power": 190}


def test_one_bad_sample_refuses_the_batch_and_nothing_of_it_is_stored(rider: Rider) -> None:
    workout = rider.start()
    bad = [*seconds_of(200, 2), {"timestamp": T0 + 2000, "power": 65535}]
    problem = problem_of(rider.upload(workout, bad), 422)
    assert problem["errors"] == [
        {"detail": "65535 is outside 0 to 10000 W", "member": "power", "index": 2}
    ]
    assert read_samples(rider, workout) == []


def test_leniently_the_rest_is_stored_and_the_reply_lists_what_was_dropped(rider: Rider) -> None:
    workout = rider.start()
    sent = [{"timestamp": T0, "power": 200, "heartrate": 400}, {"power": 1}]
    response = rider.upload(workout, sent, headers={"Prefer": "handling=lenient"})
    assert response.status_code == 202
    assert without_epoch(response.json()) == {
        "accepted": 1,
        "receivedThrough": T0,
        "droppedCount": 2,
        "dropped": [
            {"detail": "400 is outside 0 to 300 bpm", "member": "heartrate", "index": 0},
            {"detail": "is missing", "member": "timestamp", "index": 1},
        ],
    }
    assert read_samples(rider, workout) == [{"timestamp": T0, "power": 200}]


def test_leniently_a_faulty_sensor_is_counted_in_full_and_listed_in_part(rider: Rider) -> None:
    sent = [{**sample, "lat": 91} for sample in seconds_of(200, 500)]
    answer = rider.upload(rider.start(), sent, headers={"Prefer": "handling=lenient"}).json()
    assert (answer["accepted"], answer["droppedCount"]) == (500, 500)
    assert len(answer["dropped"]) == 100


def test_too_many_samples_are_413(rider: Rider) -> None:
    columns = {"timestamp": [T0] * 65_537}
    assert "65536" in problem_of(rider.upload(rider.start(), columns), 413)["detail"]


def test_the_largest_batch_is_taken(rider: Rider) -> None:
    times = [T0 + second for second in range(65_536)]
    assert rider.upload(rider.start(), {"timestamp": times}).json()["accepted"] == 65_536


def test_channels_choose(rider: Rider, ridden: str) -> None:
    assert read_samples(rider, ridden, channels=" power, speed ") == [
        {"timestamp": T0, "power": 210, "speed": 8.186},
        {"timestamp": T0 + 1000, "power": 0},
        {"timestamp": T0 + 2500},
        {"timestamp": T0 + 3000, "power": 430, "speed": 8.5},
    ]


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ({"from": T0 + 1000}, slice(1, None)),
        ({"to": T0 + 1000}, slice(0, 1)),
        ({"from": "2023-11-14T22:13:21Z", "to": "2023-11-14T23:13:23+01:00"}, slice(1, 3)),
        ({"from": "2023-11-15"}, slice(0, 0)),
        ({"from": T0 + 1000, "to": T0 + 1000}, slice(0, 0)),
    ],
)
def test_from_is_included_and_to_is_not(
    rider: Rider, ridden: str, query: dict[str, Any], chosen: slice
) -> None:
    assert read_samples(rider, ridden, **query) == RIDE[chosen]


def test_a_resolution_gives_means_of_what_was_measured(rider: Rider, ridden: str) -> None:
    # T0 is a multiple of 2 s: 0 to 2 s holds 210 and 0 W; 2 to 4 s holds 430 W.
    assert read_samples(rider, ridden, channels="power,heartrate", resolution=2) == [
        {"timestamp": T0, "power": 105, "heartrate": 148},
        {"timestamp": T0 + 2000, "power": 430},
    ]


def test_a_channel_that_there_is_not_names_the_nearest(rider: Rider, ridden: str) -> None:
    path = f"/api/workouts/{ridden}/telemetry"
    refused = rider.client.get(path, params={"channels": "heartRate,gear,power"})
    assert problem_of(refused, 422)["detail"] == (
        "channels: gear is unknown, heartRate is spelt heartrate; there are power, cadence, "
        "heartrate, speed, distance, altitude, lat, lng, temperature, balance"
    )


@pytest.mark.parametrize("held", ["waiting in Redis", "archived"])
@pytest.mark.parametrize("channels", ["lat,lng", "lat", "lng"])
def test_a_receiver_without_a_fix_moves_no_mean_position(
    rider: Rider, held: str, channels: str
) -> None:
    """Of one 0/0 among ten, the means would be 42.3 and 161.9995; of both longitudes, 0."""
    workout, start = rider.start(), T0 // 10_000 * 10_000
    places = [{"lat": 47, "lng": 179.9995 if second % 2 else -179.9995} for second in range(9)]
    places.append({"lat": 0, "lng": 0})
    timed = [{"timestamp": start + 1000 * n, **place} for n, place in enumerate(places)]
    rider.upload(workout, timed)
    if held == "archived":
        rider.complete(workout)
    (sample,) = read_samples(rider, workout, channels=channels, resolution=10)
    means = {"lat": 47, "lng": pytest.approx(-179.9999444)}  # five in the west, four in the east
    assert sample == {"timestamp": start, **{name: means[name] for name in channels.split(",")}}


def test_columns_have_equal_lengths_and_null_for_missing(rider: Rider, ridden: str) -> None:
    telemetry = read(rider, ridden, format="columns", channels="power,heartrate")
    assert telemetry == {
        "sampleCount": 4,
        "columns": {
            "timestamp": [T0, T0 + 1000, T0 + 2500, T0 + 3000],
            "power": [210, 0, None, 430],
            "heartrate": [None, 148, None, None],
        },
    }


@pytest.mark.parametrize(
    "how", [{"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}]
)
def test_csv_leaves_missing_fields_empty(rider: Rider, ridden: str, how: dict[str, Any]) -> None:
    response = rider.client.get(f"/api/workouts/{ridden}/telemetry", **how)
    assert response.headers["content-type"].startswith("text/csv")
    header, *lines = csv.reader(io.StringIO(response.text))
    assert header == ["timestamp", "power", "heartrate", "speed", "lat", "temperature"]
    assert lines[0] == [str(T0), "210", "", "8.186", "47.1234567", ""]
    assert lines[2] == [str(T0 + 2500), "", "", "", "", "-3.5"]


def test_a_format_in_the_query_wins_over_the_accept_header(rider: Rider, ridden: str) -> None:
    response = rider.client.get(
        f"/api/workouts/{ridden}/telemetry",
        params={"format": "samples"},
        headers={"Accept": "text/csv"},
    )
    assert response.json()["samples"] == RIDE


@pytest.mark.parametrize(
    "query",
    [
        {"channels": "power,watts"},
        {"from": "yesterday"},
        {"to": "12:00"},
        {"resolution": "0"},
        {"resolution": "86401"},
        {"resolution": "1.5"},
        {"format": "xml"},
    ],
)
def test_a_parameter_that_is_wrong_is_named(rider: Rider, query: dict[str, str]) -> None:
    response = rider.client.get(f"/api/workouts/{rider.start()}/telemetry", params=query)
    assert problem_of(response, 422)["detail"].startswith(next(iter(query)))


def test_a_long_ride_in_small_batches_is_read_whole(rider: Rider) -> None:
    """More entries than Redis is asked for at a time."""
    workout = rider.start()
    for second in range(1100):
        rider.upload(workout, [{"timestamp": T0 + 1000 * second, "power": second}])
    assert [sample["power"] for sample in read_samples(rider, workout)] == list(range(1100))


def test_endless_lines_that_are_no_samples_are_too_large_even_leniently(rider: Rider) -> None:
    workout = rider.start()
    response = rider.client.post(
        f"/api/workouts/{workout}/telemetry",
        content=gzip.compress(b"x\n" * 70_000),
        headers={
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "Prefer": "handling=lenient",
        },
    )
    problem_of(response, 413)
