"""The faults of a chaos run: each does harm, heals it, and tells whether it took effect."""

import random
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import redis

from ops.processes import Process, stop
from shared.redis_keys import GROUP, Queue
from tests.faults.proxy import Proxy
from tests.faults.system import Server, System
from tests.redis_settings import configured

WORKERS: Final = 3
_PATIENCE: Final = 8.0  # seconds that a fault waits for its occasion
_LEASE: Final = 2.0  # seconds; as in tests.faults.system
_SERVES: Final = "Application startup complete"  # in the log of an API process

Inject = Callable[[System, random.Random], bool]


def hire(system: System) -> None:
    """As many workers as there should be."""
    while len(system.workers) < WORKERS:
        system.start_worker()


def dismiss_dead(system: System) -> int:
    """Take the workers that ended off the list; how many there were."""
    living = [worker for worker in system.workers if worker.poll() is None]
    dead = len(system.workers) - len(living)
    system.workers[:] = living
    return dead


def _kill_workers(system: System, chance: random.Random) -> bool:
    for worker in chance.sample(system.workers, chance.randint(1, WORKERS)):
        _kill(worker)
    dismiss_dead(system)
    hire(system)
    return True


def _stop_worker(system: System, chance: random.Random) -> bool:
    """In an orderly way."""
    stop(chance.choice(system.workers))
    dismiss_dead(system)
    hire(system)
    return True


def _stall_worker(system: System, chance: random.Random) -> bool:
    """Past its lease: another one may take its event over, and then both have it."""
    worker = chance.choice(system.workers)
    worker.send_signal(signal.SIGSTOP)
    time.sleep(_LEASE + chance.uniform(0.2, 1.5))
    worker.send_signal(signal.SIGCONT)
    return True


def _kill_worker_at(step: str, system: System, chance: random.Random) -> bool:
    """One worker is replaced by one that will not survive the step."""
    _kill(system.workers[0])
    doomed = system.start_worker(FAILPOINT=f"{step}=kill")
    died = _within(_PATIENCE, lambda: doomed.poll() is not None)
    _kill(doomed)
    dismiss_dead(system)
    hire(system)
    return died


def _kill_api(system: System, chance: random.Random) -> bool:
    system.kill_api()
    time.sleep(chance.uniform(0, 1))
    system.start_api()
    return True


def _stop_api(system: System, chance: random.Random) -> bool:
    """As a deployment does: the new process serves before the old one ends."""
    old = system.api
    assert old is not None
    started = system.log_of("api").count(_SERVES)
    system.launch_api()
    system.await_log("api", _SERVES, started + 1)
    stop(old)
    return True


def _kill_api_at(step: str, system: System, chance: random.Random) -> bool:
    """Devices may be so quick that it dies before anybody has seen it alive."""
    system.kill_api()
    doomed = system.launch_api(FAILPOINT=f"{step}=kill")
    died = _within(_PATIENCE, lambda: doomed.poll() is not None)
    system.kill_api()
    system.start_api()
    return died


def _kill_server(name: str, system: System, chance: random.Random) -> bool:
    server = _server(system, name)
    server.kill()
    time.sleep(chance.uniform(0, 1))
    server.start()
    keep_promises(system)
    return True


def _restart_server(name: str, system: System, chance: random.Random) -> bool:
    server = _server(system, name)
    server.stop()
    server.start()
    keep_promises(system)
    return True


def _pause_server(name: str, system: System, chance: random.Random) -> bool:
    server = _server(system, name)
    server.pause()
    time.sleep(chance.uniform(0.5, 3.5))
    server.resume()
    return True


def _cut(name: str, system: System, chance: random.Random) -> bool:
    _proxy(system, name).cut()
    return True


def _refuse(name: str, system: System, chance: random.Random) -> bool:
    return _for_a_while(_proxy(system, name), Proxy.refuse, chance)


def _freeze(name: str, system: System, chance: random.Random) -> bool:
    return _for_a_while(_proxy(system, name), Proxy.freeze, chance)


def _for_a_while(proxy: Proxy, harm: Callable[[Proxy], None], chance: random.Random) -> bool:
    harm(proxy)
    time.sleep(chance.uniform(0.5, 3.5))
    proxy.restore()
    return True


def _lose_reply(name: str, command: bytes, system: System, chance: random.Random) -> bool:
    proxy = _proxy(system, name)
    before = proxy.lost
    proxy.lose_reply_to(command)
    lost = _within(_PATIENCE, lambda: proxy.lost > before)
    proxy.restore()
    return lost


def _fill_redis(system: System, chance: random.Random) -> bool:
    """No memory left, and nothing is evicted."""
    with redis.Redis.from_url(system.redis_url) as client, configured(client, "maxmemory", "1"):
        time.sleep(chance.uniform(0.5, 2))
    return True


def _destroy_group(system: System, chance: random.Random) -> bool:
    with redis.Redis.from_url(system.redis_url) as client:
        return bool(client.xgroup_destroy(chance.choice(list(Queue)), GROUP))


def keep_promises(system: System) -> None:
    """Sync every write before its answer.

    With everysec an answer does not wait for a sync that is slow, and a kill forgets the write.
    """
    with redis.Redis.from_url(system.redis_url) as client:
        client.config_set("appendfsync", "always")


def heal(system: System) -> None:
    """Everything runs and passes again, whatever was done to it."""
    for proxy in (system.postgres_proxy, system.redis_proxy):
        proxy.restore()
    wake_workers(system)


def wake_workers(system: System) -> None:
    """All that there should be are there, and none is stopped."""
    for worker in system.workers:
        worker.send_signal(signal.SIGCONT)
    hire(system)


def _server(system: System, name: str) -> Server:
    return system.postgres if name == "PostgreSQL" else system.redis


def _proxy(system: System, name: str) -> Proxy:
    return system.postgres_proxy if name == "PostgreSQL" else system.redis_proxy


def _kill(process: Process) -> None:
    process.kill()
    process.wait()


def _within(seconds: float, happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


_STEPS: Final = ("after-read", "mid-fold", "before-commit", "after-commit", "before-acknowledge")
_TO_SERVERS: Final[dict[str, Callable[[str, System, random.Random], bool]]] = {
    "killed": _kill_server,
    "restarted": _restart_server,
    "paused": _pause_server,
    "cut off": _cut,
    "refusing": _refuse,
    "frozen on the way": _freeze,
}
_LOST_REPLIES: Final = (
    ("PostgreSQL", b"COMMIT"),
    ("PostgreSQL", b"UPDATE"),
    ("Valkey", b"XADD"),
    ("Valkey", b"XREADGROUP"),
    ("Valkey", b"XACK"),
)

FAULTS: Final[dict[str, Inject]] = {
    "workers killed": _kill_workers,
    "worker stopped": _stop_worker,
    "worker stalled": _stall_worker,
    **{f"worker killed {step}": partial(_kill_worker_at, step) for step in _STEPS},
    "API killed": _kill_api,
    "API replaced": _stop_api,
    "API killed after-append": partial(_kill_api_at, "after-append"),
    "API killed after-processing": partial(_kill_api_at, "after-processing"),
    **{
        f"{server} {how}": partial(inject, server)
        for server in ("PostgreSQL", "Valkey")
        for how, inject in _TO_SERVERS.items()
    },
    **{
        f"{server}'s reply to {command.decode()} lost": partial(_lose_reply, server, command)
        for server, command in _LOST_REPLIES
    },
    "Valkey out of memory": _fill_redis,
    "group destroyed": _destroy_group,
}
