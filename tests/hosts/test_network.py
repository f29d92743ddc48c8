"""The hosts that tests make: cut off from one another, and gone without a trace."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.conftest import ROOT
from tests.hosts.host import NAMESPACES, Host
from tests.hosts.network import Network, network
from tests.worker.waiting import eventually

_CONNECT: Final = "import socket, sys; socket.create_connection((sys.argv[1], 9), timeout=0.3)"


def reaches(host: Host, other: Host) -> bool:
    """Whether its kernel says that nobody listens; a host that is not reached says nothing."""
    told = subprocess.run(
        [*host.inside([sys.executable, "-c", _CONNECT]), other.address],
        capture_output=True,
        text=True,
    )
    return "ConnectionRefusedError" in told.stderr


def test_a_host_that_is_cut_off_is_reached_by_nobody_until_it_is_joined(net: Network) -> None:
    one, two, three = (net.add(name) for name in ("one", "two", "three"))
    net.cut_off(two)
    assert not reaches(one, two)
    assert not reaches(two, one)
    assert reaches(one, three)
    net.join()
    eventually(lambda: reaches(one, two))


def test_hosts_are_parted_from_one_another_and_not_from_others(net: Network) -> None:
    one, two, three = (net.add(name) for name in ("one", "two", "three"))
    net.part(one, two)
    assert not reaches(one, two)
    assert not reaches(two, one)
    assert reaches(one, three)
    assert reaches(two, three)
    assert reaches(two, net.here)
    net.join()
    eventually(lambda: reaches(one, two))


def test_two_networks_do_not_reach_one_another(net: Network) -> None:
    one = net.add("one")
    with network() as other:
        assert other.address != net.address
        assert not reaches(one, other.add("one"))


def test_nothing_is_left_of_a_network_even_if_its_process_was_killed() -> None:
    making = "import os; from tests.hosts.network import Network; Network().add('one'); os.abort()"
    before = left_by(os.getpid())
    with network() as own:  # makes sure that it can be had
        own.add("one")
    assert left_by(os.getpid()) == before
    killed = subprocess.Popen(
        [sys.executable, "-c", making], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    killed.wait()
    assert left_by(killed.pid)
    with network():
        assert not left_by(killed.pid)


def left_by(pid: int) -> set[str]:
    cables = Path("/sys/class/net").glob(f"bpt{pid}n*")
    return {each.name for each in (*NAMESPACES.glob(f"bpt{pid}n*"), *cables)}
