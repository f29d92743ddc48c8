"""Viewers whose servers fail: nothing is missing afterwards, and nobody waits for long."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.api.answers import T0, eventually, seconds_of
from tests.api.live.streams import Stream, live, watching
from tests.conftest import Rider
from tests.faults.system import System, most_memory
from tests.ops.live.test_watch import line_with
from tests.ops.live.test_watch import watching as watching_in_terminal


@pytest.fixture
def rider(system: System) -> Rider:
    system.start_api()
    return system.make_rider()


def send(rider: Rider, workout: str, begin: int, count: int = 1) -> int:
    """Seconds at 200 W, as a device sends them: again until they are taken; the last timestamp."""
    samples = seconds_of(200, count, T0 + 1000 * begin)
    eventually(lambda: rider.upload(workout, samples).status_code == 202)
    return T0 + 1000 * (begin + count - 1)


def times(stream: Stream) -> list[int]:
    return [(time - T0) // 1000 for time in sorted(stream.seen)]


def test_a_restart_of_redis_costs_a_viewer_nothing(system: System, rider: Rider) -> None:
    workout = rider.start()
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        stream.watch_until(send(rider, workout, 0))
        system.redis.stop()
        system.redis.start()
        stream.watch_until(send(rider, workout, 1, 5))
    assert times(stream) == list(range(6))


def test_an_empty_redis_costs_a_viewer_no_more_than_it_has_lost(
    system: System, rider: Rider
) -> None:
    workout = rider.start()
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        stream.watch_until(send(rider, workout, 0))
        system.redis_client.flushall()
        stream.watch_until(send(rider, workout, 1, 5))
    assert times(stream) == list(range(6))


def test_another_worker_publishes_the_figures_of_one_that_was_killed(
    system: System, rider: Rider
) -> None:
    system.start_worker()
    workout = rider.start()
    send(rider, workout, 0, 30)
    with watching(rider.client, live(workout)) as stream:
        assert stream.next("summary").data["through"] == T0 + 29_000
        system.kill_workers()
        last = send(rider, workout, 30, 30)
        system.start_worker()
        while stream.next("summary").data["through"] != last:
            pass
        rider.complete(workout)
        assert stream.next("end").data["summary"]["sampleCount"] == 60


def test_a_viewer_moves_on_to_another_process_without_a_gap(system: System, rider: Rider) -> None:
    system.start_worker()
    workout = rider.start()
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        stream.watch_until(send(rider, workout, 0, 10))
        system.kill_api()
        with pytest.raises(httpx2.TransportError):
            list(stream.events())
    system.start_api()
    send(rider, workout, 10, 10)
    with watching(rider.client, live(workout), stream.id) as next_stream:
        next_stream.watch_until(T0 + 19_000)
        next_stream.watch_until(send(rider, workout, 20))
    assert times(next_stream) == list(range(10, 21))


def test_who_watches_in_a_terminal_sees_all_of_it_although_the_api_is_killed(
    system: System, rider: Rider
) -> None:
    system.start_worker()
    workout = rider.start()
    send(rider, workout, 0, 10)
    with watching_in_terminal(rider, ID=workout) as watch:
        line_with(watch, "Watching")
        system.kill_api()
        line_with(watch, "trying again")
        system.start_api()
        rider.upload(workout, seconds_of(333, 1, T0 + 10_000))
        assert "333 W" in line_with(watch, "behind")
        rider.complete(workout)
        assert "11 samples" in line_with(watch, "COMPLETED")
        assert watch.wait(30) == 0


def test_a_frozen_postgresql_holds_no_samples_up(system: System, rider: Rider) -> None:
    workout = rider.start()
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        stream.watch_until(send(rider, workout, 0))
        system.postgres_proxy.freeze()
        stream.watch_until(send(rider, workout, 1, 3))
        system.postgres_proxy.restore()
    assert times(stream) == list(range(4))


@contextmanager
def deaf_viewers(system: System, rider: Rider, workout: str, count: int) -> Iterator[None]:
    """Viewers that read the head of their streams and nothing more."""
    head = f"GET {live(workout)} HTTP/1.1\r\nHost: x\r\nX-API-Key: {rider.account.api_key}\r\n\r\n"
    host, port = system.url.removeprefix("http://").split(":")
    sockets = []
    try:
        for _ in range(count):
            opened = socket.socket()
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            opened.connect((host, int(port)))
            sockets.append(opened)
            opened.sendall(head.encode())
            assert opened.recv(12) == b"HTTP/1.1 200"
        yield
    finally:
        for each in sockets:
            each.close()


def test_viewers_that_do_not_read_cost_little_and_others_nothing(
    system: System, rider: Rider
) -> None:
    api = system.api
    assert api is not None
    workout = rider.start()
    with watching(rider.client, live(workout)) as stream:
        stream.await_id()
        stream.watch_until(send(rider, workout, 0))
        before = most_memory(api)
        with deaf_viewers(system, rider, workout, 40):
            at = 1
            for _ in range(40):
                stream.watch_until(send(rider, workout, at, 5000))
                at += 5000
        # 40 × 5,000 samples of 20 bytes and more would be 160 MB for 40 viewers.
        assert most_memory(api) - before < 60_000  # KiB
    assert len(stream.seen) == at
