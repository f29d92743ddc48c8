"""Workers that die over a file: another one imports it, once and whole."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ops.processes import Process, stop
from shared.connections import open_database
from shared.redis_keys import SHORT, SLOW_FILE, Queue
from shared.settings import read_settings
from tests.api.files.ride_files import ended, fit, post
from tests.conftest import Rider
from tests.faults.recordings import batches_of, readings, record
from tests.faults.stalls import is_stopped
from tests.faults.system import System
from tests.worker.waiting import eventually
from tests.worker.workouts import pending
from worker.jobs.dispatch import Dispatcher

LEASE = "0.5"


def workouts_of(system: System, rider: Rider) -> list[object]:
    return [
        (row["status"], row["summary"]["sampleCount"])
        for row in system.query(
            "SELECT status, summary FROM workouts WHERE user_id = %s", [rider.account.user_id]
        )
    ]


@pytest.mark.parametrize("step", ["after-reading", "before-commit", "after-commit"])
def test_a_worker_killed_over_a_file_leaves_it_to_another(system: System, step: str) -> None:
    system.start_api()
    rider = system.make_rider()
    upload = post(rider, fit(600)).json()["upload"]["id"]
    victim = system.start_worker(FAILPOINT=f"{step}=kill", LEASE=LEASE)
    assert victim.wait(30) == -signal.SIGKILL
    done = step == "after-commit"
    assert workouts_of(system, rider) == ([("COMPLETED", 600)] if done else [])
    eventually(lambda: pending(system.redis_client)[0]["time_since_delivered"] > 500)
    system.start_worker(LEASE=LEASE)
    assert ended(rider, upload)["status"] == "done"
    eventually(lambda: not pending(system.redis_client))
    assert workouts_of(system, rider) == [("COMPLETED", 600)]


def test_slow_files_hold_one_worker_and_the_others_are_there_for_the_rest(system: System) -> None:
    system.start_api()
    first, second, third = (system.make_rider() for _ in range(3))
    stopping = {"FAILPOINT": "while-reading=stop", "SLOW_IMPORT_SECONDS": "1"}
    holder = system.start_worker(**stopping)
    slow = post(first, fit(600)).json()["upload"]["id"]
    eventually(lambda: system.redis_client.exists(SLOW_FILE) == 1)
    other = system.start_worker(**stopping)
    waits = post(second, fit(700)).json()["upload"]["id"]
    system.await_log("worker", f"put off {waits}")
    stop(other)
    system.start_worker()  # one that reads without stopping
    small = post(third, fit(60)).json()["upload"]["id"]
    assert ended(third, small)["status"] == "done"
    ride = record(third, *batches_of(readings(60), 60)).workout_id
    assert third.complete(ride)["status"] == "COMPLETED"
    assert [status_in(first, slow), status_in(second, waits)] == ["processing"] * 2
    os.kill(stopped_reader_of(holder), signal.SIGCONT)
    assert ended(first, slow)["status"] == "done"
    stop(holder)
    system.execute("UPDATE uploads SET asked_at = NULL")  # as if half a minute had passed
    assert ended(second, waits)["status"] == "done"
    assert system.query("SELECT FROM dead_letters") == []


def status_in(rider: Rider, upload: str) -> object:
    return rider.client.get(f"/api/uploads/{upload}").json()["upload"]["status"]


def test_a_file_whose_reader_is_killed_five_deliveries_long_fails_and_may_be_sent_again(
    system: System,
) -> None:
    system.start_api()
    rider = system.make_rider()
    upload = post(rider, fit(600)).json()["upload"]["id"]
    victim = system.start_worker(FAILPOINT="while-reading=kill", LEASE=LEASE)
    failed = ended(rider, upload)
    assert (failed["status"], "may be sent again" in failed["reason"]) == ("failed", True)
    assert [row["deliveries"] for row in system.query("SELECT deliveries FROM dead_letters")] == [5]
    stop(victim)
    system.start_worker()
    again = post(rider, fit(600)).json()["upload"]["id"]
    assert ended(rider, again)["status"] == "done"
    assert workouts_of(system, rider) == [("COMPLETED", 600)]


def test_a_file_whose_reader_is_killed_twice_goes_in_by_a_later_delivery(system: System) -> None:
    """Twice: a worker tries once more by itself."""
    system.start_api()
    rider = system.make_rider()
    worker = system.start_worker(FAILPOINT="while-reading=stop", LEASE=LEASE)
    upload = post(rider, fit(600)).json()["upload"]["id"]
    killed: list[int] = []
    for _ in range(2):
        killed.append(stopped_reader_of(worker, killed))
        os.kill(killed[-1], signal.SIGKILL)
    os.kill(stopped_reader_of(worker, killed), signal.SIGCONT)
    assert ended(rider, upload)["status"] == "done"
    assert workouts_of(system, rider) == [("COMPLETED", 600)]
    assert system.query("SELECT FROM dead_letters") == []


def stopped_reader_of(worker: Process, killed: Sequence[int] = ()) -> int:
    """The process that reads files for a worker, once it has stopped itself over one."""
    found: list[int] = []
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")

    def is_there() -> bool:
        pids = map(int, children.read_text().split())
        found[:] = [pid for pid in pids if pid not in killed and is_stopped(pid)]
        return bool(found)

    eventually(is_there)
    return found[0]


def test_an_api_killed_before_the_event_has_kept_a_file_that_is_imported(system: System) -> None:
    api = system.start_api(FAILPOINT="after-keeping=kill")
    rider = system.make_rider()
    with pytest.raises(httpx2.TransportError):
        post(rider, fit(600))
    assert api.wait(30) == -signal.SIGKILL
    system.start_worker()
    eventually(lambda: workouts_of(system, rider) == [("COMPLETED", 600)])


def test_files_go_in_after_redis_has_lost_every_event(system: System) -> None:
    system.start_api()
    rider = system.make_rider()
    upload = post(rider, fit(600)).json()["upload"]["id"]
    system.redis_client.flushall()
    system.start_worker()
    assert ended(rider, upload)["status"] == "done"


def test_who_sends_files_without_end_leaves_room_for_another_rider_s_one(system: System) -> None:
    """Half of the stream is filled at once, the rest by turns: with the other rider's file."""
    system.start_api()
    greedy, modest = system.make_rider(), system.make_rider()
    for number in range(2 * SHORT):
        post(greedy, fit(60, second=9000 * number))
    upload = post(modest, fit(60)).json()["upload"]["id"]
    assert upload not in asked_for(system)
    urls = {"DATABASE_URL": system.database_url, "REDIS_URL": system.redis_url}
    with open_database(read_settings(urls)) as database:
        Dispatcher(database, system.redis_client, checkpoint_interval=600).dispatch()
    assert upload in asked_for(system)
    assert len(asked_for(system)) <= SHORT


def asked_for(system: System) -> list[str]:
    entries: Any = system.redis_client.xrange(Queue.IMPORTS)
    return [fields[b"upload"].decode() for _, fields in entries]
