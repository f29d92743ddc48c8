"""Six nodes, or two and three sentinels, with a real API and real workers on them."""

from collections.abc import Iterator

import pytest

from tests.cluster.nodes import Cluster, Watched, running_cluster, running_watched
from tests.cluster.system import ScaledSystem, running_on


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as nodes:
        yield nodes


@pytest.fixture(scope="session")
def cluster_system(cluster: Cluster, database_url: str) -> Iterator[ScaledSystem]:
    with running_on(cluster, database_url, "clustered") as system:
        yield system


@pytest.fixture
def on_cluster(cluster_system: ScaledSystem) -> Iterator[ScaledSystem]:
    """An empty cluster that works, and no process yet."""
    yield cluster_system
    cluster_system.reset()


@pytest.fixture(scope="session")
def watched() -> Iterator[Watched]:
    with running_watched() as servers:
        yield servers


@pytest.fixture(scope="session")
def watched_system(watched: Watched, database_url: str) -> Iterator[ScaledSystem]:
    with running_on(watched, database_url, "watched") as system:
        yield system


@pytest.fixture
def on_sentinel(watched_system: ScaledSystem) -> Iterator[ScaledSystem]:
    """An empty primary with its replica, and no process yet."""
    yield watched_system
    watched_system.reset()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All on one test process: they share the servers."""
    for item in items:
        if "tests/cluster/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("cluster"))
