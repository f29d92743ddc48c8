"""API processes that are killed between two steps, or told to stop with requests under way."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from urllib.parse import urlsplit

import httpx2
import msgspec
import pytest

from tests.faults.invariants import assert_all_is_kept, make_overdue, status_of
from tests.faults.recordings import Recording, columns_of, readings, record
from tests.faults.system import System
from tests.worker.waiting import eventually

PATIENCE = 60  # seconds, for what must come


@pytest.mark.parametrize("late", [False, True])
def test_a_completion_that_was_committed_but_never_announced_is_carried_out(
    system: System, late: bool
) -> None:
    """The fold seals the ride before it reads, so that no process forgets to ask for another."""
    api = system.start_api(FAILPOINT="after-processing=kill")
    recording = record(system.make_rider(), readings(600))
    with pytest.raises(httpx2.TransportError):
        recording.complete()
    assert api.wait() == -signal.SIGKILL
    assert status_of(system, recording) == "PROCESSING"
    assert system.redis_client.xlen("events") == 0
    system.start_api()
    if late:
        recording.upload(readings(60, 600))
    system.start_worker()
    make_overdue(system)
    assert_all_is_kept(system, recording)
    recording.upload(readings(60, 660))
    assert_all_is_kept(system, recording)


def test_a_completion_whose_fold_fails_before_it_is_answered_is_answered_failed(
    system: System,
) -> None:
    """The request did change the ride, so a 409 would say what is not true."""
    api = system.start_api(FAILPOINT="after-processing=stop")
    recording = record(system.make_rider(), readings(60))
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(recording.rider.complete, recording.workout_id)
        os.waitid(os.P_PID, api.pid, os.WSTOPPED | os.WNOWAIT)
        system.execute("UPDATE workouts SET status = 'FAILED'")
        api.send_signal(signal.SIGCONT)
        assert answer.result()["status"] == "FAILED"


def test_a_batch_whose_acknowledgement_was_never_sent_counts_once(system: System) -> None:
    system.start_api(FAILPOINT="after-append=kill")
    recording = record(system.make_rider())
    with pytest.raises(httpx2.TransportError):
        recording.send(readings(600))
    system.start_api()
    recording.upload(readings(600), readings(60, 600))
    system.start_worker()
    recording.complete()
    assert_all_is_kept(system, recording)


@contextmanager
def half_an_upload(system: System, recording: Recording) -> Iterator[tuple[socket.socket, bytes]]:
    """A connection on which the API waits for the other half of a body, and that half."""
    body = msgspec.json.encode(columns_of(readings(600)))
    half = len(body) // 2
    head = (
        f"POST /api/workouts/{recording.workout_id}/telemetry HTTP/1.1\r\nHost: test\r\n"
        f"X-API-Key: {recording.rider.account.api_key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(address_of(system), timeout=PATIENCE) as connection:
        connection.sendall(head.encode() + body[:half])
        # Sent when the handler begins to read.
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield connection, body[half:]


def address_of(system: System) -> tuple[str, int]:
    parts = urlsplit(system.url)
    return parts.hostname or "", parts.port or 0


def test_an_api_told_to_stop_finishes_the_upload_under_way(system: System) -> None:
    api = system.start_api(SHUTDOWN_GRACE="60")
    recording = record(system.make_rider(), readings(60, 600))
    with half_an_upload(system, recording) as (connection, rest):
        api.terminate()
        system.await_log("api", "Waiting for connections to close")
        connection.sendall(rest)
        with connection.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 202 Accepted\r\n"
    recording.accepted.append(readings(600))
    assert api.wait(PATIENCE) == 0
    system.start_api()
    system.start_worker()
    recording.complete()
    assert_all_is_kept(system, recording)


@contextmanager
def unfinished_upload(system: System, recording: Recording) -> Iterator[None]:
    with half_an_upload(system, recording):
        yield


@contextmanager
def wait_for_a_fold(system: System, recording: Recording) -> Iterator[None]:
    """No worker is there to do it."""

    def complete() -> None:
        path = f"/api/workouts/{recording.workout_id}/complete"
        with suppress(httpx2.TransportError):  # no answer, or whatever one there is
            recording.rider.client.post(path, headers={"Prefer": "wait=30"})

    with ThreadPoolExecutor(1) as thread:
        thread.submit(complete)
        eventually(lambda: status_of(system, recording) == "PROCESSING")
        yield


@pytest.mark.parametrize("request_under_way", [unfinished_upload, wait_for_a_fold])
def test_a_request_that_does_not_end_cannot_keep_an_api_from_stopping(
    system: System,
    request_under_way: Callable[[System, Recording], AbstractContextManager[None]],
) -> None:
    """By itself, the wait would end after 30 s, and the upload later."""
    api = system.start_api(SHUTDOWN_GRACE="1", BODY_TIMEOUT="600")
    recording = record(system.make_rider(), readings(60, 600))
    with request_under_way(system, recording):
        api.terminate()
        assert api.wait(25) == 0
    system.start_api()
    system.start_worker()
    recording.complete()
    assert_all_is_kept(system, recording)


def test_no_acknowledged_batch_is_lost_when_an_api_is_told_to_stop_under_load(
    system: System,
) -> None:
    api = system.start_api()
    recordings = [record(system.make_rider(), readings(10)) for _ in range(4)]
    stopped = threading.Event()

    def keep_uploading(recording: Recording) -> None:
        begin = 10
        while not stopped.is_set():
            recording.insist(readings(10, begin))
            begin += 10

    with ThreadPoolExecutor(4) as threads:
        uploads = [threads.submit(keep_uploading, each) for each in recordings]
        eventually(lambda: all(len(each.accepted) > 20 for each in recordings))
        api.terminate()
        assert api.wait(PATIENCE) == 0
        system.start_api()
        done = [len(each.accepted) for each in recordings]
        eventually(
            lambda: all(
                len(each.accepted) > count for each, count in zip(recordings, done, strict=True)
            )
        )
        stopped.set()
        for upload in uploads:
            upload.result()
    system.start_worker()
    for recording in recordings:
        recording.complete()
    assert_all_is_kept(system, *recordings)


def test_a_request_whose_head_never_ends_is_closed_at_the_deadline(system: System) -> None:
    system.start_api(BODY_TIMEOUT="2")
    address = address_of(system)
    whole = b"GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n"

    def answers_to(sent: bytes) -> bytes:
        """What comes until the connection is closed."""
        with socket.create_connection(address, PATIENCE) as connection:
            connection.sendall(sent)
            with connection.makefile("rb") as received:
                return received.read()

    with ThreadPoolExecutor(3) as threads:
        nothing, part, one = threads.map(answers_to, (b"", whole[:14], whole + whole[:9]))
    assert (nothing, part) == (b"", b"")
    assert one.startswith(b"HTTP/1.1 200")
    assert one.count(b"HTTP/1.1") == 1
