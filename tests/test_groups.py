"""Tests that share something costly, or a whole machine, run one after another in one process."""

import pytest


@pytest.mark.xdist_group("together")
def test_tests_of_a_group_are_sent_to_one_process(request: pytest.FixtureRequest) -> None:
    """Else pytest-xdist spreads them silently, which has happened with a newer pytest."""
    assert_group(request, "together")


def assert_group(request: pytest.FixtureRequest, name: str) -> None:
    """Where groups are kept together, the test that asks is of this one."""
    if request.config.getoption("loadgroup", default=False):
        assert request.node.nodeid.endswith(f"@{name}")
