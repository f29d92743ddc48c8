"""A short chaos run on a cluster; `make chaos ON=cluster` is the long one."""

from tests.faults import chaos
from tests.faults.chaos import GROUNDS

QUICK = ["primary killed", "slot moved"]


def test_nothing_is_lost_or_counted_twice_on_a_cluster() -> None:
    outcome = chaos.run(seed=20_261_129, kinds=QUICK, on="cluster")
    assert outcome.wrong == [], f"seed {outcome.seed}, logs in {outcome.logs}"
    assert (outcome.verdict.lost, outcome.verdict.twice) == (0, 0)
    assert outcome.injected == dict.fromkeys(QUICK, 1)


def test_on_sentinels_all_is_done_that_is_done_on_a_cluster_but_moving_slots() -> None:
    assert GROUNDS["cluster"].faults.keys() - GROUNDS["sentinel"].faults.keys() == {"slot moved"}
