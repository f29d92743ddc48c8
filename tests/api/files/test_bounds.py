"""How much of files there may be: of one, at a time, and in all."""

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from api.files.budget import FileBudget
from api.web.problems import TooManyRequests
from ops.admin.accounts import create_account
from shared.errors import ServiceUnavailable
from tests.api.answers import problem_of
from tests.api.files.ride_files import OCTETS
from tests.api.serving import serving


@pytest.fixture
def served(urls: Mapping[str, str], tmp_path: Path) -> Iterator[httpx2.Client]:
    """An API of tight bounds, and a user's key."""
    bounds: dict[str, Any] = {
        "MAX_FILE_BYTES": "1000",
        "MAX_KEPT_FILES": "3",
        "MAX_KEPT_FILE_BYTES": "1500",
        "BODY_TIMEOUT": "0.1",
    }
    with serving(urls, tmp_path / "api.log", **bounds) as client:
        account = create_account(urls["DATABASE_URL"], f"{uuid4()}@example.com", "test")
        client.headers = {"X-API-Key": account.api_key, **OCTETS}
        yield client


def test_a_file_over_the_limit_is_413(served: httpx2.Client) -> None:
    problem_of(served.post("/api/uploads", content=b"x" * 1001), 413)
    assert served.post("/api/uploads", content=b"x" * 1000).status_code == 202


def test_as_much_is_kept_of_a_user_as_the_settings_say(served: httpx2.Client) -> None:
    assert served.post("/api/uploads", content=b"a" * 800).status_code == 202
    bytes_full = problem_of(served.post("/api/uploads", content=b"b" * 800), 409)
    assert "1500 bytes" in bytes_full["detail"]
    assert served.post("/api/uploads", content=b"c").status_code == 202
    assert served.post("/api/uploads", content=b"d").status_code == 202
    files_full = problem_of(served.post("/api/uploads", content=b"e"), 409)
    assert "3 files" in files_full["detail"]


def test_a_slow_file_is_given_up_at_the_deadline(served: httpx2.Client) -> None:
    """A file has ten times as long as a body: here a second."""
    host, port = served.base_url.host, served.base_url.port
    key = served.headers["X-API-Key"]
    head = f"POST /api/uploads HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall(head.encode() + b"x")
        assert b" 408 " in connection.recv(4096)


def test_files_are_held_up_to_a_bound_and_a_user_s_up_to_a_quarter_of_it() -> None:
    budget, users = FileBudget(400), [uuid4() for _ in range(5)]
    with budget.holding(users[0]) as take:
        take(60)
        with budget.holding(users[0]) as another, pytest.raises(TooManyRequests):
            another(41)
        take(40)
        with pytest.raises(TooManyRequests):
            take(1)
    with budget.holding(users[0]) as take:  # all was released
        take(300)  # what is larger than a quarter may come alone
        with budget.holding(users[1]) as other:
            other(100)
            with budget.holding(users[2]) as third, pytest.raises(ServiceUnavailable):
                third(1)
