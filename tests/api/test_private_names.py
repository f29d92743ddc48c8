"""What the service uses of other packages though it is not theirs to promise.

pyproject.toml holds these packages to one minor version. When a test here fails after an upgrade,
it names what has changed, and the module that has to follow.
"""

import asyncio
import re
from inspect import getsource, signature
from typing import Any

import redis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.ingest.redis_pipe import RedisPipe
from api.web.fast_lane import _Post
from shared.connections import open_async_redis
from shared.settings import Settings


def test_uvicorn_begins_each_cycle_by_a_method_that_the_fast_lane_overrides() -> None:
    """`api/web/fast_lane.py`: ``_start_asgi_task``, for a new request and for one that waited."""
    assert list(signature(HttpToolsProtocol._start_asgi_task).parameters) == [
        "self",
        "cycle",
        "app",
    ]
    for begins in (HttpToolsProtocol.on_headers_complete, HttpToolsProtocol.on_response_complete):
        assert "self._start_asgi_task(" in getsource(begins)
    assert "create_task" not in getsource(HttpToolsProtocol.on_headers_complete)


def test_uvicorn_queues_requests_that_wait_for_their_turn() -> None:
    """`api/web/fast_lane.py`: ``on_headers_complete`` queues those that the lane may take."""
    queued = getsource(HttpToolsProtocol.on_headers_complete)
    assert "self.pipeline.appendleft((self.cycle, app))" in queued
    assert "self.pipeline.pop()" in getsource(HttpToolsProtocol.on_response_complete)


def test_uvicorn_makes_a_scope_and_a_cycle_of_what_the_fast_lane_has_kept() -> None:
    """`api/web/fast_lane.py`: ``begin_cycle`` calls what the parser calls, later."""
    begun = getsource(HttpToolsProtocol.on_message_begin)
    for kept in ("self.url", "self.headers", "self.expect_100_continue", "self.scope"):
        assert f"{kept} = " in begun
    asked = re.findall(r"self\.parser\.(\w+)", getsource(HttpToolsProtocol.on_headers_complete))
    assert {*asked} <= {*dir(_Post)}


def test_uvicorn_asks_of_a_cycle_what_the_one_of_the_fast_lane_has() -> None:
    """`api/web/fast_lane.py`: ``_Post`` stands in place of a cycle."""
    asked = set(re.findall(r"self\.cycle\.(\w+)", getsource(HttpToolsProtocol)))
    assert asked <= {*dir(_Post)}
    assert re.findall(r"existing_cycle\.(\w+)", getsource(HttpToolsProtocol)) == [
        "response_complete"
    ]


def test_uvicorn_begins_a_request_by_no_more_than_what_the_fast_lane_does_of_a_known_head() -> None:
    """`api/web/fast_lane.py`: ``begin_known`` takes a request past ``data_received``."""
    received = getsource(HttpToolsProtocol.data_received)
    assert re.findall(r"self\.(\w+)\(", received.partition("try:")[0]) == [
        "_unset_keepalive_if_required"
    ]
    assert {"keep_alive", "response_complete"} <= {*RequestResponseCycle.__init__.__code__.co_names}


def test_a_cycle_of_uvicorn_has_what_the_fast_lane_sets() -> None:
    """`api/web/fast_lane.py`: ``_write`` does what ``send`` does of a whole answer."""
    names = {*RequestResponseCycle.__init__.__code__.co_names}
    taken_over = {"scope", "body", "more_body", "keep_alive", "disconnected", "message_event"}
    assert taken_over <= names
    sent = getsource(RequestResponseCycle.send)
    for done in ("self.response_complete = True", "self.transport.close()", "self.on_response()"):
        assert done in sent


def test_uvicorn_looks_at_headers_of_proxies_without_waiting_for_anything() -> None:
    """`api/web/layers.py` asks it outside of any task."""

    async def end(*_: Any) -> Any:
        """Nothing is asked."""

    scope: Any = {"type": "http", "client": ("10.0.0.7", 1), "scheme": "http"}
    scope["headers"] = [(b"x-forwarded-proto", b"https")]
    asking = ProxyHeadersMiddleware(end, ["10.0.0.7"])(scope, end, end)
    try:
        asking.send(None)
    except StopIteration:
        assert scope["scheme"] == "https"
    else:
        raise AssertionError("it waits for something")


def test_redis_py_has_replies_that_came_together_in_a_reader_of_its_parser(
    settings: Settings,
) -> None:
    """`api/ingest/stream_writer.py`: ``_replies`` reads them there."""

    async def read() -> list[Any]:
        async with open_async_redis(settings) as client:
            pool: Any = client.connection_pool
            connection = await pool.get_connection()
            await connection.send_packed_command(b"PING\r\nPING\r\n")
            first, gets = await connection.read_response(), connection._parser._reader.gets
            while (second := gets()) is NOT_ENOUGH_DATA:
                await connection._parser.read_from_socket()
            replies = [first, second, gets() is NOT_ENOUGH_DATA]
            await pool.release(connection)
            return replies

    assert asyncio.run(read()) == [b"PONG", b"PONG", True]


def test_redis_py_opens_a_connection_whose_socket_can_be_taken_over_and_given_back(
    settings: Settings,
) -> None:
    """`api/ingest/redis_pipe.py`: ``open``, and ``connection_lost`` for the driver to close it."""

    async def ping() -> list[Any]:
        replies, answered = list[Any](), asyncio.Event()

        def answer(given: list[Any] | Exception) -> None:
            replies.append(given)
            answered.set()

        async with asyncio.timeout(30), open_async_redis(settings) as client:
            pipe = RedisPipe(client, 5)
            await pipe.open()
            pipe.send(b"PING\r\nNONE\r\n", 2, answer)
            await answered.wait()
        assert not pipe.is_open
        return replies

    [[pong, error]] = asyncio.run(ping())
    assert pong == b"PONG"
    assert isinstance(error, redis.ResponseError)
