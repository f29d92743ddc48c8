"""The epoch changes with whatever Redis may have lost, and with nothing else."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from websockets.sync.client import connect

from api.ingest.epochs import Epochs
from api.ingest.stream_writer import StreamWriter
from ops.embedded.servers import prepare
from ops.embedded.valkey import valkey_server
from shared.connections import Redis, open_redis
from shared.redis_keys import EPOCH
from shared.settings import Settings, read_settings
from tests.api.answers import T0, seconds_of
from tests.api.ingest.test_stream_writer import stored, write
from tests.conftest import Rider, reachable_folder
from tests.faults.system import Server
from tests.redis_settings import configured


def epoch_of(settings: Settings) -> str:
    """What a process that has just been started says of a batch."""
    return write(settings, lambda writer: writer.append(uuid4(), b"batch", finished=False))


@pytest.fixture
def known(settings: Settings, redis_client: Redis) -> str:
    """The epoch of an empty Redis, once some process has made it."""
    write(settings, lambda writer: writer.epoch(uuid4()))
    return epoch_of(settings)


def test_every_process_tells_the_same_epoch(settings: Settings, known: str) -> None:
    assert {epoch_of(settings) for _ in range(3)} == {known}
    assert write(settings, lambda writer: writer.epoch(uuid4())) == known


def test_a_redis_that_was_emptied_has_another_epoch(
    settings: Settings, redis_client: Redis, known: str
) -> None:
    """What is first written to it is written twice: by then it may have been emptied."""
    ride = uuid4()

    async def upload_on(writer: StreamWriter) -> list[str]:
        before = await writer.append(uuid4(), b"batch", finished=False)
        redis_client.flushdb()
        return [before, *[await writer.append(ride, b"batch", finished=False) for _ in range(2)]]

    before, first, second = write(settings, upload_on)
    assert before == known != first
    assert first == second == epoch_of(settings)
    assert set(stored(redis_client, ride)) == {b"batch"}


def test_completing_after_redis_was_emptied_tells_of_it(rider: Rider, urls: dict[str, str]) -> None:
    workout = rider.start()
    before = rider.upload(workout, seconds_of(200, 2)).json()["epoch"]
    with open_redis(read_settings(urls)) as client:
        client.delete(EPOCH)  # gone, as with all else
    after = rider.client.post(f"/api/workouts/{workout}/complete").json()["epoch"]
    assert after not in (before, None)
    assert rider.client.get(f"/api/workouts/{workout}/receipt").json()["epoch"] == after


def test_a_receipt_of_a_redis_that_was_emptied_tells_of_it(
    settings: Settings, redis_client: Redis, known: str
) -> None:
    async def ask_on(writer: StreamWriter) -> list[str]:
        before = await writer.epoch(uuid4())
        redis_client.flushdb()
        return [before, await writer.epoch(uuid4()), await writer.epoch(uuid4())]

    before, first, second = write(settings, ask_on)
    assert before == known
    assert known != first == second


def test_a_redis_that_is_full_has_an_epoch_that_lasts_for_one_answer(
    settings: Settings, redis_client: Redis
) -> None:
    with configured(redis_client, "maxmemory", "1"):
        told = {write(settings, lambda writer: writer.epoch(uuid4())) for _ in range(3)}
    assert len(told) == 3
    assert not redis_client.exists(EPOCH)


def test_the_epoch_is_read_before_anything_is_written(
    settings: Settings, redis_client: Redis, known: str
) -> None:
    watched: Any = redis_client
    with watched.monitor() as monitor:
        epoch_of(settings)
        seen: list[str] = []
        while not seen or seen[-1] != "MGET":
            seen.append(monitor.next_command()["command"].split()[0])
    assert seen[-3:] == ["GET", "XADD", "MGET"]


def test_what_waits_is_read_with_the_epoch_by_one_connection(
    settings: Settings, redis_client: Redis, known: str
) -> None:
    """By two, they could be those of two servers of which one has taken the other's place."""
    watched: Any = redis_client
    with watched.monitor() as monitor:
        _, epoch = write(settings, lambda writer: writer.waiting(uuid4()))
        seen: list[tuple[str, str]] = []
        while not seen or seen[-1][1] != "XRANGE":
            told = monitor.next_command()
            seen.append((told["client_port"], told["command"].split()[0]))
        following = [monitor.next_command() for _ in range(2)]
    assert [told["command"] for told in following] == [f"GET {EPOCH}", "INFO server"]
    assert {told["client_port"] for told in following} == {seen[-1][0]}
    assert epoch == known


def test_a_server_that_became_a_replica_tells_an_epoch_for_one_answer(
    settings: Settings, redis_client: Redis, known: str
) -> None:
    """The key that it then has is the other one's, and so is what waits."""

    async def ask_on(writer: StreamWriter) -> list[str]:
        before = await writer.epoch(uuid4())
        redis_client.set(EPOCH, "the key of another run")
        redis_client.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
        try:
            return [before, *[await writer.epoch(uuid4()) for _ in range(2)]]
        finally:
            redis_client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]

    assert len(set(write(settings, ask_on))) == 3


@pytest.fixture
def restartable() -> Iterator[tuple[Server, Settings]]:
    with reachable_folder() as folder:
        sockets = folder / "sockets"
        sockets.mkdir()
        prepare(folder / "data")
        server = Server(valkey_server(folder / "data", sockets))
        yield server, read_settings({"DATABASE_URL": "postgresql://x", "REDIS_URL": server.url})
        server.stop()


def test_a_redis_that_was_restarted_has_another_epoch(
    restartable: tuple[Server, Settings],
) -> None:
    """It keeps the key, and may have lost what was written last."""
    server, settings = restartable
    write(settings, lambda writer: writer.epoch(uuid4()))
    before = epoch_of(settings)
    with open_redis(settings) as client:
        secret = client.get(EPOCH)
        server.stop()
        server.start()
        assert client.get(EPOCH) == secret
    after = epoch_of(settings)
    assert after != before
    assert epoch_of(settings) == after


def test_a_replica_that_takes_the_place_of_its_primary_has_another_epoch(
    settings: Settings, redis_client: Redis, known: str
) -> None:
    """It has the primary's key, and not all that was acknowledged; that may even come back."""
    redis_client.set(EPOCH, "another run, and its secret")
    after = epoch_of(settings)
    assert after != known
    assert redis_client.get(EPOCH) != b"another run, and its secret"
    assert epoch_of(settings) == after


def test_servers_that_share_the_rides_make_one_epoch_together() -> None:
    """In whichever order a process hears of them, and by whatever names."""
    one, other = Epochs(), Epochs()
    one.tell(b"run 1", b"run 1, a secret", "a")
    told = one.tell(b"run 2", b"run 2, a secret", "b")
    other.tell(b"run 2", b"run 2, a secret", "x")
    assert other.tell(b"run 1", b"run 1, a secret", "y") == told
    replaced = one.tell(b"run 3", b"run 3, a secret", "b")
    assert replaced != told
    one.keep(["a"])
    assert one.tell(b"run 1", b"run 1, a secret", "a") == Epochs().tell(
        b"run 1", b"run 1, a secret"
    )


def test_every_answer_about_samples_tells_the_epoch(rider: Rider, service: str) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 2))
    told = [rider.upload(workout, seconds_of(200, 2)).json()["epoch"]]
    nothing = [{"timestamp": 1}]
    lenient = {"Prefer": "handling=lenient"}
    told.append(rider.upload(workout, nothing, headers=lenient).json()["epoch"])
    told.append(rider.client.get(f"/api/workouts/{workout}/receipt").json()["epoch"])
    told.append(rider.client.get(f"/api/workouts/{rider.start()}/receipt").json()["epoch"])
    url = service.replace("http", "ws") + f"/api/workouts/{workout}/telemetry"
    with connect(url, additional_headers={"X-API-Key": rider.account.api_key}) as socket:
        socket.send(json.dumps([{"timestamp": T0, "power": 200}]))
        told.append(json.loads(socket.recv())["epoch"])
    for wait in (0, 0, 10):  # a second time, and with the result
        completed = rider.client.post(f"/api/workouts/{workout}/complete", params={"wait": wait})
        told.append(completed.json()["epoch"])
    assert len(set(told)) == 1
    assert len(told[0]) == 16
