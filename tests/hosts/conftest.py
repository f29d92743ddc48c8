"""Hosts with a real API, real workers and servers that replace one another."""

from collections.abc import Iterator

import pytest

from tests.cluster.nodes import Watched
from tests.hosts.network import Network, network
from tests.hosts.system import HostedSystem, running_on_hosts


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as found:
        yield found


@pytest.fixture(scope="session")
def all_hosts() -> Iterator[HostedSystem]:
    with running_on_hosts(Watched) as system:
        yield system


@pytest.fixture
def hosted(all_hosts: HostedSystem) -> Iterator[HostedSystem]:
    """Empty servers that sentinels watch, each on a host that all reach, and no process yet."""
    yield all_hosts
    all_hosts.reset()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All on one test process: they share the hosts."""
    for item in items:
        if "tests/hosts/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("hosts"))
