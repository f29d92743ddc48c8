"""Members of samples that nobody knows: told, and refused where a sample has no other."""

import gzip
import json
from typing import Any
from uuid import UUID

import pytest
from websockets.sync.client import connect

from api.ingest.batch import NDJSON
from api.ingest.unknown import FirstBatches, nearest_channel, unknown_names
from api.web.body import JSON
from shared.samples.channels import CHANNEL_NAMES
from tests.api.answers import T0, problem_of
from tests.conftest import Rider

GOOD = {"timestamp": T0, "power": 200}
EXTRA = {**GOOD, "heartRate": 130, "battery": 80}
IGNORED = {"battery": None, "heartRate": "heartrate"}


def test_the_first_batches_of_a_ride_tell_what_was_ignored(rider: Rider) -> None:
    workout = rider.start()
    answers = [rider.upload(workout, [EXTRA]).json() for _ in range(4)]
    assert [answer.get("ignored") for answer in answers] == [IGNORED] * 3 + [None]
    assert "ignored" not in rider.upload(rider.start(), [GOOD]).json()


def test_batches_that_are_refused_or_empty_are_none_of_the_first(rider: Rider) -> None:
    workout = rider.start()
    for batch in ([], [{**GOOD, "power": -1}], [], [{"timestamp": T0, "heartRate": 130}]):
        assert "ignored" not in rider.upload(workout, batch).json()
    assert rider.upload(workout, [EXTRA]).json()["ignored"] == IGNORED


def test_each_ride_has_first_batches_of_its_own(rider: Rider) -> None:
    rider.upload(rider.start(), [EXTRA])
    assert rider.upload(rider.start(), [EXTRA]).json()["ignored"] == IGNORED  # another ride's


@pytest.mark.parametrize(
    ("document", "media"),
    [
        ([GOOD, EXTRA], JSON),
        ({"samples": [GOOD, EXTRA]}, JSON),
        ({"timestamp": [T0], "power": [200], "heartRate": [130], "battery": 80}, JSON),
    ],
)
def test_every_form_of_a_batch_is_looked_through(document: Any, media: str) -> None:
    assert unknown_names(json.dumps(document).encode(), media) == IGNORED


def test_lines_and_messages_are_looked_through_as_well(rider: Rider) -> None:
    body = "\n".join(map(json.dumps, [GOOD, EXTRA])).encode()
    workout = rider.start()
    path = f"/api/workouts/{workout}/telemetry"
    headers = {"Content-Type": NDJSON, "Content-Encoding": "gzip"}
    sent = rider.client.post(path, content=gzip.compress(body), headers=headers)
    assert sent.json()["ignored"] == IGNORED
    url = str(rider.client.base_url).rstrip("/").replace("http", "ws") + path
    key = {"X-API-Key": rider.account.api_key}
    with connect(url, additional_headers=key, open_timeout=20) as connection:
        connection.send(json.dumps([EXTRA]))
        assert json.loads(connection.recv(timeout=20))["ignored"] == IGNORED


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (
            [GOOD, {"timestamp": T0 + 1, "heartRate": 130}],
            "sample 1 has no channel; `heartRate` is spelt `heartrate`; nothing was stored",
        ),
        (
            [{"timestamp": T0, "foo": 1}],
            f"sample 0 has no channel; there are {', '.join(CHANNEL_NAMES)}; nothing was stored",
        ),
        (
            {"timestamp": [T0, T0 + 1], "watts": [None, 200]},
            "the batch has no channel; `watts` is spelt `power`; nothing was stored",
        ),
    ],
)
def test_a_sample_of_readings_that_nobody_knows_is_refused(
    rider: Rider, samples: Any, said: str
) -> None:
    workout = rider.start()
    problem = problem_of(rider.upload(workout, samples), 422)
    assert (problem["type"], problem["detail"]) == ("/problems/bad-samples", said)
    receipt = rider.client.get(f"/api/workouts/{workout}/receipt").json()
    assert receipt["sampleCount"] == 0


def test_the_eleventh_sample_of_a_long_batch_is_refused_as_the_first_is(rider: Rider) -> None:
    many = [{"timestamp": T0 + at, "power": 1} for at in range(100)]
    many[10] = {"timestamp": T0 + 10, "hr": 130}
    assert problem_of(rider.upload(rider.start(), many), 422)["errors"][0]["index"] == 10


def test_leniently_such_a_sample_is_left_out_and_named(rider: Rider) -> None:
    samples = [GOOD, {"timestamp": T0 + 1, "heartRate": 130}]
    answer = rider.upload(rider.start(), samples, headers={"Prefer": "handling=lenient"}).json()
    assert answer["accepted"] == 1
    assert answer["dropped"] == [
        {"detail": "has no channel; `heartRate` is spelt `heartrate`", "index": 1}
    ]


@pytest.mark.parametrize(
    "sample", [{}, {"power": None}, {"device": "x"}, {"power": None, "heartRate": 1}]
)
def test_a_sample_in_which_nothing_was_measured_is_taken(
    rider: Rider, sample: dict[str, Any]
) -> None:
    samples = [{"timestamp": T0, **sample}]
    assert rider.upload(rider.start(), samples).json()["accepted"] == 1


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("heartRate", "heartrate"),
        ("heart_rate", "heartrate"),
        ("hr", "heartrate"),
        ("Watts", "power"),
        ("longitude", "lng"),
        ("latitude", "lat"),
        ("elevation", "altitude"),
        ("time", "timestamp"),
        ("device", None),
        ("battery", None),
    ],
)
def test_a_channel_is_known_by_what_others_call_it(name: str, channel: str | None) -> None:
    assert nearest_channel(name) == channel


def test_as_many_names_are_told_as_one_can_read() -> None:
    sample = {f"x{number:03}" + "y" * 1000: 1 for number in range(1000)}
    told = unknown_names(json.dumps([sample]).encode(), JSON)
    assert len(told) == 20
    assert max(map(len, told)) <= 61


def test_three_batches_of_a_ride_are_its_first() -> None:
    first, ride = FirstBatches(), UUID(int=1)
    assert [first.has_next(ride) for _ in range(5)] == [True, True, True, False, False]
    assert first.has_next(UUID(int=2))
