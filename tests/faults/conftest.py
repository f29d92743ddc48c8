"""Servers for the tests of faults; API and workers are each test's own."""

from collections.abc import Iterator

import pytest

from tests.faults.system import System, running_system


@pytest.fixture(scope="session")
def servers() -> Iterator[System]:
    with running_system() as system:
        yield system


@pytest.fixture
def system(servers: System) -> Iterator[System]:
    """Empty servers that work, and no process yet."""
    yield servers
    servers.reset()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All on one test process, one after another: a machine that is busy proves little."""
    for item in items:
        if "tests/faults/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("faults"))
