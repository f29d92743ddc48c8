"""The load generator, against a server that answers as it is told."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest

from bench.load import (
    Address,
    Outcome,
    WebSocketExchange,
    http_request,
    load,
    text_frame,
    websocket_handshake,
)

ACCEPTED = [b"HTTP/1.1 202 Accepted\r\ncontent-le", b"ngth: 2\r\n\r\n{", b"}"]  # in three pieces
FULL = [b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"]
REQUESTS = [http_request("POST", "/a", {"X-API-Key": "k"}, body) for body in (b"1", b"22", b"333")]

Server = Callable[[list[bytes]], Address]


@pytest.fixture
def received() -> list[bytes]:
    return []


@pytest.fixture
def serve(received: list[bytes]) -> Iterator[Server]:
    """Starts a server that answers every request with the same pieces, or hangs up without any."""
    with ExitStack() as stack:

        def start(pieces: list[bytes]) -> Address:
            class Handler(BaseRequestHandler):
                def handle(self) -> None:
                    with suppress(ConnectionError):  # a load that has failed leaves at once
                        self.answer()

                def answer(self) -> None:
                    while request := self.request.recv(1 << 16):
                        received.append(request)
                        if not pieces:
                            return
                        for piece in pieces:
                            self.request.sendall(piece)

            server = stack.enter_context(ThreadingTCPServer(("127.0.0.1", 0), Handler))
            Thread(target=server.serve_forever).start()
            stack.callback(server.shutdown)
            host, port = server.server_address[:2]
            return str(host), port

        yield start


def test_a_request_is_complete() -> None:
    assert REQUESTS[1] == (
        b"POST /a HTTP/1.1\r\nHost: bench\r\nX-API-Key: k\r\nContent-Length: 2\r\n\r\n22"
    )


def test_each_connection_sends_the_next_request_and_waits_for_the_whole_answer(
    serve: Server, received: list[bytes]
) -> None:
    outcome = load(serve(ACCEPTED), REQUESTS, 0, connections=4)
    assert len(outcome.latencies) == 4
    assert sorted(received) == sorted([*REQUESTS, REQUESTS[0]])


def test_a_load_lasts_as_long_as_asked_for(serve: Server, received: list[bytes]) -> None:
    outcome = load(serve(ACCEPTED), REQUESTS, 0.1, connections=1)
    assert outcome.seconds >= 0.1
    assert len(outcome.latencies) == len(received)
    assert sum(outcome.latencies) <= outcome.seconds


def test_a_load_at_a_pace_sends_no_sooner_and_ends_in_time(
    serve: Server, received: list[bytes]
) -> None:
    # The second of 10 a second would be due at 0.1 s.
    outcome = load(serve(ACCEPTED), REQUESTS, 0.05, connections=1, rate=10)
    assert (len(outcome.latencies), len(received)) == (1, 1)


def test_a_load_sends_the_least_that_it_was_asked_for(serve: Server, received: list[bytes]) -> None:
    load(serve(ACCEPTED), REQUESTS, 0, connections=2, least=7)
    assert len(received) == 7


def test_a_message_is_answered_by_a_frame_and_pings_are_none(serve: Server) -> None:
    accepted = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    long = b'{"accepted":1,' + b" " * 200 + b"}"  # its length takes two bytes more
    frames = b"\x89\x01p" + b"\x81\x7e" + len(long).to_bytes(2, "big") + long
    handshake = websocket_handshake("/a", {"X-API-Key": "k"})
    address = serve([accepted[:30], accepted[30:]])
    with socket.create_connection(address) as connected:
        exchange = WebSocketExchange(connected, handshake)
        exchange.send(text_frame(b"x" * 300))
        for part in (frames[:2], frames[2:150], frames[150:-1]):
            exchange.take(part)
            assert not exchange.is_answered
        exchange.take(frames[-1:])
        assert exchange.is_answered
        with pytest.raises(RuntimeError, match="refused"):
            exchange.take(b'\x81\x11{"error":"refused')


def test_frames_of_a_client_are_masked_and_say_their_length() -> None:
    assert text_frame(b"ab") == b"\x81\x82" + bytes(4) + b"ab"
    assert text_frame(b"x" * 300)[:4] == b"\x81\xfe\x01\x2c"
    assert b"Content-Length" not in websocket_handshake("/a", {})


@pytest.mark.parametrize(("pieces", "told"), [(FULL, "503"), ([], "closed")])
def test_a_load_that_fails_measures_nothing(serve: Server, pieces: list[bytes], told: str) -> None:
    with pytest.raises(RuntimeError, match=told):
        load(serve(pieces), REQUESTS, 0.1, connections=2)


def test_rate_and_percentiles_by_hand() -> None:
    outcome = Outcome(2.0, [0.004, 0.001, 0.003, 0.002, 0.1])
    assert outcome.rate == 2.5
    assert outcome.percentile(0.5) == 3
    assert outcome.percentile(0.99) == 4  # the fifth would be the slowest of all
    assert outcome.percentile(1) == 100
