"""The only writer of streams, against a real Redis."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import msgspec
import pytest
import uvloop
from redis.asyncio.connection import AbstractConnection

from api.ingest.batch import Limits
from api.ingest.epochs import Epochs
from api.ingest.node_writer import Append, Held, NodeWriter, NotRight, place_of, settle
from api.ingest.parsing import read_fast
from api.ingest.stream_writer import StreamWriter
from api.ingest.table import Rows
from api.web.body import JSON
from api.web.problems import NotFound
from shared.connections import Redis, open_async_redis
from shared.errors import ServiceUnavailable
from shared.events import FoldRequest
from shared.redis_keys import BATCH_FIELD, DUE, Queue, samples_key, sealed_key
from shared.settings import Settings, read_settings
from tests.api.answers import T0

T = TypeVar("T")
LIMIT = 1_000_000
NOW = Limits.at(T0, 100)
GONE = read_settings({"DATABASE_URL": "postgresql://none", "REDIS_URL": "redis://127.0.0.1:1"})


def write(
    settings: Settings,
    writing: Callable[[StreamWriter], Awaitable[T]],
    limit: int = LIMIT,
    time_limit: float = 5,
) -> T:
    async def run() -> T:
        epochs = Epochs()
        opened = open_async_redis(settings, bounded=False, greet=epochs.greet)
        async with asyncio.timeout(30), opened as client:
            return await writing(StreamWriter(client, epochs, limit, time_limit))

    return asyncio.run(run())


def stored(redis: Redis, workout: UUID) -> list[bytes]:
    entries: Any = redis.xrange(samples_key(workout))
    return [fields[BATCH_FIELD] for _, fields in entries]


def folds_asked_for(redis: Redis) -> list[UUID]:
    events: Any = redis.xrange(Queue.PROMPT)
    return [FoldRequest.from_fields(fields).workout_id for _, fields in events]


def test_a_batch_is_stored_and_asks_for_nothing(settings: Settings, redis_client: Redis) -> None:
    workout = uuid4()
    write(settings, lambda writer: writer.append(workout, b"batch", finished=False))
    assert stored(redis_client, workout) == [b"batch"]
    assert folds_asked_for(redis_client) == []


def test_batches_of_many_requests_at_once_are_all_stored_in_order(
    settings: Settings, redis_client: Redis
) -> None:
    rides = [uuid4() for _ in range(3)]
    batches = [(rides[nth % 3], str(nth).encode()) for nth in range(2000)]  # several pipelines

    async def append_all(writer: StreamWriter) -> None:
        await asyncio.gather(
            *(writer.append(workout, batch, finished=False) for workout, batch in batches)
        )

    write(settings, append_all)
    for ride in rides:
        assert stored(redis_client, ride) == [
            batch for workout, batch in batches if workout == ride
        ]


def test_a_batch_of_a_ride_known_to_be_over_makes_it_due(
    settings: Settings, redis_client: Redis
) -> None:
    workout = uuid4()
    write(settings, lambda writer: writer.append(workout, b"late", finished=True))
    assert redis_client.zrange(DUE, 0, -1) == [str(workout).encode()]
    assert folds_asked_for(redis_client) == []


def test_late_batches_that_cannot_be_noted_hold_up_no_others(
    settings: Settings, redis_client: Redis
) -> None:
    """Who notes them may be another server than the one that has them."""
    late, others = uuid4(), [uuid4() for _ in range(3)]

    async def write_all() -> None:
        noted = asyncio.Event()

        async def note_late(_: set[UUID]) -> None:
            await noted.wait()
            raise ServiceUnavailable("not even then")

        epochs, held = Epochs(), Held(LIMIT)
        opened = open_async_redis(settings, bounded=False, greet=epochs.greet)
        async with asyncio.timeout(30), opened as client:
            node = NodeWriter(client, epochs, 5, held, note_late)

            def append(ride: UUID, *, finished: bool = False) -> asyncio.Future[str]:
                done = asyncio.get_running_loop().create_future()
                held.size += 5
                settled = partial(settle, done)
                node.add(Append(place_of(ride), b"batch", 5, finished, settled))
                return done

            waiting = append(late, finished=True)
            await append(others[0])  # of the same group
            await append(others[1])  # of the next one
            assert not waiting.done()
            noted.set()
            with pytest.raises(ServiceUnavailable):
                await waiting
            await append(others[2])
            assert held.size == 0

    asyncio.run(write_all())
    assert [stored(redis_client, each) for each in (late, *others)] == [[b"batch"]] * 4


def test_a_completion_asks_for_the_last_fold_and_a_later_batch_makes_the_ride_due(
    settings: Settings, redis_client: Redis
) -> None:
    workout, other = uuid4(), uuid4()

    async def complete_and_append(writer: StreamWriter) -> None:
        await writer.announce_completion(workout)
        await writer.append(workout, b"late", finished=False)
        await writer.append(other, b"live", finished=False)

    write(settings, complete_and_append)
    assert folds_asked_for(redis_client) == [workout]
    assert redis_client.zrange(DUE, 0, -1) == [str(workout).encode()]
    assert stored(redis_client, workout) == [b"late"]


def test_a_seal_goes_away_by_itself_some_day(settings: Settings, redis_client: Redis) -> None:
    workout = uuid4()
    write(settings, lambda writer: writer.announce_completion(workout))
    assert 3600 < redis_client.ttl(sealed_key(workout)) <= 24 * 3600


def test_what_cannot_be_announced_is_logged_and_stays_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workout = uuid4()

    async def announce_all(writer: StreamWriter) -> None:
        await writer.announce_completion(workout)
        await writer.announce_deletion(workout)

    write(GONE, announce_all)
    assert [message.partition(", but")[0] for message in caplog.messages] == [
        f"completed {workout}",
        f"deleted {workout}",
    ]


@pytest.mark.parametrize("finished", [False, True])
def test_a_batch_for_a_deleted_workout_is_refused_in_every_process(
    settings: Settings, redis_client: Redis, finished: bool
) -> None:
    workout = uuid4()
    write(settings, lambda writer: writer.announce_deletion(workout))
    with pytest.raises(NotFound, match=r"^no such workout$"):
        write(settings, lambda writer: writer.append(workout, b"x", finished=finished))


def test_one_deleted_workout_does_not_hold_up_the_others(
    settings: Settings, redis_client: Redis
) -> None:
    gone, there = uuid4(), uuid4()

    async def append_both(writer: StreamWriter) -> list[Any]:
        await writer.announce_deletion(gone)
        appending = [
            writer.append(workout, batch, finished=False)
            for workout, batch in ((gone, b"x"), (there, b"y"))
        ]
        return await asyncio.gather(*appending, return_exceptions=True)

    refused, done = write(settings, append_both)
    assert isinstance(refused, NotFound)
    assert isinstance(done, str)
    assert stored(redis_client, there) == [b"y"]


def test_more_bytes_than_may_wait_are_refused_at_once(
    settings: Settings, redis_client: Redis
) -> None:
    workout = uuid4()

    async def append_three(writer: StreamWriter) -> list[Any]:
        batches = (bytes(60), bytes(60), bytes(40))
        answers = await asyncio.gather(
            *(writer.append(workout, batch, finished=False) for batch in batches),
            return_exceptions=True,
        )
        await writer.append(workout, bytes(100), finished=False)  # they wait no longer
        return answers

    first, second, third = write(settings, append_three, limit=100)
    assert isinstance(first, str)
    assert isinstance(third, str)
    assert isinstance(second, ServiceUnavailable)
    assert [len(batch) for batch in stored(redis_client, workout)] == [60, 40, 100]


def test_an_error_in_packing_leaves_its_rows_unstored_and_the_writer_working(
    settings: Settings, redis_client: Redis
) -> None:
    """One has fewer bytes than its rows take, as none that was parsed has."""
    workout = uuid4()
    right = read_fast(
        b'[{"timestamp":%d,"power":1},{"timestamp":%d,"power":2}]' % (T0, T0), JSON, NOW
    )
    assert isinstance(right, Rows)
    wrong = msgspec.structs.replace(right, samples=3, encoded=b"short")

    async def append_all(writer: StreamWriter) -> list[Any]:
        told = list[Any]()
        for rows in (wrong, right):
            writer.add(place_of(workout), rows, rows.most_bytes, told.append, finished=False)
        await writer.append(workout, b"bytes", finished=False)
        return told

    told = write(settings, append_all)
    assert [type(each) for each in told] == [NotRight, NotRight]
    assert stored(redis_client, workout) == [b"bytes"]


def test_large_batches_of_one_moment_are_packed_a_few_at_a_time(
    settings: Settings, redis_client: Redis
) -> None:
    """Of half a megabyte each; else what comes meanwhile would wait for all of them."""
    workout = uuid4()
    samples = ",".join(f'{{"timestamp":{T0},"power":{nth % 9}}}' for nth in range(30_000))
    body, limits = f"[{samples}]".encode(), Limits.at(T0, 30_000)

    async def append_all(writer: StreamWriter) -> int:
        told = list[Any]()
        batches = [read_fast(body, JSON, limits) for _ in range(6)]
        for rows in batches:
            assert isinstance(rows, Rows)
            writer.add(place_of(workout), rows, rows.most_bytes, told.append, finished=False)
        await asyncio.sleep(0)  # in which they begin to be written
        packed = sum(bool(rows.entry) for rows in batches if isinstance(rows, Rows))
        while len(told) < len(batches):
            await asyncio.sleep(0)
        return packed

    # An entry of 30,000 samples may have 480,020 bytes, and a megabyte is passed by the third.
    assert write(settings, append_all, limit=10 * LIMIT) == 3
    assert len(stored(redis_client, workout)) == 6


def test_every_waiting_request_hears_that_redis_is_gone() -> None:
    async def append_many(writer: StreamWriter) -> list[Any]:
        return await asyncio.gather(
            *(writer.append(uuid4(), bytes(10), finished=False) for _ in range(20)),
            return_exceptions=True,
        )

    answers = write(GONE, append_many, limit=200)
    assert [type(answer) for answer in answers] == [ServiceUnavailable] * 20


def test_a_request_given_up_leaves_the_writer_working(
    settings: Settings, redis_client: Redis
) -> None:
    workout = uuid4()

    async def give_up_one(writer: StreamWriter) -> None:
        given_up = asyncio.create_task(writer.append(workout, b"1", finished=False))
        await asyncio.sleep(0)
        given_up.cancel()
        await writer.append(workout, b"2", finished=False)

    write(settings, give_up_one)
    assert stored(redis_client, workout) == [b"1", b"2"]


@pytest.mark.parametrize("is_right", [True, False])
def test_a_request_that_cannot_be_answered_leaves_the_writer_working(
    settings: Settings, redis_client: Redis, *, is_right: bool
) -> None:
    workout, body = uuid4(), b'[{"timestamp":%d,"power":1}]' % (T0 if is_right else 2 * T0)

    async def append_beside(writer: StreamWriter) -> list[str]:
        rows = read_fast(body, JSON, NOW)
        assert isinstance(rows, Rows)

        def fail(_: str | Exception) -> None:
            raise RuntimeError("the connection is closed")

        writer.add(place_of(workout), rows, 100, fail, finished=False)
        told = [writer.append(workout, batch, finished=False) for batch in (b"1", b"2")]
        return [*await asyncio.gather(*told), await writer.append(workout, b"3", finished=False)]

    assert len(write(settings, append_beside)) == 3
    assert stored(redis_client, workout)[-3:] == [b"1", b"2", b"3"]


def test_a_lost_connection_fails_at_most_the_group_that_is_under_way(
    settings: Settings, redis_client: Redis
) -> None:
    workout = uuid4()

    async def append_around_a_loss(writer: StreamWriter) -> None:
        await writer.append(workout, b"1", finished=False)
        redis_client.client_kill_filter(_type="normal", skipme=True)
        with suppress(ServiceUnavailable):  # unless the loss is noticed before it is sent
            await writer.append(workout, b"2", finished=False)
        await writer.append(workout, b"3", finished=False)

    write(settings, append_around_a_loss)
    assert stored(redis_client, workout)[-1] == b"3"


def test_a_connection_that_is_lost_as_it_opens_leaves_the_writer_working(
    settings: Settings, redis_client: Redis
) -> None:
    workout, epochs, greeted = uuid4(), Epochs(), list[Any]()

    async def greet(connection: AbstractConnection) -> None:
        await epochs.greet(connection)
        greeted.append(connection)
        if len(greeted) == 2:
            greeted[-1]._writer.transport.abort()
            for _ in range(5):  # until it is closed
                await asyncio.sleep(0)

    async def append_around_losses() -> None:
        opened = open_async_redis(settings, bounded=False, greet=greet)
        async with asyncio.timeout(10), opened as client:
            writer = StreamWriter(client, epochs, LIMIT, 60)
            await writer.append(workout, b"1", finished=False)
            greeted[0]._writer.transport.abort()
            with pytest.raises(ServiceUnavailable):
                await writer.append(workout, b"2", finished=False)
            await writer.append(workout, b"3", finished=False)

    uvloop.run(append_around_losses())
    assert stored(redis_client, workout) == [b"1", b"3"]


def test_a_redis_that_does_not_answer_is_given_up_in_time() -> None:
    async def append(writer: StreamWriter) -> str:
        return await writer.append(uuid4(), b"1", finished=False)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        told = {"DATABASE_URL": "postgresql://none", "REDIS_URL": address}
        with pytest.raises(ServiceUnavailable):
            write(read_settings(told), append, time_limit=0.1)


def test_an_answer_that_needs_no_epoch_has_none_while_redis_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        told = read_settings({"DATABASE_URL": "postgresql://none", "REDIS_URL": address})
        epoch = write(told, lambda writer: writer.epoch_if_known(uuid4()), time_limit=0.1)
    assert epoch is None
