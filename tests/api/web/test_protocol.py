"""Bytes that no HTTP library would send: answered as documented or hung up on, never a fault."""

import asyncio
import gzip
import random
import re
import socket
from contextlib import suppress
from urllib.parse import urlsplit

import httpx2
import pytest

from api.app import SUBJECTS
from api.web.openapi import document
from tests.api.answers import T0
from tests.conftest import Rider

LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
LAST = b"Connection: close\r\n\r\n"
# Of the operations, and what the document says of every path.
DOCUMENTED = {
    int(status)
    for item in document(SUBJECTS, "1")["paths"].values()
    for content in item.values()
    for status in content["responses"]
} | {400, 404, 405}


def statuses_of(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def exchange(service: str, sent: bytes) -> list[int]:
    """The statuses answered, until the service hangs up."""
    address = urlsplit(service)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        with suppress(OSError):  # it may have hung up already
            connection.sendall(sent)
        answer = b""
        with suppress(ConnectionResetError):
            while received := connection.recv(65536):
                answer += received
    return statuses_of(answer)


def to(target: bytes, method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\nHost: x\r\n" + LAST


def chunked(body: bytes) -> bytes:
    return b"Transfer-Encoding: chunked\r\n" + LAST + body


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


END = b"0\r\n\r\n"
HANDSHAKE = (
    b"GET /api/workouts/x/telemetry HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
HEADS: dict[str, tuple[bytes, list[int]]] = {
    "nothing but NUL": (b"\0" * 100 + b"\r\n\r\n", [400]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), [400]),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "HTTP/0.9": (b"GET /health/live\r\n\r\n", [200]),
    "an unknown version": (b"GET /health/live HTTP/9.9\r\n\r\n", [400]),
    "an unknown method": (to(b"/health/live", b"BREW"), [400]),
    "a method in lower case": (to(b"/health/live", b"get"), [400]),
    "no target": (b"GET HTTP/1.1\r\n\r\n", [400]),
    "a header without colon": (LIVE + b"nonsense\r\n" + LAST, [400]),
    "a space before the colon": (LIVE + b"X : y\r\n" + LAST, [400]),
    "a header without name": (LIVE + b": y\r\n" + LAST, [400]),
    "NUL in a value": (LIVE + b"X: a\0b\r\n" + LAST, [400]),
    "a lone CR in a value": (LIVE + b"X: a\rb\r\n" + LAST, [400]),
    "a folded header": (LIVE + b"X: a\r\n b\r\n" + LAST, [400]),
    "Latin-1 in a value": (LIVE + b"X: \xff\xfe\r\n" + LAST, [200]),
    "two hosts": (LIVE + b"Host: y\r\n" + LAST, [200]),
    "lengths that differ": (LIVE + b"Content-Length: 0\r\nContent-Length: 5\r\n" + LAST, [400]),
    "the same length twice": (LIVE + b"Content-Length: 0\r\nContent-Length: 0\r\n" + LAST, [400]),
    "a length below zero": (LIVE + b"Content-Length: -1\r\n" + LAST, [400]),
    "a length with a sign": (LIVE + b"Content-Length: +1\r\n" + LAST + b"x", [400]),
    "a length in hexadecimal": (LIVE + b"Content-Length: 0x1\r\n" + LAST + b"x", [400]),
    "a length past 64 bits": (LIVE + b"Content-Length: 1" + b"0" * 30 + b"\r\n" + LAST, [400]),
    "a length and chunks": (LIVE + b"Content-Length: 5\r\n" + chunked(b"0\r\n\r\n"), [400]),
    "chunks not last": (LIVE + b"Transfer-Encoding: chunked, gzip\r\n" + LAST, [400]),
    "a chunk of no size": (LIVE + chunked(b"zz\r\n\r\n"), [400]),
    "a chunk past 64 bits": (LIVE + chunked(b"f" * 20 + b"\r\n"), [400]),
    "a chunk longer than it says": (LIVE + chunked(b"1\r\nxyz\r\n0\r\n\r\n"), [400]),
    "a percent sign alone": (to(b"/api/workouts/%"), [401]),
    "percent and no digits": (to(b"/api/workouts/%zz"), [401]),
    "percent and no UTF-8": (to(b"/api/workouts/%ff"), [401]),
    "percent and NUL": (to(b"/api/workouts/%00"), [401]),
    "percent and a slash": (to(b"/api/workouts/..%2f..%2fhealth"), [404]),
    "dots": (to(b"/docs/assets/../../../../../../etc/passwd"), [404]),
    "dots in percents": (to(b"/docs/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd"), [404]),
    "NUL in the name of a file": (to(b"/docs/assets/%00"), [404]),
    "a slash at the end": (to(b"/health/live/"), [404]),
    "a very long name of a file": (to(b"/docs/assets/" + b"x" * 5000), [404]),
    "UTF-8 in the target": (to("/é".encode()), [400]),
    "Latin-1 in the target": (to(b"/\xe9"), [400]),
    "a space in the target": (to(b"/health /live"), [400]),
    "the absolute form": (to(b"http://x/health/live"), [200]),
    "the absolute form of another host": (to(b"http://evil.example/health/live"), [200]),
    "the absolute form without path": (to(b"http://x"), [400]),
    "the authority form": (to(b"x:443", b"CONNECT"), [400]),
    "the asterisk form": (to(b"*", b"OPTIONS"), [404]),
    "a query of nonsense": (to(b"/health/live?&&=&%=%ff&a=%00;"), [422]),
    "an expectation": (LIVE + b"Expect: 100-continue\r\n" + LAST, [200]),
    "an unknown expectation": (LIVE + b"Expect: tea\r\n" + LAST, [200]),
    "another protocol": (
        LIVE + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + LAST,
        [200],
    ),
    "a handshake without a key": (HANDSHAKE + b"\r\n", [401]),
    "a handshake with a body to come": (HANDSHAKE + b"Content-Length: 5\r\n\r\n", [400]),
    "a handshake with a body": (HANDSHAKE + b"Content-Length: 5\r\n\r\nhello", [400]),
    "a handshake in chunks": (HANDSHAKE + b"Transfer-Encoding: chunked\r\n\r\n", [400]),
    "a handshake with a long line": (HANDSHAKE + b"X: " + b"x" * 9000 + b"\r\n\r\n", [400]),
    "a handshake with many headers": (HANDSHAKE + b"X: y\r\n" * 200 + b"\r\n", [400]),
    "a handshake of another version": (
        HANDSHAKE.replace(b"Version: 13", b"Version: 7") + b"\r\n",
        [400],
    ),
    "two requests at once": (LIVE + b"\r\n" + LIVE + LAST, [200, 200]),
    "a request and garbage": (LIVE + b"\r\n" + b"garbage\r\n\r\n", [400]),
}


@pytest.mark.parametrize("row", HEADS)
def test_a_strange_head_is_answered_or_hung_up_on(service: str, row: str) -> None:
    sent, expected = HEADS[row]
    assert exchange(service, sent) == expected
    assert httpx2.get(f"{service}/health/live").status_code == 200


UNSIZED = LIVE + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "a header": b"GET /health/live HTTP/1.1\r\nX: " + b"x" * 2_000_000,
    "headers": b"GET /health/live HTTP/1.1\r\n" + b"a: b\r\n" * 400_000,
    "a target": b"GET /" + b"x" * 2_000_000,
    "an extension": UNSIZED + b"1;" + b"x" * 2_000_000 + b"\r\nx\r\n" + END + LIVE + LAST,
    "trailers": UNSIZED + b"0\r\n" + b"a: b\r\n" * 400_000 + b"\r\n" + LIVE + LAST,
    "a trailer": UNSIZED + b"0\r\na: " + b"x" * 2_000_000 + b"\r\n\r\n" + LIVE + LAST,
}


@pytest.mark.parametrize("row", ENDLESS)
def test_what_does_not_end_is_hung_up_on_before_it_fills_the_memory(service: str, row: str) -> None:
    # 200 where it had been answered by then; what comes after it is not.
    assert exchange(service, ENDLESS[row]) in ([400], [200], [200, 400])
    assert httpx2.get(f"{service}/health/live").status_code == 200


def test_a_large_head_that_comes_whole_is_read_and_one_too_large_is_not(service: str) -> None:
    assert exchange(service, LIVE + b"X: " + b"x" * 60_000 + b"\r\n" + LAST) == [200]
    assert exchange(service, LIVE + b"X: " + b"x" * 2_000_000 + b"\r\n" + LAST) == [400]


def test_requests_that_follow_each_other_do_not_add_up(service: str) -> None:
    one = LIVE + b"X: " + b"x" * 10_000 + b"\r\n"
    assert exchange(service, (one + b"\r\n") * 200 + one + LAST) == [200] * 201


# Bodies, of a rider's own.


def upload(rider: Rider, workout: str, rest: bytes) -> bytes:
    key = rider.account.api_key.encode()
    head = b"POST /api/workouts/%s/telemetry HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n"
    return head % (workout.encode(), key) + rest


def sized(body: bytes, headers: bytes = b"") -> bytes:
    return headers + b"Content-Length: %d\r\n" % len(body) + LAST + body


SAMPLE = b'[{"timestamp":%d,"power":200}]' % T0
GZIP = b"Content-Encoding: gzip\r\n"
TEXT = b"Content-Type: text/plain\r\n"
BODIES: dict[str, tuple[bytes, list[int]]] = {
    "one sample": (sized(SAMPLE), [202]),
    "one sample in chunks": (chunked(chunk(SAMPLE[:1]) + chunk(SAMPLE[1:]) + END), [202]),
    "no body": (LAST, [400]),
    "text by its trailer": (chunked(chunk(SAMPLE) + b"0\r\n" + TEXT + b"\r\n"), [202]),
    "half a length": (b"Content-Length: 5\r\n" + LAST + SAMPLE, [400]),
    "truncated gzip": (sized(gzip.compress(SAMPLE)[:-9], GZIP), [400]),
    "gzip of nothing": (sized(b"", GZIP), [400]),
    "gzip that is none": (sized(SAMPLE, GZIP), [400]),
    "a lone surrogate": (sized(b'[{"timestamp":"\\ud800"}]'), [400]),
    "UTF-16": (sized(SAMPLE.decode().encode("utf-16")), [400]),
    "NUL": (sized(SAMPLE + b"\0"), [400]),
    "depth": (sized(b"[" * 1_000_000), [400]),
    "a huge number": (sized(b'[{"timestamp":%s}]' % (b"9" * 100_000)), [400]),
    "a huge exponent": (sized(b'[{"timestamp":%d,"power":1e999999999}]' % T0), [400]),
    "more than is allowed": (b"Content-Length: 9999999999\r\n" + LAST + SAMPLE, [413]),
    "another charset": (sized(SAMPLE, b"Content-Type: application/json; charset=x\r\n"), [202]),
}


@pytest.mark.parametrize("row", BODIES)
def test_a_strange_body_is_answered(rider: Rider, service: str, row: str) -> None:
    sent, expected = BODIES[row]
    workout = rider.start()
    assert exchange(service, upload(rider, workout, sent)) == expected
    assert rider.upload(workout, [{"timestamp": T0}]).status_code == 202


# Valid requests, with some of their bytes gone wrong.


def mutated(chance: random.Random, valid: bytes) -> bytes:
    """Bytes changed, dropped, doubled or put in, a few times over."""
    data = bytearray(valid)
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(data))
        end = at + chance.choice([1, 1, 1, 4, 20])
        piece = chance.choice([bytes([chance.randrange(256)]), b"\r\n", b"\0", b"%", b"\xff", b":"])
        data[at:end] = chance.choice([b"", piece, piece + data[at:end], 2 * data[at:end]])
    return bytes(data)


async def answered(service: str, sent: bytes) -> bytes:
    """What comes back until the service hangs up, or waits for more of a request cut short."""
    address, answer = urlsplit(service), b""
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    with suppress(OSError, TimeoutError):
        writer.write(sent)
        while received := await asyncio.wait_for(reader.read(65536), 1):
            answer += received
    writer.close()
    return answer


def test_valid_requests_gone_wrong_get_documented_answers(rider: Rider, service: str) -> None:
    chance, workout = random.Random(1), rider.start()
    key = b"X-API-Key: " + rider.account.api_key.encode() + b"\r\n"
    valid = [
        LIVE + LAST,
        b"GET /api/workouts?limit=5&from=2024-01-01&q=ride HTTP/1.1\r\n" + key + LAST,
        b"GET /api/workouts/%s/telemetry?format=csv HTTP/1.1\r\n" % workout.encode() + key + LAST,
        b"PATCH /api/workouts/%s HTTP/1.1\r\n" % workout.encode() + key + sized(b'{"title":"x"}'),
        b"PUT /api/users/me/thresholds HTTP/1.1\r\n"
        + key
        + sized(b'{"effectiveFrom":"2024-01-01","ftp":250}'),
        upload(rider, workout, sized(gzip.compress(SAMPLE, mtime=0), GZIP)),
        upload(rider, workout, chunked(chunk(SAMPLE) + END)),
        upload(rider, workout, sized(SAMPLE, b"Prefer: handling=lenient\r\n")),
    ]
    sent = [mutated(chance, chance.choice(valid)) for _ in range(2000)]

    async def send_all() -> list[bytes]:
        room = asyncio.Semaphore(50)

        async def send(data: bytes) -> bytes:
            async with room:
                return await answered(service, data)

        return await asyncio.gather(*map(send, sent))

    answers = list(map(statuses_of, asyncio.run(send_all())))
    wrong = [
        (data, statuses)
        for data, statuses in zip(sent, answers, strict=True)
        if set(statuses) - DOCUMENTED or 503 in statuses
    ]
    assert wrong == []
    seen = {status for statuses in answers for status in statuses}
    assert seen >= {200, 202, 400, 401, 404, 422}  # else it would prove little
    assert rider.complete(workout)["status"] == "COMPLETED"
