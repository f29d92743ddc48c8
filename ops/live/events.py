"""Server-sent events of the API, followed as a browser does: again where a stream broke off."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx2

from shared.errors import TrackerError

MEDIA: Final = "text/event-stream"
_LAST: Final = frozenset({"end", "gone", "stream_deleted"})  # nothing comes after these
_SILENCE: Final = 45.0  # seconds; the live view says something every 15
_PAUSE: Final = (0.5, 2.0)  # seconds, at random: not all viewers come again at once
_LATER: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
_BUSY: Final = (*_LATER, HTTPStatus.SERVICE_UNAVAILABLE)
Report = Callable[[str], None]


class NothingToWatch(TrackerError):
    """The API refuses the stream, and says why."""


@dataclass(frozen=True)
class Event:
    """``name``: the event's, or the ``type`` in its data where the stream names no events."""

    name: str
    data: Any
    id: str

    @property
    def is_last(self) -> bool:
        """Whether the stream ends with it."""
        return self.name in _LAST


async def parse(lines: AsyncIterator[str], last_id: str = "") -> AsyncIterator[Event]:
    """The events of a stream's lines. An id alone is an event too, without name or data."""
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(":")
        if line and name:  # else it is a comment
            fields[name] = value.removeprefix(" ")
        if not line:
            last_id = fields.get("id", last_id)
            if fields.keys() & {"id", "data"}:
                yield _event(fields, last_id)
            fields = {}


def _event(fields: dict[str, str], last_id: str) -> Event:
    data = json.loads(fields["data"]) if "data" in fields else {}
    return Event(fields.get("event") or data.get("type", ""), data, last_id)


async def follow(
    client: httpx2.AsyncClient,
    path: str,
    headers: Mapping[str, str],
    report: Report = lambda _: None,
) -> AsyncIterator[Event]:
    """Every event up to the last, over as many connections as it takes.

    ``report`` is told when one breaks off. Raises NothingToWatch.
    """
    last_id = ""
    while True:
        try:
            async for event in _one_stream(client, path, _headers(headers, last_id)):
                last_id = event.id
                yield event
                if event.is_last:
                    return
            trouble = "the stream ended early"
        except _Refused as refused:
            if refused.status == HTTPStatus.NO_CONTENT:
                return
            trouble = str(refused)
        except httpx2.TransportError as error:
            trouble = str(error) or type(error).__name__
        report(f"{trouble}; trying again")
        await asyncio.sleep(random.uniform(*_PAUSE))  # noqa: S311


class _Refused(Exception):
    """There is no stream now."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status


def _headers(given: Mapping[str, str], last_id: str) -> dict[str, str]:
    resumed = {"Last-Event-ID": last_id} if last_id else {}
    return {**given, **resumed, "Accept": MEDIA}


async def _one_stream(
    client: httpx2.AsyncClient, path: str, headers: Mapping[str, str]
) -> AsyncIterator[Event]:
    last_id = headers.get("Last-Event-ID", "")
    timeout = httpx2.Timeout(_SILENCE)
    async with client.stream("GET", path, headers=headers, timeout=timeout) as response:
        if response.status_code != HTTPStatus.OK:
            await _refuse(response)
        async for event in parse(response.aiter_lines(), last_id):
            yield event


async def _refuse(response: httpx2.Response) -> None:
    """Raises NothingToWatch for what will be the same the next time, else _Refused."""
    await response.aread()
    status, detail = response.status_code, detail_of(response)
    if status == HTTPStatus.NO_CONTENT or status in _BUSY:
        raise _Refused(status, detail)
    raise NothingToWatch(f"{response.request.url.path}: {status}: {detail}")


def detail_of(response: httpx2.Response) -> str:
    """What a refusal says."""
    try:
        said: dict[str, Any] = response.json()
    except ValueError:
        return response.text[:200]
    return str(said.get("detail") or said.get("error") or said)
