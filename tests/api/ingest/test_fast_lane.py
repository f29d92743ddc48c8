"""Uploads in the fast lane are answered as by the usual way, and what it does not take is left."""

import gzip
import json
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx2
import msgspec
import pytest
import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from api.__main__ import configure
from api.app import create_app
from ops.admin.accounts import create_account
from shared.connections import open_redis
from shared.credentials import key_id_of
from shared.redis_keys import DUE, sealed_key
from shared.settings import Settings
from tests.api.answers import T0, eventually

GOOD = b'[{"timestamp":%d,"power":210}]' % T0
MANY = json.dumps([{"timestamp": T0 + 1000 * at, "power": at} for at in range(60)]).encode()
VARIES = re.compile(rb'(?<=\r\ndate: )[^\r]+|(?<=;[rt]=)\d+|(?<="epoch":")\w+')
HEAD = re.compile(rb"HTTP/1\.1 [2-5]\d\d ")


class Counted:
    """An application, and how many requests have come to it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        self.requests += scope["type"] == "http"
        await self._app(scope, receive, send)


@dataclass
class Way:
    """An API with the lane, or without; a ride of its own, whose first batches are past."""

    app: Counted
    server: uvicorn.Server
    address: tuple[str, int]
    key: str = ""
    ride: str = ""

    def request(self, *headers: bytes, body: bytes = GOOD, **changed: Any) -> bytes:
        """An upload, of the headers ``%k`` for the key and, unless there is one, the length."""
        ride = changed.get("ride", self.ride)
        path = changed.get("path", f"/api/workouts/{ride}/telemetry")
        lines = [header.replace(b"%k", self.key.encode()) for header in headers]
        if not any(each.lower().startswith((b"content-length", b"transfer")) for each in lines):
            lines.append(b"Content-Length: %d" % len(body))
        start = f"{changed.get('method', 'POST')} {path} HTTP/{changed.get('version', '1.1')}"
        return b"\r\n".join([start.encode(), b"Host: x", *lines, b"", body])

    def ask(self, *pieces: bytes, answers: int = 1) -> bytes:
        """What is answered, but for what depends on the moment. Pieces arrive one by one."""
        with socket.create_connection(self.address, timeout=60) as connection:
            before = self.app.requests
            for piece in pieces[:-1]:
                connection.sendall(piece)
                eventually(lambda: self._has_some(connection) or self.app.requests > before)
            connection.sendall(pieces[-1])
            return read_answers(connection, answers)

    def count(self, *pieces: bytes, answers: int = 1) -> int:
        """How many requests come to the application."""
        before = self.app.requests
        self.ask(*pieces, answers=answers)
        return self.app.requests - before

    def of(self, connection: socket.socket) -> Any:
        """What serves a connection; None before it is accepted."""
        peers: Any = self.server.server_state.connections
        ours = (each for each in peers if each.client == connection.getsockname())
        return next(ours, None)

    def _has_some(self, connection: socket.socket) -> bool:
        serving = self.of(connection)
        return bool(serving and serving.cycle and serving.cycle.body)


def read_answers(connection: socket.socket, count: int) -> bytes:
    """So many answers, but for what depends on the moment."""
    received = b""
    while not _are_whole(received, count) and (data := connection.recv(65_536)):
        received += data
    return VARIES.sub(b"", received)


def _are_whole(received: bytes, count: int) -> bool:
    answers = HEAD.split(received)[1:]
    if len(answers) < count:
        return False
    head, _, body = answers[-1].partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


@contextmanager
def serving(settings: Settings) -> Iterator[Way]:
    """An API in a thread."""
    app = Counted(create_app(settings))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(configure(app, settings))
        thread = threading.Thread(target=lambda: uvloop.run(server.serve([listener])))
        thread.start()
        try:
            eventually(lambda: server.started)
            yield Way(app, server, listener.getsockname())
        finally:
            server.should_exit = True
            thread.join()


def begin(way: Way, database_url: str) -> None:
    """Have a rider and a ride, whose first three batches the usual way has taken."""
    email = f"{secrets.token_hex(6)}@example.com"
    way.key = create_account(database_url, email, "test").api_key
    base = "http://{}:{}".format(*way.address)
    with httpx2.Client(base_url=base, headers={"X-API-Key": way.key}, timeout=60) as client:
        way.ride = client.post("/api/workouts", json={}).json()["workout"]["id"]
        for _ in range(3):
            client.post(f"/api/workouts/{way.ride}/telemetry", content=GOOD)


@contextmanager
def both(settings: Settings, **changed: Any) -> Iterator[tuple[Way, Way]]:
    """With the lane, and without."""
    with ExitStack() as stack:
        replaced = [msgspec.structs.replace(settings, fast_lane=on, **changed) for on in (1, 0)]
        fast, usual = (stack.enter_context(serving(each)) for each in replaced)
        for way in (fast, usual):
            begin(way, settings.database_url)
        yield fast, usual


@pytest.fixture(scope="module")
def ways(settings: Settings) -> Iterator[tuple[Way, Way]]:
    with both(settings) as ways:
        yield ways


KEY = b"X-API-Key: %k"
CHUNKED = b"Transfer-Encoding: chunked"
ONE_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
# What devices send, which the lane takes.
TAKEN: dict[str, tuple[Sequence[bytes], dict[str, Any]]] = {
    "a key": ([KEY], {}),
    "a bearer": ([b"Authorization: Bearer %k"], {}),
    "a bearer in lower case": ([b"authorization: bearer  %k "], {}),
    "a bearer, and another key": ([b"Authorization: Bearer %k", b"X-API-Key: x"], {}),
    "another scheme beside a key": ([b"Authorization: Basic eDp5", KEY], {}),
    "two keys, the first of which counts": ([KEY, b"X-API-Key: x"], {}),
    "a media type": ([KEY, b"Content-Type: application/json"], {}),
    "a media type with parameters": ([KEY, b"Content-Type: Application/JSON; charset=utf-8"], {}),
    "lines": ([KEY, b"Content-Type: application/x-ndjson"], {"body": GOOD[1:-1]}),
    "an object": ([KEY], {"body": b'{"samples":%s}' % GOOD}),
    "columns": ([KEY], {"body": b'{"timestamp":[%d],"power":[210]}' % T0}),
    "sixty samples": ([KEY], {"body": MANY}),
    "members that nobody knows": ([KEY], {"body": GOOD[:-2] + ',"é":"\\""}]'.encode()}),
    "the last request": ([KEY, b"Connection: close"], {}),
    "an older version": ([KEY], {"version": "1.0"}),
    "chunks": ([KEY, CHUNKED], {"body": ONE_CHUNK}),
    "chunks and trailers": ([KEY, CHUNKED], {"body": ONE_CHUNK[:-2] + b"X-API-Key: x\r\n\r\n"}),
    "headers of a proxy": ([KEY, b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: https"], {}),
    "a path in percents": ([KEY], {"path": "/api/workouts/%s/%74elemetry"}),
}
# What the usual way alone answers.
LEFT: dict[str, tuple[Sequence[bytes], dict[str, Any]]] = {
    "no key": ([], {}),
    "a blank bearer": ([b"Authorization: Bearer  ", KEY], {}),
    "a wrong key": ([KEY + b"x"], {}),
    "a key in the query": ([KEY], {"path": "/api/workouts/%s/telemetry?apiKey=x"}),
    "a query": ([KEY], {"path": "/api/workouts/%s/telemetry?a=b"}),
    "another method": ([KEY], {"method": "PUT"}),
    "another ride": ([KEY], {"ride": "00000000-0000-4000-8000-000000000000"}),
    "no ride": ([KEY], {"ride": "x"}),
    "a stream": ([KEY], {"path": "/api/workouts/stream/telemetry"}),
    "a preference": ([KEY, b"Prefer: handling=lenient"], {}),
    "an origin": ([KEY, b"Origin: https://example.com"], {}),
    "another media type": ([KEY, b"Content-Type: text/csv"], {}),
    "another encoding": ([KEY, b"Content-Encoding: br"], {}),
    "gzip": ([KEY, b"Content-Encoding: gzip"], {"body": gzip.compress(GOOD, mtime=0)}),
    "no samples": ([KEY], {"body": b"[]"}),
    "no body": ([KEY], {"body": b""}),
    "no JSON": ([KEY], {"body": b"["}),
    "no UTF-8": ([KEY], {"body": b'[{"timestamp":%d,"x":"\xff"}]' % T0}),
    "a NUL": ([KEY], {"body": b'[{"timestamp":%d,"x":"\\u0000"}]' % T0}),
    "a value out of bounds": ([KEY], {"body": GOOD.replace(b"210", b"-1")}),
    "no channel": ([KEY], {"body": GOOD.replace(b"power", b"watts")}),
    "a time far ahead": ([KEY], {"body": b'[{"timestamp":99999999999999}]'}),
    "a time that is none": ([KEY], {"body": b'[{"timestamp":99999999999999999999999}]'}),
    "too large a body": ([KEY, b"Content-Length: 99999999"], {"body": b""}),
}


def sent(way: Way, row: tuple[Sequence[bytes], dict[str, Any]]) -> bytes:
    headers, changed = row
    path = {"path": changed["path"].replace("%s", way.ride)} if "path" in changed else {}
    return way.request(*headers, **{**changed, **path})


@pytest.mark.parametrize("row", [*TAKEN, *LEFT])
def test_both_ways_answer_alike(ways: tuple[Way, Way], row: str) -> None:
    fast, usual = (way.ask(sent(way, {**TAKEN, **LEFT}[row])) for way in ways)
    assert fast == usual
    assert HEAD.match(fast)


@pytest.mark.parametrize("row", [*TAKEN, *LEFT])
def test_the_lane_takes_what_is_right_and_leaves_the_rest(ways: tuple[Way, Way], row: str) -> None:
    assert ways[0].count(sent(ways[0], {**TAKEN, **LEFT}[row])) == (row in LEFT)
    assert ways[1].count(sent(ways[1], {**TAKEN, **LEFT}[row])) == 1


def upload_many(way: Way, count: int) -> list[bytes]:
    bodies = (b'[{"timestamp":%d}]' % (T0 + 1000 * at) for at in range(count))
    return [way.request(KEY, body=body) for body in bodies]


def test_requests_in_one_piece_are_answered_in_their_order(ways: tuple[Way, Way]) -> None:
    for way in ways:
        received = way.ask(b"".join(upload_many(way, 20)), answers=20)
        through = [int(time) for time in re.findall(rb'receivedThrough":(\d+)', received)]
        assert through == [T0 + 1000 * at for at in range(20)]
    assert ways[0].count(b"".join(upload_many(ways[0], 20)), answers=20) == 0


def test_a_refusal_among_requests_in_one_piece_keeps_its_place(ways: tuple[Way, Way]) -> None:
    def mixed(way: Way) -> bytes:
        one, two = upload_many(way, 2)
        return b"".join([one, way.request(KEY, body=b"["), two, way.request(method="GET"), one])

    fast, usual = (way.ask(mixed(way), answers=5) for way in ways)
    assert fast == usual
    assert [each[9:12] for each in HEAD.findall(fast)] == [b"202", b"400", b"202", b"401", b"202"]


def test_a_connection_that_closes_before_an_answer_holds_up_no_other_upload(
    ways: tuple[Way, Way], settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """It closes as what comes behind two uploads is no request, while Redis takes the first."""
    way = ways[0]
    upload = way.request(KEY)
    with open_redis(settings) as redis, ExitStack() as stack:
        one, other = (
            stack.enter_context(socket.create_connection(way.address, timeout=60)) for _ in range(2)
        )
        redis.client_pause(60_000, all=False)
        stack.callback(redis.client_unpause)
        one.sendall(upload + upload + b"x\r\n\r\n")
        assert read_answers(one, 1).startswith(b"HTTP/1.1 400 ")
        assert one.recv(1) == b""
        other.sendall(upload)
        eventually(lambda: way.of(other).cycle)
        redis.client_unpause()
        assert read_answers(other, 1).startswith(b"HTTP/1.1 202 ")
    assert way.ask(upload).startswith(b"HTTP/1.1 202 ")
    assert "could not tell" not in caplog.text


def test_an_upload_is_not_told_to_continue_for_one_behind_it(ways: tuple[Way, Way]) -> None:
    late = GOOD.replace(b"%d" % T0, b"99999999999999")  # seen after the next head has come

    def both_at_once(way: Way) -> bytes:
        expecting = way.request(KEY, b"Expect: 100-continue")
        return way.ask(way.request(KEY, body=late) + expecting, answers=2)

    fast, usual = map(both_at_once, ways)
    assert fast == usual
    assert fast.startswith(b"HTTP/1.1 422 ")


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_a_body_in_pieces_is_held(ways: tuple[Way, Way], framing: str) -> None:
    for way in ways:
        whole = way.request(KEY, body=MANY)
        if framing == "chunked":
            whole = way.request(KEY, CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(MANY), MANY))
        before = way.app.requests
        received = way.ask(whole[:400], whole[400:900], whole[900:])
        assert b'"accepted":60' in received
        assert way.app.requests - before == (way is ways[1])


def test_a_body_that_does_not_come_is_left_to_the_usual_way_soon(ways: tuple[Way, Way]) -> None:
    way = ways[0]
    whole, before = way.request(KEY, body=MANY), way.app.requests
    with socket.create_connection(way.address, timeout=60) as connection:
        connection.sendall(whole[:400])
        eventually(lambda: way.app.requests == before + 1)
        connection.sendall(whole[400:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")
    assert way.count(way.request(KEY)) == 0


def test_more_of_a_body_than_is_read_ahead_is_left_to_the_usual_way(ways: tuple[Way, Way]) -> None:
    spaced = b"[" + b" " * 100_000 + GOOD[1:]
    whole = ways[0].request(KEY, body=spaced)
    before = ways[0].app.requests
    assert b'"accepted":1' in ways[0].ask(whole[:-10], whole[-10:])
    assert ways[0].app.requests == before + 1


def test_the_first_batches_of_a_ride_are_told_which_members_nobody_knows(
    settings: Settings,
) -> None:
    with both(settings) as ways:
        for way in ways:
            begin(way, settings.database_url)
            base = "http://{}:{}".format(*way.address)
            client = httpx2.Client(base_url=base, headers={"X-API-Key": way.key}, timeout=60)
            way.ride = client.post("/api/workouts", json={}).json()["workout"]["id"]
            client.close()
        answers = [
            [way.ask(way.request(KEY, body=GOOD[:-2] + b',"x":1}]')) for _ in range(4)]
            for way in ways
        ]
    assert answers[0] == answers[1]
    assert [b"ignored" in each for each in answers[0]] == [True, True, True, False]


def test_a_deleted_ride_is_answered_as_by_the_usual_way_and_counts_for_nothing(
    ways: tuple[Way, Way], settings: Settings
) -> None:
    with open_redis(settings) as redis:
        for way in ways:
            redis.set(sealed_key(way.ride), b"deleted")
        fast, usual = (way.ask(way.request(KEY)) for way in ways)
        for way in ways:
            redis.delete(sealed_key(way.ride))
    assert fast == usual
    assert fast.startswith(b"HTTP/1.1 404 ")


def test_no_bound_is_wider_in_the_lane(settings: Settings) -> None:
    """Each upload is of five samples, over 120 bytes that become 20, after three uploads of one."""
    five = json.dumps([{"timestamp": T0 + at} for at in range(5)], separators=(",", ":")).encode()
    for name, value, status in (
        ("max_ride_samples", 10, b"409"),
        ("max_waiting_bytes", 70, b"429"),
        ("max_pending_bytes", 10, b"503"),
        ("max_held_bytes", 120, b"503"),
        ("max_body_bytes", 120, b"413"),
        ("max_batch_samples", 4, b"413"),
    ):
        with both(settings, **{name: value}) as ways:
            fast, usual = ([way.ask(way.request(KEY, body=five)) for _ in range(2)] for way in ways)
            assert fast == usual
            assert fast[-1][9:12] == status, name


LAYERS: list[dict[str, Any]] = [
    {"cors_origins": ("https://a.example", "https://b.example")},
    {"cors_origins": ("*",)},
    {"trusted_proxies": ("127.0.0.1",)},
    {"trusted_proxies": ("127.0.0.1",), "cors_origins": ("https://a.example",)},
    {"trusted_proxies": ("10.0.0.1",)},
]


@pytest.mark.parametrize("changed", LAYERS, ids=str)
def test_answers_have_the_headers_of_every_layer(
    settings: Settings, changed: dict[str, Any]
) -> None:
    with both(settings, **changed) as ways:
        for headers in (
            [KEY],
            [KEY, b"X-Forwarded-Proto: https"],
            [KEY, b"Origin: https://a.example"],
        ):
            fast, usual = (way.ask(way.request(*headers)) for way in ways)
            assert fast == usual
        assert ways[0].count(ways[0].request(KEY, b"X-Forwarded-Proto: https")) == 0


HEADS: dict[str, list[bytes]] = {
    "a key": [KEY],
    "a length in lower case": [KEY, b"content-length: %n"],
    "a length before the key": [b"Content-Length: %n", KEY],
    "chunks": [KEY, CHUNKED],
    "the last request": [KEY, b"Connection: close"],
}


@pytest.mark.parametrize("row", HEADS)
def test_requests_whose_head_has_come_before_are_answered_alike(
    ways: tuple[Way, Way], row: str
) -> None:
    """One connection each; what follows a head is of another length each time, or is not right."""
    bodies = [GOOD, MANY, GOOD, b"[", b"", b"[" + GOOD[1:-1] + b"  ]", GOOD[:-2], MANY]
    if row == "chunks":
        bodies = [b"%x\r\n%s\r\n0\r\n\r\n" % (len(each), each) for each in bodies if each]

    def send(way: Way, body: bytes) -> bytes:
        headers = [each.replace(b"%n", b"%d" % len(body)) for each in HEADS[row]]
        return way.request(*headers, body=body)

    for body in bodies:
        fast, usual = (way.ask(send(way, body)) for way in ways)
        assert fast == usual
    if row != "the last request":
        for part in (bodies, bodies[::-1]):
            answers = [talk(way, [send(way, body) for body in part]) for way in ways]
            assert answers[0] == answers[1]


def talk(way: Way, requests: Sequence[bytes]) -> list[bytes]:
    """The answers to requests over one connection, each sent once the one before is answered."""
    answers = []
    with socket.create_connection(way.address, timeout=60) as connection:
        for request in requests:
            connection.sendall(request)
            answers.append(read_answers(connection, 1))
    return answers


def test_a_head_that_has_come_before_says_nothing_of_what_is_not_whole(
    ways: tuple[Way, Way],
) -> None:
    """In pieces, with more behind it, or itself behind another request that is not answered yet."""

    def pieces(way: Way) -> list[bytes]:
        whole, bad = way.request(KEY, body=MANY), way.request(KEY, body=b"[")
        received = [way.ask(whole), way.ask(whole[:500], whole[500:1000], whole[1000:])]
        received.append(way.ask(whole + bad + whole, answers=3))
        received.append(way.ask(whole[:-5], whole[-5:] + whole, answers=2))
        return received

    fast, usual = map(pieces, ways)
    assert fast == usual


@pytest.mark.parametrize("at", [0, 1])
def test_a_body_that_reads_like_a_request_is_none(ways: tuple[Way, Way], at: int) -> None:
    """It comes once its request is refused; the next answer is that to the next request."""
    way = ways[at]
    whole = way.request(KEY)
    way.ask(whole)
    with socket.create_connection(way.address, timeout=60) as connection:
        connection.sendall(way.request(b"Content-Length: %d" % len(whole), body=b""))
        assert read_answers(connection, 1).startswith(b"HTTP/1.1 401 ")
        assert not way.of(connection).is_between
        connection.sendall(whole)
        eventually(lambda: way.of(connection).is_between)
        connection.sendall(way.request(KEY, body=b"["))
        assert read_answers(connection, 1).startswith(b"HTTP/1.1 400 ")


def test_one_batch_that_is_not_right_holds_up_none_of_those_packed_with_it(
    ways: tuple[Way, Way],
) -> None:
    late = b'[{"timestamp":99999999999999,"power":1}]'
    mixed = b'[{"timestamp":%d,"power":1},{"timestamp":%d,"cadence":1}]' % (T0, T0)
    exact = b'[{"timestamp":%d,"power":1.23456789}]' % T0
    bodies = (GOOD, late, MANY, mixed, GOOD, exact, GOOD, late, GOOD, MANY, mixed)

    def at_once(way: Way) -> list[bytes]:
        with ExitStack() as stack:
            connections = [
                stack.enter_context(socket.create_connection(way.address, timeout=60))
                for _ in bodies
            ]
            for connection, body in zip(connections, bodies, strict=True):
                connection.sendall(way.request(KEY, body=body))
            return [read_answers(connection, 1) for connection in connections]

    fast, usual = map(at_once, ways)
    assert fast == usual
    statuses = [each[9:12] for each in fast]
    assert statuses == [b"422" if body == late else b"202" for body in bodies]


def test_what_the_lane_knows_of_a_ride_ends_with_a_change_of_it(settings: Settings) -> None:
    changes = (("POST", "/pause", b"202"), ("POST", "/complete", b"202"), ("DELETE", "", b"404"))
    with both(settings) as ways, open_redis(settings) as redis:
        for elsewhere, (method, action, status) in product((None, ways[1]), changes):
            for way in ways:
                begin(way, settings.database_url)
                before = [way.ask(way.request(KEY)) for _ in range(3)]
                assert [each[9:12] for each in before] == [b"202"] * 3
                base = "http://{}:{}".format(*(elsewhere or way).address)
                with httpx2.Client(base_url=base, headers={"X-API-Key": way.key}) as client:
                    assert client.request(method, f"/api/workouts/{way.ride}{action}").is_success
            fast, usual = (way.ask(way.request(KEY)) for way in ways)
            assert fast == usual
            assert fast[9:12] == status
            due = [redis.zscore(DUE, way.ride) is not None for way in ways]
            assert due == [action != "/pause"] * 2  # what came late is folded, or purged


def test_what_the_lane_knows_of_a_key_ends_with_it_in_another_process(settings: Settings) -> None:
    with both(settings) as (fast, usual):
        assert fast.count(fast.request(KEY)) == 0
        base = "http://{}:{}".format(*usual.address)
        with httpx2.Client(base_url=base, headers={"X-API-Key": fast.key}, timeout=60) as client:
            assert client.delete(f"/api/keys/{key_id_of(fast.key)}").is_success
        eventually(lambda: fast.ask(fast.request(KEY)).startswith(b"HTTP/1.1 401 "))


def test_what_the_lane_knows_of_a_key_ends_with_the_key(
    settings: Settings, database_url: str
) -> None:
    with serving(msgspec.structs.replace(settings, fast_lane=True)) as way:
        begin(way, database_url)
        assert [way.count(way.request(KEY)) for _ in range(3)] == [0, 0, 0]  # and is remembered
        base = "http://{}:{}".format(*way.address)
        with httpx2.Client(base_url=base, headers={"X-API-Key": way.key}, timeout=60) as client:
            assert client.delete(f"/api/keys/{key_id_of(way.key)}").is_success
        assert way.ask(way.request(KEY)).startswith(b"HTTP/1.1 401 ")
