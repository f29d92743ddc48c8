"""Requests of many riders at once, each sent again for as long as the service is away or busy."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from ops.demo.requests import RideRefused
from ops.live.events import Event, detail_of, follow

_PAUSE: Final = (0.3, 1.5)  # seconds, at random: not all riders come again at once
_LONGEST: Final = 30.0  # seconds that a Retry-After is heeded
_TIMEOUT: Final = 30.0
_UNSURE: Final = frozenset((408, 425, 429, 500, 502, 503, 504))


@dataclass
class Traffic:
    """What all riders together have sent. ``waiting``: since when each request goes unanswered."""

    answers: int = 0
    samples: int = 0  # that were acknowledged for the first time
    again: int = 0
    trouble: str = ""  # the last
    waiting: dict[object, float] = field(default_factory=dict)

    def oldest(self, now: float) -> float:
        """Seconds for which a request has had no answer, however often it was sent."""
        return max((now - since for since in self.waiting.values()), default=0.0)


def open_client(url: str) -> httpx2.AsyncClient:
    """For every rider: as many connections as it takes. To be closed."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx2.AsyncClient(base_url=url, timeout=_TIMEOUT, limits=limits)


class Requests:
    """One rider's: ``api_key`` is sent with each, or none is."""

    def __init__(self, client: httpx2.AsyncClient, traffic: Traffic, api_key: str | None) -> None:
        self._client, self._traffic = client, traffic
        self._headers = {"X-API-Key": api_key} if api_key else {}

    async def ask(
        self, method: str, path: str, *, expect: tuple[int, ...] = (), **request: Any
    ) -> httpx2.Response:
        """The answer: a success, or of a status that is expected. Raises RideRefused."""
        token = object()
        self._traffic.waiting[token] = time.monotonic()
        try:
            while (answer := await self._attempt(method, path, request)) is None:
                self._traffic.again += 1
        finally:
            del self._traffic.waiting[token]
        return _require(answer, expect)

    async def ask_once(self, method: str, path: str, **request: Any) -> httpx2.Response | None:
        """As ``ask``; None if nobody knows what became of the request. Raises RideRefused."""
        answer = await self._attempt(method, path, request)
        if answer is None:
            self._traffic.again += 1
            return None
        return _require(answer, ())

    def follow(self, path: str) -> AsyncIterator[Event]:
        """The events of a stream. Raises NothingToWatch."""
        return follow(self._client, path, self._headers)

    async def _attempt(
        self, method: str, path: str, request: dict[str, Any]
    ) -> httpx2.Response | None:
        """The answer; None, after a pause, if there is none that settles it."""
        headers = self._headers | request.get("headers", {})
        wait = 0.0
        try:
            answer = await self._client.request(method, path, **{**request, "headers": headers})
        except httpx2.TransportError as error:
            self._traffic.trouble = f"{path}: {str(error) or type(error).__name__}"
        else:
            self._traffic.answers += 1
            if answer.status_code not in _UNSURE:
                return answer
            self._traffic.trouble = f"{path}: {answer.status_code}: {detail_of(answer)}"
            wait = _retry_after(answer)
        await asyncio.sleep(wait + random.uniform(*_PAUSE))  # noqa: S311
        return None


def _require(answer: httpx2.Response, expect: tuple[int, ...]) -> httpx2.Response:
    if answer.is_success or answer.status_code in expect:
        return answer
    said = f"{answer.status_code}: {detail_of(answer)}"
    raise RideRefused(f"{answer.request.method} {answer.request.url.path}: {said}")


def _retry_after(answer: httpx2.Response) -> float:
    said = answer.headers.get("Retry-After", "")
    return min(float(said), _LONGEST) if said.isascii() and said.isdigit() else 0.0
