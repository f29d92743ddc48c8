"""A short chaos run; `make chaos` is the long one."""

import re

import pytest

from tests.conftest import ROOT
from tests.faults import chaos
from tests.faults.random_faults import FAULTS

# Those that take long are left to the long run.
QUICK = [
    *("workers killed", "worker killed mid-fold", "worker killed after-commit"),
    *("API killed", "API killed after-append", "API killed after-processing"),
    *("PostgreSQL killed", "PostgreSQL cut off", "PostgreSQL's reply to COMMIT lost"),
    *(
        "Valkey killed",
        "Valkey cut off",
        "Valkey's reply to XADD lost",
        "Valkey's reply to XACK lost",
    ),
    *("Valkey out of memory", "group destroyed"),
]


def test_nothing_is_lost_or_counted_twice_whatever_fails() -> None:
    assert set(QUICK) < FAULTS.keys()
    outcome = chaos.run(seed=20_240_721, kinds=QUICK)
    assert outcome.wrong == [], f"seed {outcome.seed}, logs in {outcome.logs}"
    assert (outcome.verdict.lost, outcome.verdict.twice) == (0, 0)
    assert outcome.injected == dict.fromkeys(QUICK, 1)
    assert len(outcome.history.rides) >= chaos.RIDERS
    assert outcome.history.samples_acknowledged >= 30 * chaos.RIDERS
    assert outcome.received >= chaos.RIDERS


@pytest.mark.parametrize(
    ("on", "kinds"),
    [
        ("replica", ["replica killed", "replica behind", "replica's WAL cut off", "API killed"]),
        ("pgbouncer", ["pooler killed", "pooler paused", "pooler cut off", "PostgreSQL killed"]),
    ],
)
def test_nor_beside_a_replica_or_behind_a_pooler(on: str, kinds: list[str]) -> None:
    outcome = chaos.run(seed=20_240_721, kinds=kinds, on=on)
    assert outcome.wrong == [], f"seed {outcome.seed}, logs in {outcome.logs}"
    assert (outcome.verdict.lost, outcome.verdict.twice) == (0, 0)
    assert outcome.injected == dict.fromkeys(kinds, 1)
    assert (outcome.history.answers["own change read"] > 0) == (on == "replica")


def test_nothing_is_lost_by_a_failover_to_a_replica_that_commits_wait_for() -> None:
    kinds = [
        *("PostgreSQL killed and failed over", "workers killed"),
        *("PostgreSQL frozen and failed over", "API killed"),
    ]
    outcome = chaos.run(seed=20_240_721, kinds=kinds, on="failover")
    assert outcome.wrong == [], f"seed {outcome.seed}, logs in {outcome.logs}"
    assert (outcome.verdict.lost, outcome.verdict.twice) == (0, 0)
    assert outcome.injected == dict.fromkeys(kinds, 1)
    assert outcome.history.samples_acknowledged > 0
    assert outcome.history.answers["ride read"] > 0


def test_make_says_what_it_runs_on() -> None:
    [named] = re.findall(r"(?m)^chaos: .* ON=(\S+)\)$", (ROOT / "Makefile").read_text())
    assert {"one", *named.split("|")} == chaos.GROUNDS.keys()
