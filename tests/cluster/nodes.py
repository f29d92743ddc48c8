"""Real Valkey nodes: six that form a cluster, or a primary, its replica and three sentinels.

Each is a process that can be killed, frozen and started again on the same data; it may be on a host
of its own.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import redis

from ops.processes import Process, spawn, wait_until
from tests.cluster.access import OPEN, Access
from tests.conftest import reachable_folder
from tests.hosts.host import HERE, Host
from tests.ops.ports import free_ports
from tests.worker.waiting import eventually

PRIMARIES: Final = 3
SLOTS: Final = 16_384
NODE_TIMEOUT: Final = 1500  # ms of silence after which a primary is replaced
MASTER: Final = "tracker"
_OPTIONS: Final = {
    "protected-mode": "no",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
    "shutdown-timeout": "0",
}


class _Server:
    """A Valkey process on a folder of its own, perhaps on a host of its own.

    It is spoken to by a socket in that folder, whatever becomes of its host's network.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        host: Host = HERE,
        access: Access = OPEN,
        password: str | None = None,
    ) -> None:
        self.port = port
        self.folder = folder
        self.host = host
        self._log = folder / "log"
        self.socket = folder / "socket"
        self.access = access
        how: dict[str, Any] = {"password": password, "socket_timeout": 5}
        self.client = redis.Redis(unix_socket_path=str(self.socket), **how)
        self._plain = redis.Redis(unix_socket_path=str(self.socket), **how)
        self._plain.response_callbacks.clear()
        self.start()

    @property
    def name(self) -> str:
        """As the driver names it."""
        return f"{self.host.address}:{self.port}"

    def arguments(self) -> list[str]:
        """Of the program."""
        raise NotImplementedError

    def start(self) -> None:
        program = self.host.inside([self.access.program, *self.arguments()])
        self.process: Process = spawn(program, log=self._log, environ=dict(os.environ))
        wait_until(self._answers, self.process, self._log)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def revive(self) -> None:
        """Have it run, whatever was done to it."""
        self.resume() if self.is_running else self.start()

    def stop(self) -> None:
        if self.is_running:
            self.kill()
        self.client.close()
        self._plain.close()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def run(self, *command: object) -> Any:
        """What it answers, as it is."""
        return self._plain.execute_command(*command)  # type: ignore[no-untyped-call]

    def _answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client.ping())
        return False


class Node(_Server):
    """One that has rides."""

    def __init__(
        self, folder: Path, port: int, host: Host = HERE, access: Access = OPEN, /, **options: str
    ) -> None:
        folder.mkdir()
        self._options = {
            **_OPTIONS,
            **access.listening(port),
            **access.admitting,
            "bind": host.address,
            "dir": str(folder),
            "unixsocket": str(folder / "socket"),
            **options,
        }
        super().__init__(folder, port, host, access, access.password)

    def arguments(self) -> list[str]:
        """Its settings."""
        return [
            part for key, value in self._options.items() for part in (f"--{key}", *value.split(" "))
        ]


class Sentinel(_Server):
    """One that watches over the primary, and keeps in a file of its own what it has learnt."""

    def __init__(self, folder: Path, port: int, primary: Node, host: Host = HERE) -> None:
        access = primary.access
        folder.mkdir()
        self._file = folder / "sentinel.conf"
        settings = {
            **access.listening(port),
            "bind": host.address,
            "dir": str(folder),
            "unixsocket": str(folder / "socket"),
            "protected-mode": "no",
            f"sentinel monitor {MASTER}": f"{primary.host.address} {primary.port} 2",
            f"sentinel down-after-milliseconds {MASTER}": str(NODE_TIMEOUT),
            f"sentinel failover-timeout {MASTER}": "6000",
            **access.watching(MASTER),
        }
        self._file.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        super().__init__(folder, port, host, access, access.own)

    def arguments(self) -> list[str]:
        """Its file."""
        return [str(self._file), "--sentinel"]

    def primary(self) -> str:
        """The name of whom it tells of."""
        host, port = self.run("SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER)
        return f"{host.decode()}:{int(port)}"

    def knows_all(self) -> bool:
        """Whether it has found the replica and the other sentinels."""
        known = self.run("SENTINEL MASTER", MASTER)
        return (known[b"num-slaves"], known[b"num-other-sentinels"]) == (b"1", b"2")


class Cluster:
    """Three primaries, each with a replica."""

    def __init__(
        self,
        folder: Path,
        hosts: Sequence[Host] = (HERE,) * 2 * PRIMARIES,
        access: Access = OPEN,
        /,
        **options: str,
    ) -> None:
        ports = free_ports(4 * PRIMARIES)
        self.nodes = [
            Node(
                folder / f"node{nth}",
                ports[nth],
                hosts[nth],
                access,
                **{
                    "cluster-enabled": "yes",
                    "cluster-port": str(ports[nth + 2 * PRIMARIES]),
                    "cluster-node-timeout": str(NODE_TIMEOUT),
                    "cluster-replica-validity-factor": "0",
                    "cluster-require-full-coverage": "no",
                    "cluster-allow-replica-migration": "no",
                    **options,
                },
            )
            for nth in range(2 * PRIMARIES)
        ]
        self._join(ports[2 * PRIMARIES :])
        self.url = access.url("cluster", ",".join(node.name for node in self.nodes[:2]))

    def _join(self, bus_ports: Sequence[int]) -> None:
        ids = [node.run("CLUSTER MYID").decode() for node in self.nodes]
        step = -(-SLOTS // PRIMARIES)
        for nth, node in enumerate(self.nodes):
            node.run("CLUSTER SET-CONFIG-EPOCH", nth + 1)
            if nth < PRIMARIES:
                last = min((nth + 1) * step, SLOTS) - 1
                node.run("CLUSTER ADDSLOTSRANGE", nth * step, last)
        for nth, node in enumerate(self.nodes[1:], 1):
            self.nodes[0].run("CLUSTER MEET", node.host.address, node.port, bus_ports[nth])
        for nth, node in enumerate(self.nodes[PRIMARIES:]):
            eventually(lambda node=node, of=ids[nth]: _knows(node, of))  # type: ignore[misc]
            node.run("CLUSTER REPLICATE", ids[nth])
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Until every running node sees all slots served, and as many replicas as there can be."""
        running = [node for node in self.nodes if node.is_running]
        replicas = len(running) - PRIMARIES

        def is_whole() -> bool:
            with suppress(redis.RedisError):
                return all(_is_well(node) for node in running) and replicas == sum(
                    self.is_synced(node) for node in running
                )
            return False

        eventually(is_whole, within=30)

    @staticmethod
    def is_synced(node: Node) -> bool:
        """Whether it is a replica that follows its primary."""
        told: Any = node.client.info("replication")
        return bool(told["role"] == "slave" and told["master_link_status"] == "up")

    def primaries(self) -> list[Node]:
        """Those that run and say so."""
        found = []
        for node in self.nodes:
            with suppress(redis.RedisError):
                if node.is_running and node.client.role()[0] == b"master":
                    found.append(node)
        return found

    def primary_of(self, key: str) -> Node:
        """Who has a key."""
        asked = next(node for node in self.nodes if node.is_running)
        slot = asked.run("CLUSTER KEYSLOT", key)
        for node in self.primaries():
            for low, high, owner, *_ in asked.run("CLUSTER SLOTS"):
                if low <= slot <= high and owner[1] == node.port:
                    return node
        raise AssertionError(f"nobody has the slot of {key}")

    def replica_of(self, primary: Node) -> Node:
        """The other one that has what it has."""
        told: Any = primary.client.info("replication")
        [replica] = [node for node in self.nodes if node.port == told["slave0"]["port"]]
        return replica

    def hand_over(self, primary: Node) -> Node:
        """Ask the replica to take the place of its primary; the replica."""
        replica = self.replica_of(primary)
        replica.run("CLUSTER FAILOVER")
        return replica

    def move_slot_of(self, key: str) -> None:
        """To another primary, with a while in which some of its keys are here and some there."""
        with self.moving_slot_of(key):
            pass

    @contextmanager
    def moving_slot_of(self, key: str) -> Iterator[None]:
        """To another primary: meanwhile that has all its keys, and the slot not yet."""
        source = self.primary_of(key)
        target = next(node for node in self.primaries() if node is not source)
        slot = source.run("CLUSTER KEYSLOT", key)
        ids = {node: node.run("CLUSTER MYID").decode() for node in (source, target)}
        target.run("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
        source.run("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
        while keys := source.run("CLUSTER GETKEYSINSLOT", slot, 10):
            source.run("MIGRATE", target.host.address, target.port, "", 0, 5000, "KEYS", *keys)
        yield
        for node in (target, source, *self.primaries()):
            node.run("CLUSTER SETSLOT", slot, "NODE", ids[target])

    def mend(self) -> None:
        """Every node runs, and the cluster is whole."""
        for node in self.nodes:
            node.revive()
        self.wait_until_whole()

    @property
    def servers(self) -> list[Node]:
        """All."""
        return self.nodes

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


def _knows(node: Node, identity: str) -> bool:
    return identity in node.run("CLUSTER NODES").decode()


def _is_well(node: Node) -> bool:
    told = node.run("CLUSTER INFO").decode()
    return "cluster_state:ok" in told and f"cluster_slots_ok:{SLOTS}" in told


@contextmanager
def running_cluster(access: Access = OPEN, /, **options: str) -> Iterator[Cluster]:
    """Six nodes of a test's own, with these options beside theirs."""
    with reachable_folder() as folder:
        cluster = Cluster(folder, (HERE,) * 2 * PRIMARIES, access, **options)
        try:
            yield cluster
        finally:
            cluster.stop()


class Watched:
    """A primary, a replica, and three sentinels that watch over them."""

    def __init__(
        self,
        folder: Path,
        hosts: Sequence[Host] = (HERE,) * 5,
        access: Access = OPEN,
        /,
        **options: str,
    ) -> None:
        first, second, *ports = free_ports(5)
        follow = f"{hosts[0].address} {first}"
        self.nodes = [
            Node(folder / "first", first, hosts[0], access, **options),
            Node(folder / "second", second, hosts[1], access, replicaof=follow, **options),
        ]
        eventually(lambda: Cluster.is_synced(self.nodes[1]))
        self.sentinels = [
            Sentinel(folder / f"sentinel{port}", port, self.nodes[0], host)
            for port, host in zip(ports, hosts[2:], strict=True)
        ]
        names = ",".join(each.name for each in self.sentinels)
        self.url = access.url("sentinel", names, MASTER)
        eventually(lambda: all(each.knows_all() for each in self.sentinels), within=30)

    @property
    def servers(self) -> list[Node | Sentinel]:
        """All."""
        return [*self.nodes, *self.sentinels]

    def primary(self) -> Node:
        """Whom most sentinels tell of: one that is cut off may not have heard yet."""
        told = Counter(each.primary() for each in self.sentinels if each.is_running)
        name, _ = told.most_common(1)[0]
        [found] = [node for node in self.nodes if node.name == name]
        return found

    def primaries(self) -> list[Node]:
        """The only one there is."""
        return [self.primary()]

    def replica_of(self, primary: Node) -> Node:
        """The other one."""
        [found] = [node for node in self.nodes if node is not primary]
        return found

    def hand_over(self, primary: Node) -> Node:
        """Ask the sentinels for a failover; the replica."""
        self.sentinels[0].run("SENTINEL FAILOVER", MASTER)
        return self.replica_of(primary)

    def replica(self) -> Node:
        """The other one."""
        return self.replica_of(self.primary())

    def mend(self) -> None:
        """All run, and one follows the other: sentinels would take their time over that."""
        for server in self.servers:
            server.revive()
        eventually(self._agree, within=30)
        primary = self.primary()
        self.replica().run("REPLICAOF", primary.host.address, primary.port)
        eventually(self._follows, within=30)

    def _agree(self) -> bool:
        return len({each.primary() for each in self.sentinels}) == 1

    def _follows(self) -> bool:
        with suppress(redis.RedisError):
            return Cluster.is_synced(self.replica()) and not Cluster.is_synced(self.primary())
        return False

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


@contextmanager
def running_watched(access: Access = OPEN) -> Iterator[Watched]:
    """Two servers and three sentinels of a test's own."""
    with reachable_folder() as folder:
        watched = Watched(folder, (HERE,) * 5, access)
        try:
            yield watched
        finally:
            watched.stop()
