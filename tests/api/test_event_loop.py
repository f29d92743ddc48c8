"""No operation holds the event loop up: not with the largest ride there may be.

Counted is what follows from the code, and not from the machine: the calls between two looks of the
loop at its sockets, and which code they are of. `python -m tests.api.loop_pauses` shows the time.
"""

import asyncio
import re
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from api.app import OPERATIONS
from shared.settings import Settings
from tests.api.heaviest import REQUESTS, HeaviestRider, Heavy, serving_in_a_thread

ROOT: Final = Path(__file__).resolve().parents[2]
# The most there are is 4,000: of a thousand batches that wait, or a page of a hundred rides.
MOST_CALLS: Final = 10_000
# What decodes, merges and renders samples, and parses batches of them.
HEAVY: Final = (
    *("shared/samples/archive.py", "shared/samples/columns.py", "shared/samples/decimals.py"),
    *("shared/samples/stream_codec.py", "api/workouts/rendering.py"),
    *("shared/files/fit_encoding.py", "shared/files/fit_writer.py", "shared/files/tables.py"),
    *("shared/files/xml_text.py", "shared/files/gpx_writer.py", "shared/files/tcx_writer.py"),
    "shared/files/outgoing.py",
    *(f"api/workouts/selection.py:{name}" for name in ("windows", "_narrow", "_outline")),
    *("api/live/feed.py:samples", "api/live/feed.py:_columns"),
    *(f"api/sharing/hiding.py:{name}" for name in ("find_hidden", "veil_over", "apply", "extend")),
    *("api/sharing/live_veil.py:samples", "api/sharing/card.py"),
    "api/sharing/preview.py",
    *("api/ingest/parsing.py", "api/season/totals.py:fitness"),
)
# Answered by a worker, and here is none.
BY_A_WORKER: Final = ("/api/workouts/{id}/figures",)
_STEP: Final = asyncio.Handle._run.__code__


class Steps:
    """The calls in the longest step of the loop of a thread, and the heavy code that ran in any."""

    def __init__(self) -> None:
        self.most = 0
        self.heavy = set[str]()
        self._calls = 0

    def watch(self) -> None:
        """Count in this thread from now on."""
        sys.setprofile(self._count)

    def reset(self) -> None:
        """Forget what was counted."""
        self.most, self.heavy = 0, set()

    def _count(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "return" or event == "c_return":
            return
        self._calls += 1
        if event == "call":
            self._look_at(frame)

    def _look_at(self, frame: FrameType) -> None:
        code = frame.f_code
        if code is _STEP:
            self._calls = 0
        self.most = max(self.most, self._calls)
        name = f"{code.co_filename.removeprefix(f'{ROOT}/')}:{code.co_name}"
        if name.startswith(HEAVY):
            self.heavy.add(name)


@pytest.fixture(scope="module")
def steps() -> Steps:
    return Steps()


@pytest.fixture(scope="module")
def heaviest(steps: Steps, settings: Settings) -> Iterator[HeaviestRider]:
    with serving_in_a_thread(settings, steps.watch) as url:
        rider = HeaviestRider(settings, url)
        yield rider
        rider.close()


def test_every_operation_has_a_request() -> None:
    sent = {(each.method, re.sub("{spare}|{new}", "{id}", each.path)) for each in REQUESTS}
    assert sent == {(each.method, each.path) for each in OPERATIONS}


@pytest.mark.parametrize("heavy", REQUESTS, ids=str)
def test_no_operation_holds_the_event_loop_up(
    heaviest: HeaviestRider, steps: Steps, heavy: Heavy
) -> None:
    steps.reset()
    answer = heaviest.send(heavy)
    none_works = heavy.path in BY_A_WORKER and answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.status_code < 500 or none_works, answer.text[:500]
    assert steps.heavy == set()
    assert 0 < steps.most < MOST_CALLS
