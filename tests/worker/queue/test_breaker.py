"""The breaker, alone and in the loop: a bad deploy must not dead-letter the world."""

from collections.abc import Callable
from uuid import UUID

import pytest

from shared.breaker import FEWEST, Breaker
from shared.connections import Redis
from shared.redis_keys import FAILING, GROUP, Queue
from tests.redis_settings import configured
from tests.worker.conftest import Running
from tests.worker.waiting import eventually
from tests.worker.workouts import Workouts, pending


@pytest.fixture
def breaker(redis_client: Redis) -> Breaker:
    return Breaker(redis_client)


def note(breaker: Breaker, failures: int, successes: int) -> bool:
    for nth in range(successes):
        breaker.note_success(b"good %d" % nth)
    for nth in range(failures):
        breaker.note_failure(b"bad %d" % nth)
    return breaker.is_open()


@pytest.mark.parametrize(
    ("failures", "successes", "opens"),
    [
        (0, 0, False),
        (FEWEST - 1, 0, False),
        (FEWEST, 0, True),
        (FEWEST + 1, FEWEST, True),
        (FEWEST, FEWEST, False),
        (20, 19, True),
        (20, 20, False),
        (51, 1000, True),  # only the last fifty good ones count
    ],
)
def test_it_opens_when_five_rides_fail_and_more_than_are_folded(
    breaker: Breaker, failures: int, successes: int, opens: bool
) -> None:
    assert note(breaker, failures, successes) is opens


def test_one_ride_that_keeps_failing_does_not_open_it(breaker: Breaker) -> None:
    for _ in range(100):
        breaker.note_failure(b"bad")
    assert not breaker.is_open()


def test_a_ride_that_succeeds_at_last_did_not_fail(breaker: Breaker) -> None:
    assert note(breaker, FEWEST, 0)
    breaker.note_success(b"bad 0")
    assert not breaker.is_open()


def test_it_is_the_same_for_every_worker_and_outlives_them(
    breaker: Breaker, redis_client: Redis
) -> None:
    note(breaker, FEWEST, 0)
    assert Breaker(redis_client).is_open()


def test_a_failure_is_excused_until_something_was_folded_since(breaker: Breaker) -> None:
    assert note(breaker, FEWEST + 3, 1)
    assert breaker.excuses(b"bad 0")
    assert breaker.excuses(b"never seen")
    breaker.note_success(b"another")
    assert breaker.is_open()
    assert not breaker.excuses(b"bad 0")


def test_nothing_is_excused_while_it_is_closed(breaker: Breaker) -> None:
    note(breaker, FEWEST - 1, 0)
    assert not breaker.excuses(b"bad 0")


def test_a_full_redis_takes_no_note_and_forgets_none(breaker: Breaker, redis_client: Redis) -> None:
    note(breaker, FEWEST + 2, 0)
    with configured(redis_client, "maxmemory", "1"):
        for _ in range(3):
            assert not breaker.note_failure(b"bad 0")
            assert not breaker.note_failure(b"new")
        assert breaker.is_open()
        breaker.note_success(b"bad 1")
    assert int(redis_client.zcard(FAILING)) == FEWEST + 1


class Deploy:
    """A fold that fails for every ride for as long as the deploy is bad."""

    def __init__(self, fails: Callable[[UUID], bool]) -> None:
        self.fails = fails
        self.tried: list[UUID] = []
        self.folded: list[UUID] = []

    def __call__(self, workout_id: UUID) -> bool:
        self.tried.append(workout_id)
        if self.fails(workout_id):
            raise ZeroDivisionError("a bad deploy")
        self.folded.append(workout_id)
        return True


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
        eventually(lambda: not redis_client.xlen(Queue.PROMPT))
    assert set(mended.folded) == set(rides)


def test_a_bad_deploy_takes_little_while_consumption_is_paused(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    deploy = Deploy(lambda _: True)
    workouts.ask(*(workouts.start() for _ in range(12)))
    with running(deploy, lease=60, breaker_pause=60):
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
        eventually(lambda: not redis_client.xlen(Queue.PROMPT))
    assert {ride for ride in rides if workouts.dead_letters(ride)} == poison
    assert set(deploy.folded) == set(rides) - poison


def test_rides_over_which_every_worker_died_are_tried_once_the_deploy_is_mended(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    rides = [workouts.start() for _ in range(FEWEST + 1)]
    workouts.ask(*rides)
    redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0")
    redis_client.xreadgroup(
        GROUP, "dead", {Queue.PROMPT: ">"}
    )  # each died over once, then all in vain
    for ride in rides:
        Breaker(redis_client).note_failure(str(ride).encode())
    with running(mended := Deploy(lambda _: False)):
        eventually(lambda: not redis_client.xlen(Queue.PROMPT))
    assert set(mended.folded) == set(rides)
    assert all(workouts.dead_letters(ride) == [] for ride in rides)


def test_two_deaths_over_a_ride_are_noted(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    ride = workouts.start()
    workouts.ask(ride)
    redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "dead", {Queue.PROMPT: ">"})
    (event,) = pending(redis_client)
    redis_client.xclaim(Queue.PROMPT, GROUP, "dead", 0, [event["message_id"]], retrycount=2)
    seen = []

    def look(workout_id: UUID) -> bool:
        seen.append(redis_client.zscore(FAILING, str(workout_id)))
        return True

    with running(look):
        eventually(lambda: not redis_client.xlen(Queue.PROMPT))
    assert seen != [None]


def test_a_sweep_that_fails_for_good_does_not_keep_events_from_being_handled(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    def sweep() -> None:
        raise ZeroDivisionError("a bad sweep")

    rides, deploy = [workouts.start() for _ in range(3)], Deploy(lambda _: False)
    workouts.ask(*rides)
    with running(deploy, sweep=sweep):
        eventually(lambda: not redis_client.xlen(Queue.PROMPT))
    assert deploy.folded == rides


def test_a_new_ride_that_works_ends_the_pause_however_many_keep_failing(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    poison, good = {workouts.start() for _ in range(FEWEST + 3)}, workouts.start()
    deploy = Deploy(lambda ride: ride in poison)
    note(Breaker(redis_client), FEWEST, 0)
    workouts.ask(*poison)
    with running(deploy, lease=0.001, breaker_pause=0.001):  # each is abandoned again at once
        eventually(lambda: len(deploy.tried) > 60)
        workouts.ask(good)
        eventually(lambda: deploy.folded == [good])


def test_poison_of_a_quiet_service_is_buried_once_anything_else_is_folded(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    poison = {workouts.start() for _ in range(FEWEST + 1)}
    deploy = Deploy(lambda ride: ride in poison)
    note(Breaker(redis_client), FEWEST, 0)
    workouts.ask(*poison)
    with running(deploy, lease=0.001, breaker_pause=0.001):
        eventually(lambda: len(deploy.tried) > 60)
        assert {workouts.status(ride) for ride in poison} == {"ACTIVE"}
        workouts.ask(workouts.start())
        eventually(lambda: {workouts.status(ride) for ride in poison} == {"FAILED"})
    assert all(len(workouts.dead_letters(ride)) == 1 for ride in poison)


def test_folds_that_find_nothing_to_do_do_not_hide_a_bad_deploy(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    rides, idle = [workouts.start() for _ in range(8)], workouts.start()

    class IdleToo(Deploy):
        def __call__(self, workout_id: UUID) -> bool:
            return workout_id != idle and super().__call__(workout_id)

    deploy = IdleToo(lambda _: True)
    note(Breaker(redis_client), FEWEST, 0)
    workouts.ask(*rides, *[idle] * 20)
    with running(deploy, breaker_pause=0.001):
        eventually(lambda: len(deploy.tried) > 8 * 6)
    assert all(workouts.dead_letters(ride) == [] for ride in rides)


def test_a_bad_deploy_beside_a_full_redis_buries_nothing(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    rides, deploy = [workouts.start() for _ in range(8)], Deploy(lambda _: True)
    workouts.ask(*rides)
    redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0")
    with configured(redis_client, "maxmemory", "1"), running(deploy, breaker_pause=0.001):
        eventually(lambda: len(deploy.tried) > 8 * 6)
    assert all(workouts.dead_letters(ride) == [] for ride in rides)


def test_deaths_during_a_bad_deploy_do_not_count(
    workouts: Workouts, redis_client: Redis, running: Running
) -> None:
    ride, breaker = workouts.start(), Breaker(redis_client)
    note(breaker, FEWEST, 0)
    workouts.ask(ride)

    counts = []

    def note_count(_: UUID) -> bool:  # had it died here, this would be the count
        counts.append(pending(redis_client)[0]["times_delivered"])
        raise ZeroDivisionError

    with running(note_count, breaker_pause=0.001):
        eventually(lambda: len(counts) > 8)
    assert set(counts) == {0}
    assert workouts.dead_letters(ride) == []
