"""The faults of a chaos run on several Redis servers: each does harm, heals it, and tells so."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import redis

from tests.cluster.nodes import Cluster, Node, Watched
from tests.cluster.system import ScaledSystem
from tests.faults import random_faults
from tests.faults.random_faults import Inject
from tests.faults.system import System
from tests.worker.waiting import eventually

_OURS: Final = ("worker", "API")  # what is done to these is the same on any servers


def _replace_primary(
    harm: Callable[[Node], None], heal: Callable[[Node], None]
) -> Callable[[System, random.Random], bool]:
    """Its replica takes its place; some time later it comes back."""

    def inject(system: System, chance: random.Random) -> bool:
        scaled = scaled_of(system)
        primary = chance.choice(scaled.primaries())
        replica = scaled.replica_of(primary)
        harm(primary)
        eventually(lambda: is_primary(replica))
        time.sleep(chance.uniform(0, 1.5))
        heal(primary)
        time.sleep(chance.uniform(0, 1.5))
        scaled.mend()
        return True

    return inject


def _stall_primary(system: System, chance: random.Random) -> bool:
    """For less than it takes to be replaced, or a little more."""
    primary = chance.choice(scaled_of(system).primaries())
    primary.pause()
    time.sleep(chance.uniform(0.2, 1.6))
    primary.resume()
    scaled_of(system).mend()
    return True


def _kill_replica(system: System, chance: random.Random) -> bool:
    scaled = scaled_of(system)
    replica = scaled.replica_of(chance.choice(scaled.primaries()))
    replica.kill()
    time.sleep(chance.uniform(0, 2))
    scaled.mend()
    return True


def _hand_over(system: System, chance: random.Random) -> bool:
    """As an operator does before an upgrade of the server."""
    scaled = scaled_of(system)
    replica = scaled.hand_over(chance.choice(scaled.primaries()))
    eventually(lambda: is_primary(replica))
    scaled.mend()
    return True


def _move_slot(system: System, chance: random.Random) -> bool:
    """One with keys, to another node."""
    scaled = scaled_of(system)
    assert isinstance(scaled, Cluster)
    key = chance.choice(scaled.primaries()).client.randomkey()
    if key is None:
        return False
    scaled.move_slot_of(key.decode())  # type: ignore[union-attr]
    return True


def heal(system: System) -> None:
    """Everything runs, whatever was done to it."""
    random_faults.wake_workers(system)
    scaled_of(system).mend()


def scaled_of(system: System) -> Cluster | Watched:
    """Its Redis servers."""
    assert isinstance(system, ScaledSystem)
    return system.scaled


def is_primary(node: Node) -> bool:
    """Whether it says so."""
    with suppress(redis.RedisError):
        return bool(node.run("ROLE")[0] == b"master")
    return False


ON_SENTINEL: Final[dict[str, Inject]] = {
    **{
        kind: inject
        for kind, inject in random_faults.FAULTS.items()
        if kind.startswith(_OURS) and "stopped" not in kind
    },
    "primary killed": _replace_primary(Node.kill, Node.start),
    "primary frozen": _replace_primary(Node.pause, Node.resume),
    "primary stalled": _stall_primary,
    "replica killed": _kill_replica,
    "primary replaced in order": _hand_over,
}
ON_CLUSTER: Final[dict[str, Inject]] = {**ON_SENTINEL, "slot moved": _move_slot}
