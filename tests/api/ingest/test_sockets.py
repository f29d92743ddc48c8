"""How many WebSockets may be open, and when one that is idle ends."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from api.app import LOOK_THROUGH_SOCKETS_EVERY
from api.identity.auth import REVOCATION_BOUND
from shared.connections import Database, DatabaseConnection
from shared.sql import load_queries
from tests.api.answers import T0, eventually, without_epoch
from tests.api.conftest import MakeKey
from tests.conftest import Rider, serving

USERS = load_queries("users")
Open = Callable[..., ClientConnection]


@pytest.fixture
def open_socket() -> Iterator[Open]:
    """Opens a connection to a workout; all are closed at the end."""
    with ExitStack() as stack:

        def open_(service: str, workout: str, key: str) -> ClientConnection:
            url = f"{service.replace('http', 'ws')}/api/workouts/{workout}/telemetry"
            connection = connect(url, additional_headers={"X-API-Key": key}, open_timeout=20)
            return stack.enter_context(connection)

        yield open_


def refusal(open_: Callable[[], object]) -> tuple[int, int]:
    """The status of a handshake that is refused, and for how many seconds."""
    with pytest.raises(InvalidStatus) as refused:
        open_()
    response = refused.value.response
    assert json.loads(response.body or b"")["status"] == response.status_code
    return response.status_code, int(response.headers["Retry-After"])


def opens(open_: Callable[[], object]) -> bool:
    try:
        open_()
    except InvalidStatus:
        return False
    return True


def test_a_key_has_five_open_and_another_once_one_is_closed(
    rider: Rider, service: str, make_api_key: MakeKey, open_socket: Open
) -> None:
    workout = rider.start()
    key, other = (make_api_key(rider.account.user_id, ["upload"]) for _ in range(2))

    def another() -> ClientConnection:
        return open_socket(service, workout, key)

    first, *_ = [another() for _ in range(5)]
    assert [refusal(another) for _ in range(3)] == [(429, 10)] * 3
    open_socket(service, workout, other)
    first.close()
    eventually(lambda: opens(another))
    assert refusal(another) == (429, 10)
    assert rider.upload(workout, [{"timestamp": T0}]).status_code == 202  # a request is none


@pytest.mark.parametrize(
    ("setting", "status"), [("MAX_SOCKETS_PER_USER", 429), ("MAX_SOCKETS", 503)]
)
def test_a_user_has_so_many_and_all_together_have(
    rider: Rider,
    urls: dict[str, str],
    tmp_path: Path,
    make_rider: Callable[[], Rider],
    make_api_key: MakeKey,
    open_socket: Open,
    setting: str,
    status: int,
) -> None:
    other, workout = make_rider(), rider.start()
    theirs = other.start()
    keys = [make_api_key(rider.account.user_id, ["upload"]) for _ in range(4)]
    with serving(tmp_path / "api.log", **urls, **{setting: "3"}) as api:
        sockets = [open_socket(api, workout, key) for key in keys[:3]]
        assert refusal(lambda: open_socket(api, workout, keys[3])) == (status, 10)
        theirs_opens = opens(lambda: open_socket(api, theirs, other.account.api_key))
        assert theirs_opens == (status == 429)
        sockets[0].close()
        eventually(lambda: opens(lambda: open_socket(api, workout, keys[3])))


def by_id(query: str) -> Callable[..., object]:
    def run(connection: DatabaseConnection, rider: Rider, key: str, workout: str) -> object:
        ids = {"user_id": rider.account.user_id, "id": key.split("_")[1], "workout": workout}
        return connection.execute(query.encode(), ids)

    return run


def delete_user(connection: DatabaseConnection, rider: Rider, *_: str) -> object:
    whose = {"user_id": rider.account.user_id}
    return [connection.execute(USERS[query], whose) for query in ("delete_user", "delete_keys")]


ENDS = {
    "revoked": (401, by_id("UPDATE api_keys SET revoked_at = now() WHERE id = %(id)s")),
    "expires": (
        401,
        by_id("UPDATE api_keys SET expires_at = now() + interval '1 second' WHERE id = %(id)s"),
    ),
    "disabled": (401, by_id("UPDATE users SET disabled_at = now() WHERE id = %(user_id)s")),
    "account deleted": (401, delete_user),
    "workout deleted": (
        404,
        by_id("UPDATE workouts SET status = 'DELETED' WHERE id = %(workout)s"),
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_an_idle_connection_ends_with_what_it_is_for(
    rider: Rider,
    make_rider: Callable[[], Rider],
    service: str,
    make_api_key: MakeKey,
    open_socket: Open,
    database: Database,
    how: str,
) -> None:
    """By another process, which can only be seen in PostgreSQL, while this one has all cached."""
    other, (status, end) = make_rider(), ENDS[how]
    key, workout = make_api_key(rider.account.user_id, ["upload"]), rider.start()
    socket = open_socket(service, workout, key)
    unconcerned = open_socket(service, other.start(), other.account.api_key)
    with database.connection() as connection:
        end(connection, rider, key, workout)
    assert json.loads(socket.recv(timeout=30))["status"] == status
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert without_epoch(receipt_of(unconcerned)) == {"accepted": 1, "receivedThrough": T0}


def receipt_of(socket: ClientConnection) -> Any:
    socket.send(json.dumps([{"timestamp": T0}]))
    return json.loads(socket.recv(timeout=20))


def test_connections_are_looked_through_well_within_the_time_for_revocation() -> None:
    """One look takes two seconds to come, and PostgreSQL's answer some time."""
    assert LOOK_THROUGH_SOCKETS_EVERY <= REVOCATION_BOUND / 2


def test_a_process_that_stops_closes_idle_connections(
    rider: Rider, urls: dict[str, str], tmp_path: Path, open_socket: Open
) -> None:
    with serving(tmp_path / "api.log", **urls) as api:
        socket = open_socket(api, rider.start(), rider.account.api_key)
        assert receipt_of(socket)["accepted"] == 1
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
