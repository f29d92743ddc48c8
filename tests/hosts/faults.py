"""The faults of a chaos run on hosts: each cuts some of them off or ends them, and heals it."""

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from tests.cluster import faults as scaled_faults
from tests.cluster.faults import is_primary
from tests.cluster.nodes import Cluster, Node, Sentinel, Watched
from tests.faults import random_faults
from tests.faults.random_faults import Inject
from tests.faults.system import IMPATIENT, System
from tests.hosts.host import Host
from tests.hosts.system import HostedSystem
from tests.worker.waiting import eventually

_LEASE: Final = float(IMPATIENT["LEASE"])
_LONGEST: Final = 3.5  # seconds that most last
_Pick = Callable[[HostedSystem, random.Random], Host]


def _cut_off(pick: _Pick, least: float, system: System, chance: random.Random) -> bool:
    """From everybody, for at least so many seconds."""
    hosted = _hosted(system)
    hosted.network.cut_off(pick(hosted, chance))
    time.sleep(least + chance.uniform(0, _LONGEST))
    hosted.mend()
    return True


def _lose(pick: _Pick, system: System, chance: random.Random) -> bool:
    """Its power is cut: nobody is told that it is gone; later it starts again."""
    hosted = _hosted(system)
    host = pick(hosted, chance)
    hosted.network.cut_off(host)
    _end_all_on(hosted, host)
    time.sleep(chance.uniform(0, _LONGEST))
    hosted.mend()
    hosted.start_api()
    random_faults.hire(hosted)
    return True


def _end_all_on(hosted: HostedSystem, host: Host) -> None:
    hosted.kill_api_on(host)
    for worker in hosted.workers_on(host):
        worker.kill()
        worker.wait()
    random_faults.dismiss_dead(hosted)
    for server in hosted.scaled.servers:
        if server.host == host:
            server.kill()


def _mute_api(system: System, chance: random.Random) -> bool:
    """What is sent to it arrives; what it sends does not."""
    hosted = _hosted(system)
    host = chance.choice(hosted.api_hosts)
    hosted.network.mute(host, *hosted.network.all_but(host))
    time.sleep(chance.uniform(0.5, _LONGEST))
    hosted.mend()
    return True


def _hide_primary(system: System, chance: random.Random) -> bool:
    """One API host does not reach it, the other one does."""
    hosted = _hosted(system)
    primary = chance.choice(hosted.scaled.primaries())
    hosted.network.part(chance.choice(hosted.api_hosts), primary.host)
    time.sleep(chance.uniform(0.5, _LONGEST))
    hosted.mend()
    return True


def _cut_off_primary(system: System, chance: random.Random) -> bool:
    """From everybody."""
    hosted = _hosted(system)
    primary = chance.choice(hosted.scaled.primaries())
    return _replaced(hosted, primary, chance, lambda: hosted.network.cut_off(primary.host))


def _lose_primary(system: System, chance: random.Random) -> bool:
    """The power of its host is cut."""
    hosted = _hosted(system)
    primary = chance.choice(hosted.scaled.primaries())

    def lose() -> None:
        hosted.network.cut_off(primary.host)
        _end_all_on(hosted, primary.host)

    return _replaced(hosted, primary, chance, lose)


def _split(system: System, chance: random.Random) -> bool:
    """Servers and one API host do not reach it; the other API host and the workers do."""
    hosted = _hosted(system)
    primary = chance.choice(hosted.scaled.primaries())
    lacking = [*_servers_but(hosted.scaled, primary), chance.choice(hosted.api_hosts)]
    return _replaced(hosted, primary, chance, lambda: hosted.network.part(primary.host, *lacking))


def _replaced(
    hosted: HostedSystem, primary: Node, chance: random.Random, harm: Callable[[], None]
) -> bool:
    """Its replica takes its place; some time later it comes back."""
    replica = hosted.scaled.replica_of(primary)
    harm()
    eventually(lambda: is_primary(replica))
    time.sleep(chance.uniform(0, _LONGEST))
    hosted.network.join()
    time.sleep(chance.uniform(0, 1.5))
    hosted.mend()
    return True


def _servers_but(scaled: Cluster | Watched, node: Node) -> list[Host]:
    return [each.host for each in scaled.servers if each is not node]


def _api(hosted: HostedSystem, chance: random.Random) -> Host:
    return chance.choice(hosted.api_hosts)


def _worker(hosted: HostedSystem, chance: random.Random) -> Host:
    return chance.choice(hosted.worker_hosts)


def _postgres(hosted: HostedSystem, chance: random.Random) -> Host:
    return hosted.postgres_host


def _replica(hosted: HostedSystem, chance: random.Random) -> Host:
    scaled = hosted.scaled
    return scaled.replica_of(chance.choice(scaled.primaries())).host


def _sentinel(hosted: HostedSystem, chance: random.Random) -> Host:
    sentinels: Sequence[Sentinel] = [
        each for each in hosted.scaled.servers if isinstance(each, Sentinel)
    ]
    return chance.choice(sentinels).host


def heal(system: System) -> None:
    """Everything runs and is reached, whatever was done to it."""
    _hosted(system).mend()
    scaled_faults.heal(system)


def _hosted(system: System) -> HostedSystem:
    assert isinstance(system, HostedSystem)
    return system


_OF_HOSTS: Final[dict[str, Inject]] = {
    "API host cut off": partial(_cut_off, _api, 0.5),
    "API host lost": partial(_lose, _api),
    "API host's packets lost": _mute_api,
    "API host cut off from the primary": _hide_primary,
    "worker host cut off": partial(_cut_off, _worker, _LEASE),
    "worker host lost": partial(_lose, _worker),
    "PostgreSQL's host cut off": partial(_cut_off, _postgres, 0.5),
    "primary's host cut off": _cut_off_primary,
    "primary's host lost": _lose_primary,
    "primary cut off from the servers": _split,
    "replica's host cut off": partial(_cut_off, _replica, 0.5),
    "replica's host lost": partial(_lose, _replica),
}
ON_CLUSTER: Final[dict[str, Inject]] = {
    **{kind: fault for kind, fault in scaled_faults.ON_CLUSTER.items() if kind != "API replaced"},
    **_OF_HOSTS,
}
ON_SENTINEL: Final[dict[str, Inject]] = {
    **{kind: fault for kind, fault in scaled_faults.ON_SENTINEL.items() if kind != "API replaced"},
    **_OF_HOSTS,
    "sentinel's host cut off": partial(_cut_off, _sentinel, 0.5),
    "sentinel's host lost": partial(_lose, _sentinel),
}
