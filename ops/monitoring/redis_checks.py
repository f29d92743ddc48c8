"""What is checked of Redis, and of the work that waits in it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import redis

from ops.monitoring.findings import Finding, Patient, in_bytes, in_words
from shared.breaker import Breaker
from shared.connections import Redis, primaries_of
from shared.monitoring.system import RedisState, read_redis
from shared.monitoring.workers import Heartbeat, living_workers
from shared.redis_urls import ClusterUrl, SentinelUrl, parse_redis_url
from shared.version import VERSION

_OLDEST: Final = {"redis": 7, "valkey": 8}
_LARGE: Final = 0.8  # of maxmemory
_COVERAGE: Final = "cluster-require-full-coverage"
_MOST_APART: Final = 2.0  # seconds


def check_redis(patient: Patient, client: Redis) -> Iterator[Finding]:
    """The server, or each that has a part: its version, and what it would forget or refuse."""
    where = parse_redis_url(patient.settings.redis_url)
    for name, server in primaries_of(client).items():
        try:
            for finding in _check_server(patient, server, where):
                yield replace(finding, wrong=f"{name}: {finding.wrong}") if name else finding
        except redis.RedisError as error:
            if not name:  # the only one, as is said of it then
                raise
            yield Finding(
                f"{name} does not answer, so uploads to its rides wait: {error}",
                "start it, or a replica of it",
            )


def _check_server(
    patient: Patient, server: Redis, where: ClusterUrl | SentinelUrl | None
) -> Iterator[Finding]:
    info: Any = server.info("everything")
    yield from _check_version(info)
    yield from _check_persistence(info)
    yield from _check_memory(patient, info)
    if where is None and info.get("role") == "slave":
        yield Finding("Redis is a replica, and takes no samples", "point REDIS_URL at the primary")
    if where is not None:
        yield from _check_replicas(info, where)
    if isinstance(where, ClusterUrl):
        yield from _check_coverage(server)
    before: float = patient.clock()
    seconds, micros = server.time()
    yield from check_clock("Redis", seconds + micros / 1e6, before, patient.clock())


def _check_replicas(info: Any, where: ClusterUrl | SentinelUrl) -> Iterator[Finding]:
    """Whether another one could take its place, and would be the only one that acknowledges."""
    if not info.get("connected_slaves"):
        yield Finding(
            "Redis has no replica: nobody takes its place if it dies",
            "start a replica of it, or look at the log of the one there is",
        )
    if isinstance(where, SentinelUrl) and "min_slaves_good_slaves" not in info:
        yield Finding(
            "a primary that is cut off from its replicas goes on acknowledging samples, which are"
            " lost once it is back",
            "set `min-replicas-to-write 1` and `min-replicas-max-lag 10` on each server, of which"
            " there should be three",
        )


def _check_coverage(server: Redis) -> Iterator[Finding]:
    """Whether a node goes on while another is away. Managed services may not tell."""
    with suppress(redis.ResponseError):
        told: Any = server.config_get(_COVERAGE)
        if told.get(_COVERAGE) == "yes":
            yield Finding(
                "while nobody serves the rides of some other node, this one refuses uploads, too",
                f"set `{_COVERAGE} no`, in its file too",
            )


def check_clock(server: str, theirs: float, before: float, after: float) -> Iterator[Finding]:
    """Whether a clock that was read between two moments of ours may be the same as ours."""
    apart = max(before - theirs, theirs - after)
    if apart > _MOST_APART:
        yield Finding(
            f"the clock of {server} is {in_words(apart)} from ours",
            "have NTP set the clocks of both machines (timedatectl)",
        )


def check_workers(patient: Patient, client: Redis) -> Iterator[Finding]:
    """Whether workers live, of our version, and go on."""
    workers = living_workers(client)
    if not workers:
        yield Finding("no worker lives: nothing is computed", "start some: make worker N=2")
    if others := sorted({each.version for each in workers} - {VERSION}):
        yield Finding(
            f"workers of another version run: {', '.join(others)} (this is {VERSION})",
            "finish the upgrade: restart the workers",
        )
    for worker in workers:
        yield from _check_worker(patient, worker)
    if Breaker(client).is_open():
        yield Finding(
            "most jobs fail, so the workers hardly try any",
            "read their log: the cause is in the service, not in the rides; make dead-letters",
        )


def check_queues(patient: Patient, client: Redis) -> Iterator[Finding]:
    """Events that nobody takes, or that are taken over and over."""
    state: RedisState = read_redis(client)
    for queue, found in state.queues.items():
        if found.oldest > patient.patience:
            yield Finding(
                f"the oldest of {found.events} events in {queue.name.lower()} has waited"
                f" {in_words(found.oldest)}; {found.pending} were handed out",
                "read the workers' log; more workers: make worker N=4",
            )


def _check_version(info: Any) -> Iterator[Finding]:
    name = "valkey" if "valkey_version" in info else "redis"
    found = str(info.get("valkey_version") or info["redis_version"])
    if int(re.match(r"\d+", found)[0]) < _OLDEST[name]:  # type: ignore[index]
        yield Finding(
            f"{name} {found} is too old", f"upgrade to Redis {_OLDEST['redis']} or Valkey 8"
        )


def _check_persistence(info: Any) -> Iterator[Finding]:
    if not info.get("aof_enabled"):
        yield Finding(
            "Redis has no append-only file: a restart loses every sample not yet archived",
            "set `appendonly yes`, in its file too",
        )
    for key, what in (("aof_last_write_status", "written"), ("aof_last_bgrewrite_status", "made")):
        if info.get(key, "ok") != "ok":
            yield Finding(
                f"the append-only file of Redis could not be {what} the last time",
                "look at its disk and its log",
            )


def _check_memory(patient: Patient, info: Any) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Finding(
            f"Redis may evict samples: maxmemory-policy is {policy}",
            "set `maxmemory-policy noeviction`, in its file too",
        )
    used, most = info["used_memory"], info.get("maxmemory", 0)
    if most and used > _LARGE * most:
        yield Finding(
            f"Redis is nearly full: {in_bytes(used)} of {in_bytes(most)}; full, it refuses uploads",
            "do workers keep up? then give it more memory (REDIS_MAXMEMORY, maxmemory)",
        )
    elif most and patient.settings.max_waiting_bytes > most / 4:
        yield Finding(
            f"one user may fill a quarter of Redis: MAX_WAITING_BYTES beside {in_bytes(most)}",
            "lower MAX_WAITING_BYTES, or give Redis more memory",
        )


def _check_worker(patient: Patient, worker: Heartbeat) -> Iterator[Finding]:
    if worker.event is None or worker.event_since is None:
        return
    seconds = patient.clock() - worker.event_since
    if seconds > patient.patience:
        yield Finding(
            f"worker {worker.pid} on {worker.host} is stuck: at {worker.event} for"
            f" {in_words(seconds)}",
            "make connections shows whether PostgreSQL makes it wait; else restart it:"
            " another worker takes the event over",
        )
