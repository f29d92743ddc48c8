"""Exports that are cut off, stalled or left: none looks complete, none stays in the way."""

import io
import socket
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from uuid import uuid4

import httpx2
import numpy as np
import psycopg
import pytest

from shared.samples.archive import ArchivedChannel, encode
from shared.samples.channels import CHANNELS
from shared.samples.columns import Samples
from tests.api.answers import T0, eventually, problem_of
from tests.conftest import Rider
from tests.faults.system import System, most_memory

EXPORT = "/api/users/me/export"
RIDES = 3  # the buffers between API and client do not even take one


@cache
def noise(count: int) -> list[ArchivedChannel]:
    """Archived samples that no compression makes much smaller."""
    chance = np.random.default_rng(7)
    channels = {one.name: chance.uniform(0, 90, count).round(3) for one in CHANNELS}
    return encode(Samples(T0 + 1000 * np.arange(count), channels))


def give_rides(system: System, rider: Rider) -> None:
    rows = noise(30_000)
    with psycopg.connect(system.database_url) as connection, connection.cursor() as cursor:
        for _ in range(RIDES):
            workout = uuid4()
            cursor.execute(
                "INSERT INTO workouts (id, user_id, status) VALUES (%s, %s, 'COMPLETED')",
                [workout, rider.account.user_id],
            )
            cursor.executemany(
                "INSERT INTO workout_channels (workout_id, channel, encoding, samples, data)"
                " VALUES (%s, %s, %s, %s, %s)",
                [[workout, *row[:4]] for row in rows],
            )


@pytest.fixture
def rider(system: System) -> Rider:
    """With rides to export for a while."""
    system.start_api()
    rider = system.make_rider()
    give_rides(system, rider)
    return rider


@contextmanager
def exporting(system: System, rider: Rider) -> Iterator[Iterator[bytes]]:
    """An export by a client that takes little at a time."""
    narrow = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)]
    transport = httpx2.HTTPTransport(socket_options=narrow)
    with (
        httpx2.Client(base_url=system.url, transport=transport, timeout=30) as client,
        client.stream("GET", EXPORT, headers=rider.client.headers) as response,
    ):
        assert response.status_code == 200
        pieces = response.iter_raw()
        assert next(pieces).startswith(b"PK")
        yield pieces


def is_possible(rider: Rider) -> bool:
    """Whether another export may begin."""
    with rider.client.stream("GET", EXPORT) as response:
        return response.status_code == 200


def test_an_export_that_loses_postgresql_ends_early_and_says_so(
    system: System, rider: Rider
) -> None:
    with exporting(system, rider) as pieces:
        system.postgres_proxy.refuse()
        taken = list[bytes]()
        with pytest.raises(httpx2.RemoteProtocolError):
            taken.extend(pieces)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(taken)))
    system.postgres_proxy.restore()
    eventually(lambda: rider.client.get("/api/workouts").is_success)
    whole = rider.client.get(EXPORT)
    archive = zipfile.ZipFile(io.BytesIO(whole.content))
    assert archive.testzip() is None
    assert sum(name.startswith("telemetry/") for name in archive.namelist()) == RIDES


def test_an_export_that_cannot_begin_is_503(system: System, rider: Rider) -> None:
    assert rider.client.get("/api/keys").status_code == 200  # the key is remembered
    system.postgres_proxy.refuse()
    problem_of(rider.client.get(EXPORT), 503)


def test_an_export_ends_early_when_its_key_is_revoked(system: System, rider: Rider) -> None:
    with exporting(system, rider) as pieces:
        system.execute("UPDATE api_keys SET revoked_at = now()")
        eventually(lambda: rider.client.get("/api/keys").status_code == 401)
        with pytest.raises(httpx2.RemoteProtocolError):
            list(pieces)


def test_there_is_one_export_at_a_time_of_a_user_and_two_in_all(
    system: System, rider: Rider
) -> None:
    second, third = system.make_rider(), system.make_rider()
    give_rides(system, second)
    with exporting(system, rider):
        refused = rider.client.get(EXPORT)
        problem_of(refused, 429)
        assert int(refused.headers["retry-after"]) > 0
        with exporting(system, second):
            refused = third.client.get(EXPORT)
            problem_of(refused, 503)
            assert int(refused.headers["retry-after"]) > 1


def test_a_client_that_leaves_makes_room_at_once(system: System, rider: Rider) -> None:
    with exporting(system, rider):
        assert not is_possible(rider)
    eventually(lambda: is_possible(rider))


def test_a_client_that_takes_nothing_makes_room_in_time(system: System, rider: Rider) -> None:
    system.start_api(BODY_TIMEOUT="1")
    with exporting(system, rider) as pieces:
        eventually(lambda: is_possible(rider))
        # Reset, where the connection itself was given up first.
        with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
            list(pieces)


def test_a_waiting_export_holds_no_connection_to_postgresql(system: System, rider: Rider) -> None:
    """Of one that there is; else whoever needs it would be told in vain to come again."""
    system.start_api(DATABASE_POOL_SIZE="1")
    with exporting(system, rider):
        for _ in range(20):
            assert rider.client.get("/api/workouts").status_code == 200


def test_an_export_needs_little_memory_however_much_it_holds(system: System, rider: Rider) -> None:
    api = system.api
    assert api is not None
    first = len(rider.client.get(EXPORT).content)
    before = most_memory(api)
    give_rides(system, rider)
    second = len(rider.client.get(EXPORT).content)
    assert second - first > 2_000_000  # bytes
    assert most_memory(api) - before < 1000  # KiB
