"""A short soak, and what goes wrong in one is found; `make soak` is the long one."""

from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from tests.faults.former import has
from tests.soak.events import EVENTS
from tests.soak.meters import Look, growing, latencies, quarters, slower, waiting
from tests.soak.rider import Pace, Timing
from tests.soak.soak import Soak, Wanted, compare, former_version, markdown, standing, urls_of

RIDERS = 20
# One in twenty sends by WebSocket.
QUICK = Pace(
    ride=(5, 10),
    upload=(0.5, 1.5),
    receipt=(1, 2),
    look=(0.5, 1.5),
    message=(0.5, 1),
    lateness=(0, 1),
)
LOSE_ONE_RIDE = """
DELETE FROM workout_channels
WHERE workout_id = (SELECT min(workout_id::text)::uuid FROM workout_channels)
"""


@pytest.mark.xdist_group("cluster")
def test_a_database_that_is_lost_and_restored_under_load_costs_nothing_and_a_loss_is_found() -> (
    None
):
    events = ("PostgreSQL failed over", "backup", "PostgreSQL lost, restored")
    wanted = Wanted(0.3, RIDERS, QUICK, events, look_every=2, afterwards=2)
    with standing(wanted) as (ground, crowd):
        outcome = Soak(wanted, ground, crowd, print).ride()
        compare(outcome, ground, crowd)
        assert [*outcome.unfinished, *outcome.verdict.details] == []
        assert [*outcome.surprises, *outcome.told.surprises] == []
        assert outcome.told.completed == outcome.told.rides > RIDERS
        assert outcome.told.samples > 5 * RIDERS
        assert outcome.told.answers["message"] > 5
        assert outcome.told.answers["503"] > 0
        assert outcome.took.keys() == set(events)
        assert any("| upload | quiet |" in line for line in markdown(outcome))

        with psycopg.connect(ground.database.primary.url) as connection:
            connection.execute(LOSE_ONE_RIDE)
        assert crowd.check(urls_of(ground)).lost > 0


def looks(memory: list[float], waits: Mapping[int, int] = {}, phase: str = "quiet") -> list[Look]:
    return [
        Look(10.0 * at, phase, {"API 1 #1": held}, 10, 10, 0, waits.get(at, 0))
        for at, held in enumerate(memory)
    ]


def test_a_process_that_goes_on_growing_is_found_and_one_that_warms_up_is_not() -> None:
    flat = [60.0] * 3 + [100.0] * 21
    assert growing(looks(flat)) == []
    leaking = [100.0 + 2 * at for at in range(24)]  # 117 in its second quarter, 141 in the last
    assert growing(looks(leaking)) == []
    leaking = [100.0 + 3 * at for at in range(24)]  # 125.5 and 161.5; 15 % and 10 MB more are 154
    assert growing(looks(leaking)) == ["API 1 #1 grew from 126 to 162 MB"]


def test_rides_that_wait_are_found_while_nothing_is_done_to_the_service() -> None:
    flat = [100.0] * 10
    assert waiting(looks(flat, {5: 50}), riders=1000) == []
    assert waiting(looks(flat, {5: 51}), riders=1000) == ["50 s: 0 events and 51 rides waited"]
    assert waiting(looks(flat, {5: 51}, phase="backup"), riders=1000) == []


def test_what_a_request_took_is_told_of_the_phase_in_which_it_was_answered() -> None:
    timings = [Timing("upload", at, seconds) for at, seconds in ((1.0, 3), (9.9, 1), (10.0, 2))]
    told: Any = latencies(timings, [(0.0, "quiet"), (10.0, "backup"), (20.0, "quiet")])
    assert told == {("upload", "quiet"): [1, 3], ("upload", "backup"): [2]}
    assert [phase for _, phase in told] == ["quiet", "backup"]


def test_uploads_that_take_longer_and_longer_are_found() -> None:
    phases = [(0.0, "quiet"), (50.0, "backup"), (60.0, "quiet"), (100.0, "the last rides end")]
    timings = [Timing("upload", at + part / 200, at / 1000) for at in range(110) for part in (0, 1)]
    timings += [Timing("page", 30.0, 9), Timing("upload", 55.0, 9), Timing("upload", 101.0, 9)]
    assert quarters(timings, phases) == (49, 99)
    assert quarters(timings[:1], phases) == (0, 0)
    assert slower(49, 99) == []
    assert slower(49, 100) == ["99 % of uploads took 49 ms in the second quarter, 100 in the last"]
    assert slower(10, 60) == []


def test_events_come_one_after_another_and_the_last_before_the_end() -> None:
    begins = [at for at, _ in EVENTS.values()]
    assert begins == sorted(begins)
    assert begins[-1] < 1


def test_a_version_that_knows_no_cluster_is_not_upgraded_from() -> None:
    assert not has("HEAD", "no/such/file")
    assert former_version("d5f9fc2") == ""
