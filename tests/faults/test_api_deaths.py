"""API processes that are killed between two steps, or told to stop with requests under way."""

import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from tests.faults.invariants import assert_all_is_kept, make_overdue, status_of
from tests.faults.recordings import Recording, columns_of, readings, record
from tests.faults.system import System
from tests.worker.waiting import eventually

GRACE = 2


def test_a_completion_that_was_committed_but_never_announced_is_carried_out(
    system: System,
) -> None:
    api = system.start_api(FAILPOINT="after-processing=kill")
    recording = record(system.make_rider(), readings(600))
    with pytest.raises(httpx.TransportError):
        recording.complete()
    assert api.wait() == -signal.SIGKILL
    assert status_of(system, recording) == "PROCESSING"
    assert system.redis_client.xlen("events") == 0
    system.start_worker()
    make_overdue(system)
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


def test_samples_uploaded_after_an_unannounced_completion_count(system: System) -> None:
    """The fold seals the ride before it reads, so that no process forgets to ask for another."""
    system.start_api(FAILPOINT="after-processing=kill")
    recording = record(system.make_rider(), readings(600))
    with pytest.raises(httpx.TransportError):
        recording.complete()
    system.start_api()
    recording.upload(readings(60, 600))
    system.start_worker()
    make_overdue(system)
    assert_all_is_kept(system, recording)
    recording.upload(readings(60, 660))
    assert_all_is_kept(system, recording)


def test_a_batch_whose_acknowledgement_was_never_sent_counts_once(system: System) -> None:
    system.start_api(FAILPOINT="after-append=kill")
    recording = record(system.make_rider())
    with pytest.raises(httpx.TransportError):
        recording.send(readings(600))
    system.start_api()
    recording.upload(readings(600), readings(60, 600))
    system.start_worker()
    recording.complete()
    assert_all_is_kept(system, recording)


def slow_upload(system: System, recording: Recording) -> tuple[socket.socket, bytes]:
    """A connection on which half of an upload was sent, and the other half."""
    body = msgspec.json.encode(columns_of(readings(600)))
    half = len(body) // 2
    head = (
        f"POST /api/workouts/{recording.workout_id}/telemetry HTTP/1.1\r\nHost: test\r\n"
        f"X-API-Key: {recording.rider.account.api_key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    parts = urlsplit(system.url)
    connection = socket.create_connection((parts.hostname, parts.port or 0), timeout=20)
    connection.sendall(head.encode() + body[:half])
    return connection, body[half:]


def await_log(system: System, text: str) -> None:
    eventually(lambda: text in system.log_of("api"))


def test_an_api_told_to_stop_finishes_the_upload_under_way(system: System) -> None:
    api = system.start_api()
    recording = record(system.make_rider(), readings(60, 600))
    connection, rest = slow_upload(system, recording)
    with connection:
        time.sleep(0.2)  # for the half to arrive: nothing tells when it has
        api.terminate()
        await_log(system, "Waiting for connections to close")
        connection.sendall(rest)
        assert connection.recv(4096).startswith(b"HTTP/1.1 202")
    recording.accepted.append(readings(600))
    assert api.wait(20) == 0
    system.start_api()
    system.start_worker()
    recording.complete()
    assert_all_is_kept(system, recording)


def test_an_upload_that_does_not_end_cannot_keep_an_api_from_stopping(system: System) -> None:
    api = system.start_api(SHUTDOWN_GRACE=str(GRACE))
    recording = record(system.make_rider(), readings(60, 600))
    connection, _ = slow_upload(system, recording)
    with connection:
        time.sleep(0.2)
        api.terminate()
        assert api.wait(GRACE + 10) == 0
    system.start_api()
    system.start_worker()
    recording.complete()
    assert_all_is_kept(system, recording)


def test_a_request_that_waits_for_a_fold_cannot_keep_an_api_from_stopping(system: System) -> None:
    api = system.start_api(SHUTDOWN_GRACE=str(GRACE))
    recording = record(system.make_rider(), readings(600))
    path = f"/api/workouts/{recording.workout_id}/complete"
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(
            lambda: recording.rider.client.post(path, headers={"Prefer": "wait=30"})
        )
        eventually(lambda: status_of(system, recording) == "PROCESSING")
        api.terminate()
        assert api.wait(GRACE + 10) == 0
        with pytest.raises((httpx.TransportError, AssertionError)):
            assert answer.result().status_code == 200
    system.start_worker()
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
        assert api.wait(20) == 0
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
    system.start_api(BODY_TIMEOUT="1")
    address = urlsplit(system.url)
    whole = b"GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n"
    for sent in (b"", b"GET /health/li", whole + b"GET /heal"):
        with socket.create_connection((address.hostname, address.port), 20) as connection:
            connection.sendall(sent)
            received = b""
            while data := connection.recv(1000):  # until it is closed
                received += data
            assert received.startswith(b"HTTP/1.1 200") == sent.startswith(whole)
