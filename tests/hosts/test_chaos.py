"""A short chaos run on hosts; `make chaos ON=sentinel-hosts` is a long one."""

import pytest

from tests.faults import chaos
from tests.faults.chaos import GROUNDS

QUICK = [
    *("API host lost", "worker host cut off", "primary's host lost"),
    "primary cut off from the servers",
]


@pytest.mark.parametrize("on", ["sentinel-hosts", "cluster-hosts"])
def test_nothing_is_lost_or_counted_twice_whichever_host_is_gone(on: str) -> None:
    outcome = chaos.run(seed=20_261_129, kinds=QUICK, on=on)
    assert outcome.wrong == [], f"seed {outcome.seed}, logs in {outcome.logs}"
    assert (outcome.verdict.lost, outcome.verdict.twice) == (0, 0)
    assert outcome.injected == dict.fromkeys(QUICK, 1)
    assert outcome.history.samples_acknowledged > 0


@pytest.mark.parametrize("on", ["sentinel", "cluster"])
def test_on_hosts_all_is_done_that_is_done_on_one_machine(on: str) -> None:
    assert GROUNDS[on].faults.keys() - GROUNDS[f"{on}-hosts"].faults.keys() <= {"API replaced"}
