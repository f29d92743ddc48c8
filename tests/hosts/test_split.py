"""A primary that is cut off from the other servers while some still reach it: two for a while.

What the old one acknowledges meanwhile is lost when it is joined again; the epoch tells the
devices.
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.faults import is_primary
from tests.cluster.nodes import Node, Watched
from tests.faults.devices import HeedingDevice
from tests.faults.history import History, Verdict, check, find_unfinished, stores
from tests.hosts.host import Host
from tests.hosts.system import HostedSystem
from tests.worker.waiting import eventually

APART = 5.0  # seconds for which there are two


@contextmanager
def riding(hosted: HostedSystem, history: History) -> Iterator[None]:
    """Devices that heed the epoch meanwhile, by one API host, by the other one, and by both."""
    stop = threading.Event()
    one, two = hosted.api_hosts
    ways: Sequence[Sequence[Host]] = [[one], [two], [one, two]]
    with ThreadPoolExecutor(2 * len(ways)) as threads:
        rides = [
            threads.submit(
                HeedingDevice(
                    hosted.make_rider(timeout=5, hosts=ways[nth % len(ways)]),
                    history,
                    random.Random(nth),
                    pause=0.1,
                ).ride_until,
                stop,
            )
            for nth in range(2 * len(ways))
        ]
        try:
            yield
        finally:
            stop.set()
            for each in rides:
                each.result()


def split(hosted: HostedSystem, primary: Node, *, with_it: Sequence[Host] = ()) -> None:
    """Part the primary from the servers, and from an API host; and those who stay ``with_it``."""
    watched = hosted.scaled
    others = [each.host for each in watched.servers if each is not primary]
    hosted.network.part(primary.host, *others, hosted.api_hosts[1])
    for host in with_it:
        hosted.network.part(host, *others)


def batches_taken(node: Node) -> int:
    """How many it has appended to streams since it started."""
    told: Any = node.client.info("commandstats").get("cmdstat_xadd", {"calls": 0})
    return int(told["calls"] - told.get("failed_calls", 0))


def ride_through_a_split(hosted: HostedSystem, *, alone: bool) -> tuple[History, Verdict, int]:
    """What devices have sent, what is wrong with it, and how much the old primary took."""
    assert isinstance(hosted.scaled, Watched)
    history = History()
    hosted.start_api()
    for host in hosted.worker_hosts:
        hosted.start_worker_on(host)
    old = hosted.scaled.primary()
    new = hosted.scaled.replica_of(old)
    with riding(hosted, history):
        time.sleep(2)
        split(hosted, old, with_it=[hosted.api_hosts[0]] if alone else [])
        eventually(lambda: is_primary(new))
        before = batches_taken(old)
        time.sleep(APART)
        taken = batches_taken(old) - before
        hosted.network.join()
        # The sentinels reach it again once their own attempts, ever further apart, come to it.
        eventually(lambda: not is_primary(old), within=120)
        time.sleep(2)
    with stores(hosted.database_url, hosted.redis_url) as connections:
        eventually(lambda: not find_unfinished(history, *connections), within=60)
        return history, check(history, *connections), taken


@pytest.mark.parametrize("alone", [False, True], ids=["who asks the sentinels", "who cannot ask"])
def test_what_an_old_primary_acknowledges_is_sent_again(hosted: HostedSystem, alone: bool) -> None:
    history, verdict, taken = ride_through_a_split(hosted, alone=alone)
    assert history.surprises == []
    assert (verdict.lost, verdict.twice) == (0, 0), verdict.details[:5]
    assert taken or not alone
