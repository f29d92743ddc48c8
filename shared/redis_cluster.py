"""Clients of a Redis Cluster that behave as those of one server do.

They open nothing before they are used, never send a command again whose reply was lost (but for a
worker's pipelines, in which is nothing that may not be repeated), and raise redis.ConnectionError
whatever it is that keeps a slot from being served: what uses them treats that as it treats a server
that is away. Where a node does not answer, they ask the others anew which have which slots.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

import redis
import redis.asyncio
from redis._parsers import AsyncCommandsParser, Encoder
from redis.asyncio import cluster as asyncio_cluster
from redis.cluster import ClusterNode, ClusterPipeline, RedisCluster
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ClusterError,
    RedisClusterException,
    SlotNotCoveredError,
    TryAgainError,
)

from shared.redis_urls import ClusterUrl, Host

# What a node says of a slot that is another's (MovedError is an AskError), or is being moved.
ELSEWHERE: Final = (AskError, TryAgainError)
# What the drivers raise of a slot that nobody serves, or of a cluster that they cannot reach.
_AWAY: Final = (RedisClusterException, ClusterError, ClusterDownError, TryAgainError)
_MISTAKE: Final = "same key slot"  # of a command that no cluster would ever carry out
# What has its keys elsewhere than at its beginning. The driver would ask a node where they are, and
# if that one is away for good, it would never come to the others.
_READS: Final = frozenset({"XREAD", "XREADGROUP"})
_AWAY_FOR: Final = 20.0  # seconds for which a node that did not answer is left alone
_MOST_NUMBERS: Final = 2000  # a node with so few slots that none of their keys is there is left out
_SCRIPTS: Final = frozenset({"EVAL", "EVALSHA"})


@contextmanager
def _raising_as_one_server() -> Iterator[None]:
    try:
        yield
    except _AWAY as error:
        if _MISTAKE in str(error):
            raise
        raise redis.ConnectionError(f"the cluster does not serve this: {error}") from error


class ClusterClient(RedisCluster):
    """For workers and commands. ``how`` are the driver's settings; threads may share it."""

    def __init__(self, url: ClusterUrl, **how: Any) -> None:
        self._url = url
        self._how = {**url.options, **how}
        self.encoder = self.get_encoder()  # some commands look at their keys before all else
        self._opening = threading.RLock()
        self._is_open = self._is_opening = False
        self._away_until: dict[str, float] = {}  # by node

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """As the driver does."""
        with _raising_as_one_server():
            self._open()
            if self._is_opening:
                return self._ask_any(*args, **kwargs)
            try:
                return super().execute_command(*args, **kwargs)  # type: ignore[no-untyped-call]
            except RedisClusterException:
                self._is_open = False  # begin with the URL's nodes: all others may have gone
                raise

    def _ask_any(self, *args: Any, **kwargs: Any) -> Any:
        """As it opens, the driver asks the first node what commands there are: it may be away."""
        nodes: list[ClusterNode] = self.get_primaries()  # type: ignore[no-untyped-call]
        error: Exception = redis.ConnectionError("the cluster has no node")
        for node in random.sample(nodes, len(nodes)):
            try:
                return self.get_redis_connection(node).execute_command(*args, **kwargs)  # type: ignore[no-untyped-call]
            except (redis.ConnectionError, redis.TimeoutError) as failed:
                error = failed
        raise error

    def exists(self, *keys: Any) -> Any:
        """How many of them there are: of one slot, as in every command."""
        return self.execute_command("EXISTS", *keys)

    def delete(self, *keys: Any) -> Any:
        """Delete keys of one slot."""
        return self.execute_command("DEL", *keys)

    def determine_slot(self, *args: Any) -> int | None:
        """As the driver does, without asking a node where the keys are."""
        keys = _keys_within(args)
        if not keys:
            return super().determine_slot(*args)
        return _slot_of(self, keys)

    def pipeline(self, **_: Any) -> "_Pipeline":  # type: ignore[override]
        """Commands that need not be of one slot; each is carried out by itself."""
        with _raising_as_one_server():
            self._open()
        return _Pipeline(
            nodes_manager=self.nodes_manager,
            commands_parser=self.commands_parser,
            startup_nodes=self.nodes_manager.startup_nodes,  # type: ignore[arg-type]
            result_callbacks=self.result_callbacks,
            cluster_response_callbacks=self.cluster_response_callbacks,
            reinitialize_steps=self.reinitialize_steps,
            retry=self.retry,
            lock=self._lock,
            event_dispatcher=self._event_dispatcher,
        )

    def primaries(self) -> dict[str, redis.Redis]:
        """A client of each node that has slots, by its address, in the order of these."""
        with _raising_as_one_server():
            self.learn()
            found: list[ClusterNode] = self.get_primaries()  # type: ignore[no-untyped-call]
            nodes = sorted(found, key=lambda node: str(node.name))
        return {str(node.name): self.get_redis_connection(node) for node in nodes}

    def by_node(self, keys: Iterable[str]) -> list[tuple[redis.Redis, list[str]]]:
        """Keys, with a client of the node that has them; without those of a node that is away.

        Such a client gets no other answer than that node's. Raises redis.ConnectionError.
        """
        of_node = defaultdict[ClusterNode, list[str]](list)
        for key in keys:
            node = self._node_of(key)
            if node and not self._is_left_alone(str(node.name)):
                of_node[node].append(key)
        return [(self.get_redis_connection(node), held) for node, held in of_node.items()]

    def is_away(self, key: str) -> bool:
        """Whether the node of a key did not answer lately. Raises redis.ConnectionError."""
        node = self._node_of(key)
        return node is None or self._is_left_alone(str(node.name))

    def name_of(self, key: str) -> str:
        """The address of the node that has a key; empty where none is known to have it."""
        node = self._node_of(key)
        return str(node.name) if node else ""

    def leave_alone(self, name: str) -> None:
        """A node did not answer: ask the others who has its place, and it some time later.

        Raises redis.ConnectionError.
        """
        self._away_until[name] = time.monotonic() + _AWAY_FOR
        self.learn()

    def answering(self) -> dict[str, redis.Redis]:
        """The primaries, without those that are left alone."""
        servers = self.primaries().items()
        return {name: server for name, server in servers if not self._is_left_alone(name)}

    def _node_of(self, key: str) -> ClusterNode | None:
        """As far as is known; none has a slot of which nobody says so."""
        with _raising_as_one_server():
            self._open()
        with suppress(SlotNotCoveredError):
            slot = self.keyslot(key)  # type: ignore[no-untyped-call]
            return self.nodes_manager.get_node_from_slot(slot)
        return None

    def _is_left_alone(self, name: str) -> bool:
        return time.monotonic() < self._away_until.get(name, 0)

    def learn(self) -> None:
        """Ask which node has which slots. Raises redis.ConnectionError."""
        with _raising_as_one_server():
            self._open()
            self.nodes_manager.initialize()

    def get_encoder(self) -> Encoder:
        """That of every node."""
        return Encoder("utf-8", "strict", decode_responses=False)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close what was opened."""
        if self.__dict__.get("_is_open"):
            super().close()

    def _open(self) -> None:
        if self._is_open:
            return
        with self._opening:
            if self._is_open or self._is_opening:  # as it opens, the driver asks for commands
                return
            self._is_opening = True
            try:
                nodes = [ClusterNode(*host) for host in self._url.hosts]  # type: ignore[no-untyped-call]
                super().__init__(startup_nodes=nodes, require_full_coverage=False, **self._how)
                self._is_open = True
            finally:
                self._is_opening = False


class _Pipeline(ClusterPipeline):
    def _get_command_keys(self, *args: Any) -> Any:
        return _keys_within(args) or super()._get_command_keys(*args)  # type: ignore[no-untyped-call]

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        with _raising_as_one_server():
            return super().execute(raise_on_error)


class AsyncClusterClient(asyncio_cluster.RedisCluster):
    """For an API process."""

    def __init__(self, url: ClusterUrl, **how: Any) -> None:
        self._hosts = url.hosts
        self._node_options = {**url.options, **how}
        nodes = [asyncio_cluster.ClusterNode(host, port) for host, port in url.hosts]
        super().__init__(startup_nodes=nodes, require_full_coverage=False, **self._node_options)
        self.commands_parser = _AsyncCommands(self)

    async def __aenter__(self) -> Self:
        """Open nothing yet: what is cached can be served without it."""
        await self._increment_usage()
        return self

    async def aclose(self) -> None:
        """Close what is open, also where the nodes were to be found anew."""
        await super().aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """As the driver does. Before it knows the nodes, that asks any, which may be away."""
        with _raising_as_one_server():
            await self.initialize()
            return await super().execute_command(*args, **kwargs)

    async def exists(self, *keys: Any) -> Any:
        """How many of them there are: of one slot, as in every command."""
        return await self.execute_command("EXISTS", *keys)

    async def delete(self, *keys: Any) -> Any:
        """Delete keys of one slot."""
        return await self.execute_command("DEL", *keys)

    async def initialize(self, *args: Any, **kwargs: Any) -> Self:
        """Find the nodes. If none of those known answers, the URL's are asked the next time."""
        try:
            await super().initialize(*args, **kwargs)
        except RedisClusterException:
            manager = self.nodes_manager
            seeds = [
                asyncio_cluster.ClusterNode(host, port, **self.connection_kwargs)
                for host, port in self._hosts
            ]
            manager.set_nodes(manager.startup_nodes, {node.name: node for node in seeds})
            raise
        return self

    async def learn(self) -> None:
        """Ask which node has which slots. Raises redis.RedisError."""
        with _raising_as_one_server():
            if self._initialize:
                await self.initialize()
            else:
                await self.nodes_manager.initialize()

    async def slots(self) -> list[tuple[int, int, Host]]:
        """Which primary has which slots, from one to another, as some node knows it.

        Raises redis.RedisError.
        """
        with _raising_as_one_server():
            await self.initialize()
            asked = self.get_random_node()
            told = await self.execute_command("CLUSTER SLOTS", target_nodes=asked)
        slots = []
        for (low, high), each in told.items():
            host, port = each["primary"]
            slots.append((low, high, (host or asked.host, port)))  # one may not know its own
        return slots

    async def infos(self) -> dict[str, dict[str, Any] | None]:
        """What each node that has slots tells of itself; None where it does not answer.

        Raises redis.RedisError where none does.
        """
        with _raising_as_one_server():
            await self.initialize()
        told: dict[str, dict[str, Any] | None] = {}
        for node in self.get_primaries():
            try:
                told[node.name] = await self.info("everything", target_nodes=node)
            except (redis.ConnectionError, redis.TimeoutError):
                told[node.name] = None
        if not any(told.values()):
            raise redis.ConnectionError("no node of the cluster answers")
        return told

    def spread(self, make_key: Callable[[int], str]) -> dict[str, str]:
        """A key of each node that has slots, as far as is known: that of the least number."""
        wanted = {node.name for node in self.get_primaries()}
        keys: dict[str, str] = {}
        for number in range(_MOST_NUMBERS):
            key = make_key(number)
            with suppress(SlotNotCoveredError):
                if node := self.get_node_from_key(key):
                    keys.setdefault(node.name, key)
            if keys.keys() >= wanted:
                break
        return keys

    def client_of(self, host: Host, **how: Any) -> redis.asyncio.Redis:
        """A client of one node, which gets no other answer than that node's."""
        options = {**self._node_options, **how}
        return redis.asyncio.Redis(host=host[0], port=host[1], **options)

    def pipeline(self, **_: Any) -> "_AsyncPipeline":  # type: ignore[override]
        """Commands that need not be of one slot; each is carried out by itself."""
        return _AsyncPipeline(self)  # type: ignore[abstract]

    def pubsub(self, **_: Any) -> "_AsyncPubSub":  # type: ignore[override]
        """What is published anywhere in the cluster is heard at any node: at another each time."""
        known = self.get_primaries()
        return _AsyncPubSub(self, random.choice(known) if known else None)  # noqa: S311

    async def _determine_slot(self, command: str, *args: Any) -> int:
        keys = _keys_within((command, *args))
        return _slot_of(self, keys) if keys else await super()._determine_slot(command, *args)


class _AsyncPipeline(asyncio_cluster.ClusterPipeline):
    async def execute(
        self, raise_on_error: bool = True, allow_redirections: bool = True
    ) -> list[Any]:
        with _raising_as_one_server():
            try:
                return await super().execute(raise_on_error, allow_redirections)
            except (redis.ConnectionError, redis.TimeoutError, ClusterDownError):
                self.cluster_client._initialize = True  # ask who has which slots
                raise


class _AsyncCommands(AsyncCommandsParser):
    """Asks any node what commands there are. The driver asks the first one, which may be away."""

    def __init__(self, client: AsyncClusterClient) -> None:
        super().__init__()
        self._client = client

    async def initialize(self, _: Any = None) -> None:
        """Learn them. Raises redis.RedisError."""
        nodes = self._client.get_primaries()
        error: Exception = redis.ConnectionError("the cluster has no node")
        for each in random.sample(nodes, len(nodes)):
            try:
                return await super().initialize(each)
            except (redis.ConnectionError, redis.TimeoutError) as failed:
                error = failed
        raise error


class _AsyncPubSub(asyncio_cluster.ClusterPubSub):
    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        if self.connection is None and isinstance(self.cluster, AsyncClusterClient):
            await self.cluster.learn()
        with _raising_as_one_server():
            return await super().execute_command(*args, **kwargs)


def _keys_within(args: Sequence[Any]) -> Sequence[Any]:
    """The keys of a command that reads streams, or is a script; none of any other."""
    if args[0] in _SCRIPTS:
        return args[3 : 3 + int(args[2])]
    if args[0] in _READS:
        named = args[args.index(b"STREAMS") + 1 :]
        return named[: len(named) // 2]
    return ()


def _slot_of(client: Any, keys: Sequence[Any]) -> int:
    slots = {client.keyslot(key) for key in keys}
    if len(slots) > 1:
        raise ValueError(f"keys of {len(slots)} slots in one command")
    return int(slots.pop())
