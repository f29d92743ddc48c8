"""Bodies within bounds: as functions, and over real HTTP where the transport matters."""

import asyncio
import gzip
import json
import socket
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from api.web.body import JSON, BodyBudget, content_type, decode_json, inflate, read_body, read_json
from api.web.problems import (
    BadRequest,
    RequestTimeout,
    TooLarge,
    Unprocessable,
    UnsupportedMediaType,
)
from api.workouts.routes import UpdateWorkout
from api.workouts.starting import CreateWorkout
from shared.errors import ServiceUnavailable
from shared.settings import read_settings
from tests.api.answers import T0, problem_of, seconds_of, without_epoch
from tests.conftest import Rider

HELD = 2500  # bytes
SETTINGS = read_settings(
    {
        "DATABASE_URL": "postgresql://none",
        "REDIS_URL": "redis://none",
        "MAX_BODY_BYTES": "1000",
        "BODY_TIMEOUT": "0.05",
    }
)


def sent(*chunks: bytes, end: Message | None = None, **headers: str) -> Request[Any]:
    """A request whose body comes in these chunks, and whose last message is ``end``."""
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    messages.append(end or {"type": "http.request", "body": b"", "more_body": False})
    arriving = iter(messages)

    async def receive() -> Message:
        if (message := next(arriving, None)) is None or message["type"] == "never":
            await asyncio.Event().wait()
        assert message is not None
        return message

    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": pairs}
    return Request({**scope, "state": {"bodies": BodyBudget(HELD)}, "held_bytes": 0}, receive)


def read(request: Request[Any]) -> bytes:
    return asyncio.run(read_body(request, SETTINGS))


def test_chunks_are_joined() -> None:
    assert read(sent(b"[1,", b"", b"2]")) == b"[1,2]"


def test_a_body_of_just_the_limit_is_read() -> None:
    assert len(read(sent(b"x" * 400, b"x" * 600))) == 1000


def test_a_byte_more_is_too_large_whatever_was_declared() -> None:
    with pytest.raises(TooLarge, match="over 1000 bytes"):
        read(sent(b"x" * 400, b"x" * 601))


@pytest.mark.parametrize("declared", ["1001", "99999999999999999999"])
def test_a_declared_size_over_the_limit_is_refused_unread(declared: str) -> None:
    with pytest.raises(TooLarge):
        read(sent(end={"type": "never"}, content_length=declared))


def test_a_slow_body_is_given_up_at_the_deadline() -> None:
    with pytest.raises(RequestTimeout, match=r"within 0\.05 s") as caught:
        read(sent(b"[", end={"type": "never"}))
    assert caught.value.headers == {"Connection": "close"}


def test_a_client_that_hangs_up_is_no_fault_of_ours() -> None:
    with pytest.raises(BadRequest):
        read(sent(b"[", end={"type": "http.disconnect"}))


def test_gzip_is_inflated() -> None:
    assert read(sent(gzip.compress(b"[1,2]"), content_encoding=" GZip ")) == b"[1,2]"


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
def test_other_encodings_are_unsupported(encoding: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=encoding):
        read(sent(b"[]", content_encoding=encoding))


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_gzip_members_are_joined(parts: list[bytes]) -> None:
    assert inflate(b"".join(map(gzip.compress, parts)), 500) == b"".join(parts)


def test_a_body_of_very_many_members_is_refused() -> None:
    assert inflate(gzip.compress(b"") * 100, 100) == b""
    with pytest.raises(BadRequest, match="more than 100 gzip members"):
        inflate(gzip.compress(b"") * 200_000, 100)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_gzip_cut_short_is_a_bad_request(content: bytes, data: st.DataObject) -> None:
    body = gzip.compress(content)
    with pytest.raises(BadRequest):
        inflate(body[: data.draw(st.integers(1, len(body) - 1))], 1000)


@pytest.mark.parametrize("garbage", [b"garbage", b"\x1f\x8b", b"{}"])
def test_garbage_after_gzip_is_a_bad_request(garbage: bytes) -> None:
    with pytest.raises(BadRequest):
        inflate(gzip.compress(b"[]") + garbage, 1000)


def test_gzip_with_a_wrong_checksum_is_a_bad_request() -> None:
    body = bytearray(gzip.compress(b"[1,2,3]"))
    body[-5] ^= 1
    with pytest.raises(BadRequest):
        inflate(bytes(body), 1000)


@given(st.binary(max_size=100))
def test_garbage_is_inflated_or_a_problem(body: bytes) -> None:
    with suppress(BadRequest, TooLarge):
        assert len(inflate(body, 1000)) <= 1000


def test_inflated_bytes_are_limited_to_the_last_one() -> None:
    body = gzip.compress(bytes(600)) + gzip.compress(bytes(400))
    assert len(inflate(body, 1000)) == 1000
    with pytest.raises(TooLarge, match="more than 999 bytes"):
        inflate(body, 999)


def test_a_gzip_bomb_is_refused_in_bounded_memory() -> None:
    bomb = gzip.compress(bytes(200_000_000), compresslevel=1)
    tracemalloc.start()
    with pytest.raises(TooLarge):
        inflate(bomb, 100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000 + len(bomb)


def test_the_media_type_is_read_without_its_parameters() -> None:
    assert content_type(sent(content_type="Application/JSON ; charset=utf-8")) == JSON
    assert content_type(sent()) == JSON
    assert content_type(sent(content_type="text/csv")) == "text/csv"


def test_an_empty_body_is_an_empty_object() -> None:
    assert asyncio.run(read_json(sent(), UpdateWorkout, SETTINGS)) == UpdateWorkout()


def test_json_of_another_content_type_is_unsupported() -> None:
    with pytest.raises(UnsupportedMediaType, match="application/x-www-form-urlencoded"):
        asyncio.run(
            read_json(
                sent(content_type="application/x-www-form-urlencoded"), CreateWorkout, SETTINGS
            )
        )


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"title=Ride",
        b'{"title": NaN}',
        b'{"title": "\xff"}',
        b'{"ignored": "\xff"}',
        b'{"title": "\\ud800"}',
        b'{"title": "a\x00b"}',
        b'{"title": "a\\u0000b"}',
        b'{"title": "a\\\\\\u0000b"}',
        b'\xef\xbb\xbf{"title": "Ride"}',
        b'{"ignored": ' + b"[" * 100_000,
        b'{"ignored": ' * 100_000,
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_not_json_or_not_text_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_json(body, CreateWorkout)


def test_a_backslash_before_u0000_is_text() -> None:
    assert decode_json(b'{"title": "a\\\\u0000b"}', CreateWorkout).title == r"a\u0000b"


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"title": 5}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"description": "x" * 10_001}, "description"),
        ({"sport": ""}, "sport"),
        ({"sport": None}, "sport"),
        ({"sport": "mountain biking"}, "sport"),
        ({"sport": "cycling\n"}, "sport"),
        ({"startTime": "2024-01-01T00:00:00"}, "startTime"),
        ({"startTime": True}, "startTime"),
        ([], None),
    ],
)
def test_json_of_another_shape_names_its_member(body: Any, member: str | None) -> None:
    with pytest.raises(Unprocessable) as caught:
        decode_json(json.dumps(body).encode(), CreateWorkout)
    assert [fault.member for fault in caught.value.errors] == [member]


# Over HTTP.


def test_a_gzipped_upload_is_stored(rider: Rider) -> None:
    workout = rider.start()
    response = rider.client.post(
        f"/api/workouts/{workout}/telemetry",
        content=gzip.compress(json.dumps(seconds_of(200, 600)).encode()),
        headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
    )
    assert without_epoch(response.json()) == {"accepted": 600, "receivedThrough": T0 + 599_000}


def test_a_gzip_bomb_is_413_over_http(rider: Rider) -> None:
    workout = rider.start()
    bomb = gzip.compress(b" " * 6_000_000)
    path, headers = f"/api/workouts/{workout}/telemetry", {"Content-Encoding": "gzip"}
    problem_of(rider.client.post(path, content=bomb, headers=headers), 413)


def test_a_chunked_body_over_the_limit_is_413(rider: Rider) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(6 * 16):
            yield b" " * 65536

    workout = rider.start()
    problem_of(rider.client.post(f"/api/workouts/{workout}/telemetry", content=chunks()), 413)


def test_a_declared_body_over_the_limit_is_413_before_it_is_sent(
    rider: Rider, service: str
) -> None:
    workout, address = rider.start(), urlsplit(service)
    request = (
        f"POST /api/workouts/{workout}/telemetry HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"X-API-Key: {rider.account.api_key}\r\nContent-Length: 100000000\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request.encode())
        answer = connection.makefile("rb").read()  # to its end: the server hangs up
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("path", "media"),
    [("/api/workouts", "text/plain"), ("/api/workouts/{}/telemetry", "application/xml")],
)
def test_other_content_types_are_415(rider: Rider, path: str, media: str) -> None:
    path = path.format(rider.start())
    response = rider.client.post(path, content=b"{}", headers={"Content-Type": media})
    assert media in problem_of(response, 415)["detail"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/workouts", b'{"title": "a\\u0000b"}', 400),
        ("/api/workouts", b'{"title": "\\ud800"}', 400),
        ("/api/workouts", b'{"title": "\xff"}', 400),
        ("/api/workouts", b"[" * 100_000, 422),
        ("/api/workouts/{}/telemetry", b"[" * 100_000, 400),
        ("/api/workouts/{}/telemetry", b'[{"timestamp":' + b"9" * 5000 + b"}]", 400),
        ("/api/workouts/{}/telemetry", b'[{"timestamp":' + b"9" * 4000 + b"}]", 422),
        ("/api/workouts/{}/telemetry", b"\xef\xbb\xbf[]", 400),
    ],
    ids=lambda value: str(value)[:30],
)
def test_hostile_bodies_are_problems(rider: Rider, path: str, body: bytes, status: int) -> None:
    problem_of(rider.client.post(path.format(rider.start()), content=body), status)


def test_a_body_that_is_more_than_may_be_held_at_a_time_is_put_off() -> None:
    budget = BodyBudget(1500)
    first, second = sent(b"x" * 800), sent(b"x" * 800)
    for request in (first, second):
        request.scope["state"] = {"bodies": budget}
    with budget.holding(first.scope):
        read(first)
        with pytest.raises(ServiceUnavailable), budget.holding(second.scope):
            read(second)
    third = sent(b"x" * 900, b"x" * 100)
    third.scope["state"] = {"bodies": budget}
    with budget.holding(third.scope):
        assert len(read(third)) == 1000


def test_what_a_body_inflates_to_is_held_as_well() -> None:
    request = sent(gzip.compress(b"x" * 900), content_encoding="gzip")
    request.scope["state"] = {"bodies": BodyBudget(800)}
    with pytest.raises(ServiceUnavailable):
        read(request)


@pytest.mark.parametrize("path", ["/api/users", "/api/sessions"])
def test_a_stranger_may_send_little_and_a_key_more(service: str, rider: Rider, path: str) -> None:
    body = b'{"email": "x", "password": "x"}' + b" " * 100_000
    headers = {"Content-Type": JSON}
    assert httpx2.post(service + path, content=body, headers=headers).status_code == 413
    squeezed = {**headers, "Content-Encoding": "gzip"}
    answer = httpx2.post(service + path, content=gzip.compress(body), headers=squeezed)
    assert answer.status_code == 413
    body = b'{"title": "x"}' + b" " * 100_000
    assert rider.client.post("/api/workouts", content=body, headers=headers).status_code == 201
