"""Whole worker processes: how they end, and what another one makes of it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from ops.processes import stop
from shared.connections import Redis
from shared.redis_keys import GROUP, Queue
from shared.settings import Settings
from tests.conftest import ROOT
from tests.worker.conftest import LEASE, StartWorker
from tests.worker.readings import steady
from tests.worker.waiting import eventually
from tests.worker.workouts import Workouts, pending
from worker.probe import is_working

Held = Callable[[UUID], AbstractContextManager[Callable[[], bool]]]


@pytest.fixture
def held(settings: Settings) -> Held:
    """Holds a workout's row, so that its fold waits; yields whether one does."""

    @contextmanager
    def hold(workout_id: UUID) -> Iterator[Callable[[], bool]]:
        with psycopg.connect(settings.database_url) as holder:
            holder.execute("SELECT 1 FROM workouts WHERE id = %s FOR UPDATE", [workout_id])

            def waits() -> bool:
                row = holder.execute(
                    "SELECT 1 FROM pg_locks"
                    " WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
                ).fetchone()
                return row is not None

            yield waits

    return hold


def test_a_worker_told_to_stop_finishes_the_fold_in_hand(
    workouts: Workouts, redis_client: Redis, start_worker: StartWorker, held: Held
) -> None:
    workout = workouts.start("PROCESSING")
    workouts.send(workout, steady(60, power=200))
    with held(workout) as fold_waits:
        workouts.ask(workout)
        worker = start_worker()
        eventually(fold_waits)
        worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert workouts.row(workout)["summary"]["avgPower"] == 200
    assert workouts.status(workout) == "COMPLETED"
    assert workout not in workouts.asked()  # a sweep may have asked for rides of other tests
    assert redis_client.xinfo_consumers(Queue.PROMPT, GROUP) == []


def test_a_killed_worker_s_fold_is_finished_by_another(
    workouts: Workouts, redis_client: Redis, start_worker: StartWorker, held: Held
) -> None:
    workout = workouts.start("PROCESSING")
    workouts.send(workout, steady(60, power=200))
    with held(workout) as fold_waits:
        workouts.ask(workout)
        worker = start_worker()
        eventually(fold_waits)
        worker.kill()
        worker.wait()
    assert workouts.status(workout) == "PROCESSING"
    eventually(lambda: pending(redis_client)[0]["time_since_delivered"] > LEASE * 1000)
    start_worker()
    eventually(lambda: workouts.status(workout) == "COMPLETED")
    assert workouts.row(workout)["summary"]["sampleCount"] == 60
    eventually(lambda: workouts.asked() == [] and workouts.waiting(workout) == 0)
    assert workouts.dead_letters(workout) == []


def test_a_worker_told_to_stop_while_redis_is_away_ends_in_peace(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    log = tmp_path / "worker.log"
    worker = start_worker(REDIS_URL=f"unix://{tmp_path}/nothing.sock")
    eventually(lambda: "cannot go on for now" in log.read_text())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert "Traceback" not in log.read_text()


def test_the_probe_tells_a_working_worker_from_none(
    settings: Settings, redis_client: Redis, start_worker: StartWorker
) -> None:
    redis_client.xgroup_create(Queue.PROMPT, GROUP, id="0", mkstream=True)
    assert not is_working(settings)
    worker = start_worker()
    eventually(lambda: is_working(settings))
    stop(worker)
    assert not is_working(settings)


def test_a_worker_that_gets_no_further_ends_itself_and_says_where_it_was(
    tmp_path: Path, workouts: Workouts, start_worker: StartWorker, held: Held
) -> None:
    """A row that stays locked holds it up here; it might be anything."""
    workout = workouts.start("PROCESSING")
    with held(workout) as fold_waits:
        workouts.ask(workout)
        worker = start_worker(MAX_JOB_SECONDS="2")
        eventually(fold_waits)
        assert worker.wait(30) == 1
    assert "in fold" in (tmp_path / "worker.log").read_text()
    start_worker()
    eventually(lambda: workouts.status(workout) == "COMPLETED")


def test_a_worker_without_settings_says_what_is_missing(tmp_path: Path) -> None:
    environ = {"PYTHONPATH": str(ROOT), "DATABASE_URL": "postgresql:///nowhere"}
    done = subprocess.run(
        [sys.executable, "-m", "worker"], env=environ, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode != 0
    assert done.stderr == "cannot start: REDIS_URL is not set\n"
