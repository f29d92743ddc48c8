"""Uploads over a WebSocket: each message a batch, each answered."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from api.ingest.uploads import MAX_MESSAGE
from shared.connections import Database
from shared.credentials import make_key
from tests.api.answers import T0, eventually, without_epoch
from tests.api.conftest import MakeKey
from tests.conftest import Rider

Open = Callable[..., AbstractContextManager[ClientConnection]]


@pytest.fixture
def live(service: str, rider: Rider) -> Open:
    """Opens a connection to a workout, with the rider's key unless another is given."""

    @contextmanager
    def open_(workout: str, key: str | None = None, **headers: str) -> Iterator[ClientConnection]:
        url = f"{service.replace('http', 'ws')}/api/workouts/{workout}/telemetry"
        sent = {"X-API-Key": key or rider.account.api_key, **headers}
        with connect(url, additional_headers=sent, open_timeout=20) as connection:
            yield connection

    return open_


def ask(connection: ClientConnection, batch: object) -> dict[str, Any]:
    connection.send(batch if isinstance(batch, str | bytes) else json.dumps(batch))
    answer: dict[str, Any] = json.loads(connection.recv(timeout=20))
    return answer


def second(at: int, power: int = 200) -> dict[str, int]:
    return {"timestamp": T0 + 1000 * at, "power": power}


def test_a_ride_is_uploaded_second_by_second(rider: Rider, live: Open) -> None:
    workout = rider.start()
    with live(workout) as connection:
        for at in range(60):
            answer = ask(connection, [second(at)])
            assert without_epoch(answer) == {"accepted": 1, "receivedThrough": T0 + 1000 * at}
    summary = rider.complete(workout)["summary"]
    assert (summary["sampleCount"], summary["avgPower"]) == (60, 200)


@pytest.mark.parametrize(
    "batch",
    [
        {"samples": [second(0), second(1)]},
        {"timestamp": [T0, T0 + 1000], "power": [200, 201]},
        json.dumps([second(0), second(1)]).encode(),
    ],
    ids=["samples", "columns", "binary"],
)
def test_a_message_has_any_form_that_a_json_body_has(
    rider: Rider, live: Open, batch: object
) -> None:
    with live(rider.start()) as connection:
        assert without_epoch(ask(connection, batch)) == {
            "accepted": 2,
            "receivedThrough": T0 + 1000,
        }


def test_answers_come_in_the_order_of_the_messages(rider: Rider, live: Open) -> None:
    with live(rider.start()) as connection:
        for at in range(200):
            connection.send(json.dumps([second(at)]))
        through = [json.loads(connection.recv(timeout=20))["receivedThrough"] for _ in range(200)]
    assert through == [T0 + 1000 * at for at in range(200)]


def test_a_bad_batch_is_a_problem_and_the_next_one_is_stored(rider: Rider, live: Open) -> None:
    workout = rider.start()
    with live(workout) as connection:
        problem = ask(connection, [second(0), second(1, power=-1)])
        assert problem["status"] == 422
        assert problem["errors"][0]["index"] == 1
        assert problem["errors"][0]["member"] == "power"
        assert ask(connection, "not JSON")["status"] == 400
        assert ask(connection, "")["status"] == 400
        assert ask(connection, [second(0)])["accepted"] == 1
    assert rider.complete(workout)["summary"]["sampleCount"] == 1


def test_a_lenient_connection_keeps_what_is_right(rider: Rider, live: Open) -> None:
    with live(rider.start(), Prefer="handling=lenient") as connection:
        answer = ask(connection, [second(0), {"timestamp": T0 + 1000, "power": -1}])
    assert answer["accepted"] == 2
    assert answer["droppedCount"] == 1


def test_who_may_not_upload_is_refused_before_the_upgrade(
    rider: Rider, make_rider: Any, live: Open, make_api_key: MakeKey
) -> None:
    def refusal(workout: str, key: str | None = None) -> tuple[int, Any]:
        with pytest.raises(InvalidStatus) as refused, live(workout, key):
            pass
        response = refused.value.response
        headers = [pair for pair in response.headers.raw_items() if pair[0].lower() != "date"]
        assert json.loads(response.body or b"")["status"] == response.status_code
        return int(response.status_code), (response.body, headers)

    user, mine, theirs = rider.account.user_id, rider.start(), make_rider().start()
    for key in ("nonsense", make_key().text, make_api_key(user, revoked="-1 second")):
        assert refusal(mine, key)[0] == 401
    assert refusal(mine, make_api_key(user, expires="-1 second"))[0] == 401
    assert refusal(mine, make_api_key(user, ["read"]))[0] == 403
    assert refusal(theirs) == refusal(str(uuid4()))
    assert refusal(theirs)[0] == refusal("not-an-id")[0] == 404


def test_a_revoked_key_ends_the_connection(
    rider: Rider, live: Open, make_api_key: MakeKey, database: Database
) -> None:
    key = make_api_key(rider.account.user_id, ["upload"])
    with live(rider.start(), key) as connection:
        assert ask(connection, [second(0)])["accepted"] == 1
        with database.connection() as cursor:
            cursor.execute(
                "UPDATE api_keys SET revoked_at = now() WHERE id = %s", [key.split("_")[1]]
            )
        assert json.loads(connection.recv(timeout=20))["status"] == 401
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_a_ride_deleted_meanwhile_ends_the_connection(rider: Rider, live: Open) -> None:
    workout = rider.start()
    with live(workout) as connection:
        assert ask(connection, [second(0)])["accepted"] == 1
        assert rider.client.delete(f"/api/workouts/{workout}").status_code == 200
        assert ask(connection, [second(1)])["status"] == 404
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=20)


def test_samples_after_the_completion_correct_it(rider: Rider, live: Open) -> None:
    workout = rider.start()
    with live(workout) as connection:
        ask(connection, [second(at) for at in range(60)])
        assert rider.complete(workout)["summary"]["sampleCount"] == 60
        ask(connection, [second(60, power=300)])
        eventually(lambda: rider.workout(workout)["summary"]["maxPower"] == 300)


def test_a_message_over_the_limit_ends_the_connection(rider: Rider, live: Open) -> None:
    with live(rider.start()) as connection, pytest.raises(ConnectionClosed):
        ask(connection, " " * (MAX_MESSAGE + 1))
    assert rider.client.get("/health/live").status_code == 200


def test_no_message_is_inflated(rider: Rider, live: Open) -> None:
    """A few bytes of it could be very many, before anybody counts them."""
    with live(rider.start()) as connection:
        assert connection.protocol.extensions == []


def test_messages_count_in_the_budget_of_bodies(rider: Rider, live: Open) -> None:
    with live(rider.start()) as connection:
        for at in range(1500):  # 375 MB in all: more than may be held, were it not given back
            connection.send(" " * (MAX_MESSAGE - 1))
            assert json.loads(connection.recv(timeout=20))["status"] == 400, at
