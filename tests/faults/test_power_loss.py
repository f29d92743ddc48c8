"""What Redis keeps after a loss of power: the beginning of its append-only file, and no more.

The file is cut where the disk might have left it, for a killed process loses nothing of what the
kernel has taken.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from ops.embedded.servers import prepare
from ops.embedded.valkey import valkey_server
from shared.connections import Redis, open_redis
from shared.redis_keys import BATCH_FIELD, REWRITTEN, samples_key
from shared.settings import read_settings
from tests.conftest import reachable_folder
from tests.examples.rides import assert_one_ride, device_of, held, rides_of, rows
from tests.faults.recordings import readings, record
from tests.faults.system import Server, System
from tests.worker.waiting import eventually
from worker.rides import stream


def log_in(folder: Path) -> Path:
    """The append-only file that grows."""
    [log] = (folder / "valkey" / "appendonlydir").glob("*.incr.aof")
    return log


def log_of(system: System) -> Path:
    return log_in(system.logs.parent)


def await_logged(system: System) -> int:
    """The size of the file once all that was acknowledged is in it: a sync may hold it up."""
    eventually(lambda: system.redis_client.info("persistence")["aof_buffer_length"] == 0)
    return log_of(system).stat().st_size


def lose_power(system: System, kept: int) -> None:
    """Redis dies, and the machine with it: of the file only so many bytes are on the disk."""
    system.redis.kill()
    with log_of(system).open("r+b") as log:
        log.truncate(kept)
    system.redis.start()


def test_a_device_sends_again_what_a_loss_of_power_has_cost(system: System, tmp_path: Path) -> None:
    """By the epoch alone: in number, what came after the loss makes up for what was lost."""
    assert system.redis_client.config_get("appendfsync") == {"appendfsync": "everysec"}
    system.start_api()
    rider = system.make_rider()
    troubles: list[Any] = []
    with closing(device_of(rider, tmp_path / "rides.db", system.url, troubles)) as device:
        device.start()
        device.add(*rows(30))
        eventually(lambda: device.unsent == 0)
        on_disk = await_logged(system)
        device.add(*rows(30, 30))
        eventually(lambda: device.unsent == 0)
        await_logged(system)
        [ride] = rides_of(rider)
        assert len(held(rider, ride["id"])) == 60
        lose_power(system, on_disk)
        eventually(lambda: any("may have lost" in str(each) for each in troubles))
        eventually(lambda: device.unsent == 0)
        assert held(rider, ride["id"]) == rows(60)
        system.start_worker()
        device.complete()
        assert device.wait(60)
    assert_one_ride(rider, rows(60))
    assert [str(each) for each in troubles if "may have lost" in str(each)] == [
        "the server may have lost 60 samples: sending again"
    ]


def test_nothing_is_logged_in_blocks_that_can_be_cut(system: System) -> None:
    """But for what XREADGROUP has Redis log: see shared.redis_keys."""
    # Else the sweeper has the file written anew meanwhile.
    system.redis_client.set(REWRITTEN, system.redis_client.info("server")["run_id"])
    begin = log_of(system).stat().st_size
    system.start_api(MAX_WAITING_BYTES="1000")
    system.start_worker(CHECKPOINT_INTERVAL="1")
    recording = record(system.make_rider(), readings(600))
    client, user = recording.rider.client, recording.rider.account.user_id
    client.post("/api/keys", json={"name": "head unit", "scopes": ["upload"]})
    client.post("/api/sessions", json={"email": "nobody@example.com", "password": "x" * 8})
    eventually(lambda: system.redis_client.keys(f"quota:{user}:*") != [])
    eventually(lambda: system.redis_client.keys(f"waiting:{user}") != [])
    recording.rider.complete(recording.workout_id)
    eventually(lambda: not system.redis_client.exists(samples_key(UUID(recording.workout_id))))
    await_logged(system)
    logged = log_of(system).read_bytes()[begin:]
    for command in (
        b"XADD",
        b"XTRIM",
        b"INCRBY",
        b"SADD",
        b"throttle:logins",
        b"throttle:new-keys",
    ):
        assert command in logged  # else it would prove nothing
    assert [each for each in blocks_in(logged) if b"XCLAIM" not in each] == []


def blocks_in(log: bytes) -> list[bytes]:
    """What is logged between each MULTI and its EXEC."""
    return [part.partition(b"EXEC")[0] for part in log.split(b"MULTI")[1:]]


@dataclass(frozen=True)
class Valkey:
    """A server of its own that can be killed, and its file cut."""

    server: Server
    folder: Path
    client: Redis

    def die_and_keep(self, log: bytes) -> None:
        if self.server.is_running:
            self.server.kill()
        log_in(self.folder).write_bytes(log)
        self.server.start()

    def logged(self) -> bytes:
        """The file once the server has ended in peace."""
        self.server.stop()
        return log_in(self.folder).read_bytes()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with reachable_folder() as folder:
        sockets = folder / "sockets"
        sockets.mkdir()
        prepare(folder / "data")
        server = Server(valkey_server(folder / "data", sockets))
        settings = read_settings({"DATABASE_URL": "postgresql://x", "REDIS_URL": server.url})
        with open_redis(settings) as client:
            yield Valkey(server, folder / "data", client)
        server.stop()


def add(client: Redis, workout: UUID, batch: bytes) -> bytes:
    """The id of a batch that was acknowledged."""
    entry: Any = client.xadd(samples_key(workout), {BATCH_FIELD: batch})
    return bytes(entry)


def batches(client: Redis, workout: UUID) -> list[bytes]:
    return stream.read_waiting(client, workout).entries


def test_wherever_the_trim_of_a_fold_is_cut_off_nothing_acknowledged_later_is_lost(
    valkey: Valkey,
) -> None:
    """Cut at every byte; then a batch is acknowledged, and Redis is restarted once more."""
    folded, other = uuid4(), uuid4()
    last = add(valkey.client, folded, b"folded")
    add(valkey.client, other, b"before")
    before = len(valkey.logged())
    valkey.server.start()
    stream.trim(valkey.client, folded, last.decode())
    assert not valkey.client.exists(samples_key(folded))
    log = valkey.logged()
    assert len(log) - before > 100  # the trim, and the end of an empty stream
    for cut in range(before, len(log) + 1):
        valkey.die_and_keep(log[:cut])
        assert batches(valkey.client, folded) in ([b"folded"], [])
        add(valkey.client, other, b"after")
        valkey.server.kill()
        valkey.server.start()
        assert batches(valkey.client, other) == [b"before", b"after"], cut


@pytest.mark.parametrize("torn", [0, 1, 20])
@pytest.mark.parametrize("zeros", [1, 4096, 200_000])
def test_zeros_at_the_end_of_the_file_cost_nothing_before_them(
    valkey: Valkey, torn: int, zeros: int
) -> None:
    """Some file systems pad a file with them. ``torn``: bytes that the last command lacks."""
    workout = uuid4()
    for batch in (b"first", b"second"):
        add(valkey.client, workout, batch)
    log = valkey.logged()
    valkey.die_and_keep(log[: len(log) - torn] + bytes(zeros))
    kept = [b"first"] if torn else [b"first", b"second"]
    assert batches(valkey.client, workout) == kept
    add(valkey.client, workout, b"third")
    valkey.server.kill()
    valkey.server.start()
    assert batches(valkey.client, workout) == [*kept, b"third"]
