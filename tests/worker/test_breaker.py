"""The breaker, alone and in the loop: a bad deploy must not dead-letter the world."""

from collections.abc import Callable
from uuid import UUID

import pytest

from shared.breaker import FEWEST, Breaker
from shared.connections import Redis
from shared.streams import EVENTS, GROUP
from tests.worker.conftest import Running
from tests.worker.waiting import eventually
from tests.worker.workouts import Workouts, pending


@pytest.fixture
def breaker(redis_client: Redis) -> Breaker:
    return Breaker(redis_client)


def note(breaker: Breaker, failures: int, successes: int) -> bool:
    for nth in range(successes):
        breaker.note_success(b"%d-1" % nth)
    for nth in range(failures):
        breaker.note_failure(b"%d-0" % nth)
    return breaker.is_open()


@pytest.mark.parametrize(
    ("failures", "successes", "opens"),
    [
        (0, 0, False),
        (FEWEST - 1, 0, False),
        (FEWEST, 0, True),
        (FEWEST, FEWEST, True),
        (FEWEST, FEWEST + 1, False),
        (20, 20, True),
        (20, 21, False),
        (50, 1000, True),  # only the last fifty count
    ],
)
def test_it_opens_at_half_the_folds_and_five_rides(
    breaker: Breaker, failures: int, successes: int, opens: bool
) -> None:
    assert note(breaker, failures, successes) is opens


def test_one_ride_that_keeps_failing_does_not_open_it(breaker: Breaker) -> None:
    for _ in range(100):
        breaker.note_failure(b"1-0")
    assert not breaker.is_open()


def test_a_ride_that_succeeds_at_last_did_not_fail(breaker: Breaker) -> None:
    assert note(breaker, FEWEST, 0)
    breaker.note_success(b"0-0")
    assert not breaker.is_open()


def test_it_is_the_same_for_every_worker_and_outlives_them(
    breaker: Breaker, redis_client: Redis
) -> None:
    note(breaker, FEWEST, 0)
    assert Breaker(redis_client).is_open()
    breaker.close()
    assert not Breaker(redis_client).is_open()


class Deploy:
    """A fold that fails for every ride for as long as the deploy is bad."""

    def __init__(self, fails: Callable[[UUID], bool]) -> None:
        self.fails = fails
        self.tried: list[UUID] = []
        self.folded: list[UUID] = []

    def __call__(self, workout_id: UUID) -> None:
        self.tried.append(workout_id)
        if self.fails(workout_id):
            raise ZeroDivisionError("a bad deploy")
        self.folded.append(workout_id)


def test_a_bad_deploy_buries_nothing_and_a_good_one_folds_it_all(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    rides, deploy = [workouts.start() for _ in range(12)], Deploy(lambda _: True)
    workouts.ask(*rides)
    with running(deploy):
        eventually(lambda: len(deploy.tried) > 12 * 6)  # more than would have buried them all
    assert all(workouts.dead_letters(ride) == [] for ride in rides)
    assert {workouts.status(ride) for ride in rides} == {"ACTIVE"}
    with running(mended := Deploy(lambda _: False)):
        eventually(lambda: not redis_client.xlen(EVENTS))
    assert set(mended.folded) == set(rides)
    assert not Breaker(redis_client).is_open()


def test_a_bad_deploy_takes_little_while_consumption_is_paused(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    deploy = Deploy(lambda _: True)
    workouts.ask(*(workouts.start() for _ in range(12)))
    with running(deploy, lease=60, probe_every=60):
        eventually(lambda: Breaker(redis_client).is_open())
        eventually(lambda: len(deploy.tried) >= FEWEST)
    assert len(deploy.tried) == FEWEST


def test_a_few_poisonous_rides_are_buried_while_the_others_flow(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    rides = [workouts.start() for _ in range(20)]
    poison = set(rides[::5])
    deploy = Deploy(lambda ride: ride in poison)
    workouts.ask(*rides)
    with running(deploy):
        eventually(lambda: not redis_client.xlen(EVENTS))
    assert {ride for ride in rides if workouts.dead_letters(ride)} == poison
    assert set(deploy.folded) == set(rides) - poison


def test_rides_over_which_every_worker_died_are_tried_once_the_deploy_is_mended(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    rides = [workouts.start() for _ in range(FEWEST + 1)]
    workouts.ask(*rides)
    redis_client.xgroup_create(EVENTS, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "dead", {EVENTS: ">"})
    for event in pending(redis_client):
        redis_client.xclaim(EVENTS, GROUP, "dead", 0, [event["message_id"]], retrycount=7)
    for ride in rides:
        Breaker(redis_client).note_failure(str(ride).encode())
    with running(mended := Deploy(lambda _: False)):
        eventually(lambda: not redis_client.xlen(EVENTS))
    assert set(mended.folded) == set(rides)
    assert all(workouts.dead_letters(ride) == [] for ride in rides)


def test_a_sweep_that_fails_for_good_does_not_keep_events_from_being_handled(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    def sweep() -> None:
        raise ZeroDivisionError("a bad sweep")

    rides, deploy = [workouts.start() for _ in range(3)], Deploy(lambda _: False)
    workouts.ask(*rides)
    with running(deploy, sweep=sweep):
        eventually(lambda: not redis_client.xlen(EVENTS))
    assert deploy.folded == rides


def test_a_new_ride_that_works_ends_the_pause_however_many_keep_failing(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    poison, good = {workouts.start() for _ in range(FEWEST + 3)}, workouts.start()
    deploy = Deploy(lambda ride: ride in poison)
    workouts.ask(*poison)
    with running(deploy, lease=0.001):  # each is abandoned again at once
        eventually(lambda: Breaker(redis_client).is_open())
        workouts.ask(good)
        eventually(lambda: deploy.folded == [good])
