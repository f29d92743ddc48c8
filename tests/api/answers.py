"""What answers of the API have in common, and waiting for those that come later."""

import time
from collections.abc import Callable
from typing import Any, Final

import httpx2

T0: Final = 1_700_000_000_000  # ms


def seconds_of(power: float, count: int, start: int = T0) -> list[dict[str, float]]:
    """Samples at 1 Hz."""
    return [{"timestamp": start + 1000 * second, "power": power} for second in range(count)]


def problem_of(response: httpx2.Response, status: int) -> dict[str, Any]:
    """The problem that an answer must be: RFC 9457, with ``error`` for older clients."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    more = {"errors"} if status != 401 else {"errors", "hint"}
    assert problem.keys() - more == {"type", "title", "status", "detail", "error"}
    assert problem["status"] == status
    assert problem["error"] == problem["detail"] != ""
    return problem


def without_epoch(receipt: dict[str, Any]) -> dict[str, Any]:
    """A receipt but for its epoch, which is a matter of tests/api/ingest/test_epochs.py."""
    assert len(receipt["epoch"]) == 16
    return {name: value for name, value in receipt.items() if name != "epoch"}


def eventually(holds: Callable[[], bool], timeout: float = 30) -> None:
    """Return as soon as ``holds()``; it must, some time."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
