"""Tests of faults run one after another, in one process: a machine that is busy proves little."""

import pytest

from tests.test_groups import assert_group


def test_tests_of_faults_are_sent_to_one_process(request: pytest.FixtureRequest) -> None:
    """By a hook of this folder, which must come before pytest-xdist looks for groups."""
    assert_group(request, "faults")
