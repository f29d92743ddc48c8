"""Real Valkey nodes: six that form a cluster, or a primary, its replica and three sentinels.

Each is a process that can be killed, frozen and started again on the same data.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import redis

from ops.embedded.valkey import server_program
from ops.processes import Process, spawn, stop, wait_until
from tests.conftest import reachable_folder
from tests.ops.ports import free_ports
from tests.worker.waiting import eventually

PRIMARIES: Final = 3
SLOTS: Final = 16_384
NODE_TIMEOUT: Final = 1500  # ms of silence after which a primary is replaced
MASTER: Final = "tracker"
_OPTIONS: Final = {
    "bind": "127.0.0.1",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
    "shutdown-timeout": "0",
}


class Node:
    """A Valkey process on a folder of its own."""

    def __init__(self, folder: Path, port: int, **options: str) -> None:
        self.port = port
        self.folder = folder
        self._log = folder / "log"
        folder.mkdir()
        self._options = {**_OPTIONS, "port": str(port), "dir": str(folder), **options}
        self.client = redis.Redis(port=port, socket_timeout=5)
        self._plain = redis.Redis(port=port, socket_timeout=5)
        self._plain.response_callbacks.clear()
        self.start()

    @property
    def name(self) -> str:
        """As the driver names it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        options = [
            part for key, value in self._options.items() for part in (f"--{key}", *value.split(" "))
        ]
        self.process: Process = spawn([server_program(), *options], log=self._log)
        wait_until(self._answers, self.process, self._log)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

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


class Cluster:
    """Three primaries, each with a replica."""

    def __init__(self, folder: Path, node_timeout: int = NODE_TIMEOUT) -> None:
        ports = free_ports(4 * PRIMARIES)
        self.nodes = [
            Node(
                folder / f"node{nth}",
                ports[nth],
                **{
                    "cluster-enabled": "yes",
                    "cluster-port": str(ports[nth + 2 * PRIMARIES]),
                    "cluster-node-timeout": str(node_timeout),
                    "cluster-replica-validity-factor": "0",
                    "cluster-allow-replica-migration": "no",
                },
            )
            for nth in range(2 * PRIMARIES)
        ]
        self._join(ports[2 * PRIMARIES :])
        self.url = f"redis+cluster://{','.join(node.name for node in self.nodes[:2])}"

    def _join(self, bus_ports: Sequence[int]) -> None:
        ids = [node.run("CLUSTER MYID").decode() for node in self.nodes]
        step = -(-SLOTS // PRIMARIES)
        for nth, node in enumerate(self.nodes):
            node.run("CLUSTER SET-CONFIG-EPOCH", nth + 1)
            if nth < PRIMARIES:
                last = min((nth + 1) * step, SLOTS) - 1
                node.run("CLUSTER ADDSLOTSRANGE", nth * step, last)
        for nth, node in enumerate(self.nodes[1:], 1):
            self.nodes[0].run("CLUSTER MEET", "127.0.0.1", node.port, bus_ports[nth])
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
        slot = self.nodes[0].run("CLUSTER KEYSLOT", key) if self.nodes[0].is_running else None
        [asked] = [node for node in self.nodes if node.is_running][:1]
        slot = asked.run("CLUSTER KEYSLOT", key) if slot is None else slot
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
        source = self.primary_of(key)
        target = next(node for node in self.primaries() if node is not source)
        slot = source.run("CLUSTER KEYSLOT", key)
        ids = {node: node.run("CLUSTER MYID").decode() for node in (source, target)}
        target.run("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
        source.run("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
        while keys := source.run("CLUSTER GETKEYSINSLOT", slot, 10):
            source.run("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source, *self.primaries()):
            node.run("CLUSTER SETSLOT", slot, "NODE", ids[target])

    def mend(self) -> None:
        """Every node runs, and the cluster is whole."""
        for node in self.nodes:
            node.resume() if node.is_running else node.start()
        self.wait_until_whole()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


def _knows(node: Node, identity: str) -> bool:
    return identity in node.run("CLUSTER NODES").decode()


def _is_well(node: Node) -> bool:
    told = node.run("CLUSTER INFO").decode()
    return "cluster_state:ok" in told and f"cluster_slots_ok:{SLOTS}" in told


@contextmanager
def running_cluster(node_timeout: int = NODE_TIMEOUT) -> Iterator[Cluster]:
    """Six nodes of a test's own."""
    with reachable_folder() as folder:
        cluster = Cluster(folder, node_timeout)
        try:
            yield cluster
        finally:
            cluster.stop()


class Watched:
    """A primary, a replica, and three sentinels that watch over them."""

    def __init__(self, folder: Path) -> None:
        first, second, *ports = free_ports(5)
        self.nodes = [
            Node(folder / "first", first),
            Node(folder / "second", second, replicaof=f"127.0.0.1 {first}"),
        ]
        eventually(lambda: Cluster.is_synced(self.nodes[1]))
        self._sentinels = [_sentinel(folder / f"sentinel{port}", port, first) for port in ports]
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in ports)}/{MASTER}"
        self._asked = [redis.Redis(port=port, decode_responses=True) for port in ports]
        eventually(self._agree, within=30)

    def primary(self) -> Node:
        """Whom the sentinels tell of."""
        address: Any = self._asked[0].execute_command(  # type: ignore[no-untyped-call]
            "SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER
        )
        [found] = [node for node in self.nodes if node.port == int(address[1])]
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
        self._asked[0].execute_command("SENTINEL FAILOVER", MASTER)  # type: ignore[no-untyped-call]
        return self.replica_of(primary)

    def replica(self) -> Node:
        """The other one."""
        primary = self.primary()
        [found] = [node for node in self.nodes if node is not primary]
        return found

    def mend(self) -> None:
        """Both run, and one follows the other: sentinels would take their time over that."""
        for node in self.nodes:
            node.resume() if node.is_running else node.start()
        self.replica().run("REPLICAOF", "127.0.0.1", self.primary().port)
        eventually(self._follows, within=30)

    def _follows(self) -> bool:
        with suppress(redis.RedisError):
            return Cluster.is_synced(self.replica()) and not Cluster.is_synced(self.primary())
        return False

    def _agree(self) -> bool:
        """Whether each sentinel has found the replica and the other sentinels."""
        for asked in self._asked:
            told: Any = asked.execute_command("SENTINEL MASTER", MASTER)  # type: ignore[no-untyped-call]
            known = (
                dict(zip(told[::2], told[1::2], strict=True)) if isinstance(told, list) else told
            )
            if (str(known["num-slaves"]), str(known["num-other-sentinels"])) != ("1", "2"):
                return False
        return True

    def stop(self) -> None:
        for process in self._sentinels:
            stop(process)
        for asked in self._asked:
            asked.close()
        for node in self.nodes:
            node.stop()


def _sentinel(folder: Path, port: int, primary: int) -> Process:
    folder.mkdir()
    file, log = folder / "sentinel.conf", folder / "log"
    file.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {folder}\n"
        f"sentinel monitor {MASTER} 127.0.0.1 {primary} 2\n"
        f"sentinel down-after-milliseconds {MASTER} {NODE_TIMEOUT}\n"
        f"sentinel failover-timeout {MASTER} 6000\n"
    )
    process = spawn([server_program(), file, "--sentinel"], log=log, environ=dict(os.environ))
    with redis.Redis(port=port) as client:

        def answers() -> bool:
            with suppress(redis.RedisError):
                return bool(client.ping())
            return False

        wait_until(answers, process, log)
    return process


@contextmanager
def running_watched() -> Iterator[Watched]:
    """Two servers and three sentinels of a test's own."""
    with reachable_folder() as folder:
        watched = Watched(folder)
        try:
            yield watched
        finally:
            watched.stop()
