"""Webhooks while workers are killed or stall, and receivers are away or hang."""

import signal
from collections.abc import Sequence
from typing import Any

import pytest

from shared.webhooks import make_secret
from tests.conftest import Rider
from tests.faults.recordings import Recording, batches_of, readings, record
from tests.faults.stalls import kept_awake, stalled_worker
from tests.faults.system import System
from tests.worker.waiting import eventually
from tests.worker.webhooks.receiving import TAKING, hanging, receiver, status

QUICK = {"WEBHOOK_TIMEOUT": "2", "LEASE": "0.5"}
COMPLETED = ("workout.completed",)


def _webhook(system: System, rider: Rider, url: str, events: Sequence[str] = COMPLETED) -> str:
    secret = make_secret()
    system.query(
        "INSERT INTO webhooks (user_id, url, events, secret) VALUES (%s, %s, %s, %s) RETURNING id",
        [rider.account.user_id, url, list(events), secret],
    )
    return secret


def _completed(rider: Rider) -> Recording:
    recording = record(rider, *batches_of(readings(60), 60))
    assert recording.complete().status_code == 202
    return recording


def _deliveries(system: System) -> list[dict[str, Any]]:
    return system.query("SELECT * FROM webhook_deliveries ORDER BY id")


def _are_delivered(system: System, number: int = 1) -> bool:
    return [each["status"] for each in _deliveries(system)] == ["delivered"] * number


@pytest.mark.parametrize(
    ("step", "most"), [("after-commit", 2), ("before-delivery", 1), ("after-delivery", 2)]
)
def test_what_a_killed_worker_has_not_told_is_told_by_another(
    system: System, step: str, most: int
) -> None:
    """Killed after the fold's commit, before the request or before its result was noted.

    Twice at most, with one id by which the receiver knows it again.
    """
    system.start_api()
    rider = system.make_rider()
    with receiver() as found:
        secret = _webhook(system, rider, found.url)
        victim = system.start_worker(FAILPOINT=f"{step}=kill", **QUICK)
        ride = _completed(rider)
        assert victim.wait(30) == -signal.SIGKILL
        [delivery] = _deliveries(system)
        assert delivery["status"] == "waiting" or step == "after-commit"
        assert len(found.received) == 1 or step != "after-delivery"
        system.start_worker(**QUICK)
        eventually(lambda: _are_delivered(system))
    assert 1 <= len(found.received) <= most
    assert {each.id for each in found.received} == {delivery["message_id"]}
    for each in found.received:
        assert each.is_signed_by(secret)
        assert each.message["data"]["id"] == ride.workout_id  # type: ignore[index]


def test_a_worker_that_stalls_notes_nothing_over_what_another_one_did(system: System) -> None:
    system.start_api()
    rider = system.make_rider()
    with receiver() as found:
        _webhook(system, rider, found.url)
        system.start_worker(**{**QUICK, "WEBHOOK_ALLOW_PRIVATE": "0"})
        _completed(rider)
        eventually(lambda: any(each["problem"] for each in _deliveries(system)))
        system.kill_workers()
        system.query("UPDATE webhook_deliveries SET due_at = now() RETURNING id")
        assert found.received == []
        victim = stalled_worker(system, "after-delivery", **QUICK)
        system.start_worker(**QUICK)
        eventually(lambda: _are_delivered(system))
        before = _deliveries(system)
        with kept_awake(victim):
            victim.terminate()
            victim.wait(30)
    assert _deliveries(system) == before
    assert len(found.received) == 2


def test_a_receiver_that_was_away_gets_all_of_a_ride_in_order(system: System) -> None:
    system.start_api()
    rider = system.make_rider()
    system.start_worker(**QUICK)
    with receiver(status(503)) as found:
        _webhook(system, rider, found.url, ["workout.completed", "workout.updated", "record.set"])
        ride = _completed(rider)
        eventually(lambda: len(found.received) == 1)
        path = f"/api/workouts/{ride.workout_id}"
        assert rider.client.patch(path, json={"title": "Col"}).is_success
        eventually(lambda: _deliveries(system)[0]["problem"] is not None)
        found.answer = status(204)
        system.query("UPDATE webhook_deliveries SET due_at = now() RETURNING id")
        eventually(lambda: _are_delivered(system, 3))
    told = [str(each.message["type"]) for each in found.received]
    assert told == ["workout.completed", "workout.completed", "record.set", "workout.updated"]


def test_a_receiver_that_hangs_holds_up_neither_folds_nor_others(system: System) -> None:
    system.start_api()
    one, other = system.make_rider(), system.make_rider()
    system.start_worker(**{**QUICK, "WEBHOOK_TIMEOUT": "60"})
    with receiver(hanging) as bad, receiver() as good:
        _webhook(system, one, bad.url)
        _webhook(system, other, good.url)
        for _ in range(6):
            _completed(one)
        eventually(lambda: len(bad.received) == 4)  # as many as a user has at a time
        _completed(other)
        eventually(lambda: len(good.received) == 1)
        assert len(bad.received) == 4


def test_deliveries_go_on_after_postgresql_was_away(system: System) -> None:
    """By the same worker, also when an attempt was under way: its message may come twice."""
    system.start_api()
    rider = system.make_rider()
    worker = system.start_worker(**QUICK)
    with receiver(hanging) as found:
        _webhook(system, rider, found.url)
        _completed(rider)
        eventually(lambda: len(found.received) == 1)
        system.postgres.kill()
        system.postgres.restart()
        found.answer = TAKING
        system.query("UPDATE webhook_deliveries SET due_at = now() RETURNING id")
        eventually(lambda: _are_delivered(system))
    assert worker.poll() is None
    assert {each.id for each in found.received} == {_deliveries(system)[0]["message_id"]}


def test_a_worker_stops_soon_though_a_receiver_hangs(system: System) -> None:
    """What it gives back another one may take at once."""
    system.start_api()
    rider = system.make_rider()
    with receiver(hanging) as found:
        _webhook(system, rider, found.url)
        worker = system.start_worker(**{**QUICK, "WEBHOOK_TIMEOUT": "60"})
        _completed(rider)
        eventually(lambda: len(found.received) == 1)
        worker.terminate()
        assert worker.wait(15) == 0
        [delivery] = _deliveries(system)
        assert (delivery["status"], delivery["attempts"]) == ("waiting", 0)
        found.answer = TAKING
        system.start_worker(**QUICK)
        eventually(lambda: _are_delivered(system))
