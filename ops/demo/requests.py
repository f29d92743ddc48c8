"""Requests to the API, repeated while it says that it is only busy."""

import time
from http import HTTPStatus
from typing import Any, Final

import httpx2

from shared.errors import TrackerError

_PATIENCE: Final = 60.0  # seconds to go on trying while the service is busy or restarting
_BUSY: Final = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)


class RideRefused(TrackerError):
    """The API did not accept the ride."""


def open_client(url: str, api_key: str) -> httpx2.Client:
    """A client of that user. To be closed."""
    headers = {"Authorization": f"Bearer {api_key}"}
    return httpx2.Client(base_url=url, headers=headers, timeout=60)


def ask(client: httpx2.Client, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The answer, of any status below 400. Raises RideRefused."""
    response = attempt(client, method, path, **request)
    if not response.is_success:
        raise RideRefused(_describe(response))
    answer: dict[str, Any] = response.json()
    return answer


def attempt(client: httpx2.Client, method: str, path: str, **request: Any) -> httpx2.Response:
    """The answer, whatever it says but that the service is busy. Raises RideRefused."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            response = client.request(method, path, **request)
        except httpx2.TransportError as error:
            failure = str(error)
        else:
            if response.status_code not in _BUSY:
                return response
            failure = _describe(response)
        if time.monotonic() > deadline:
            raise RideRefused(f"no success in {_PATIENCE:g} s: {failure}")
        time.sleep(0.5)


def _describe(response: httpx2.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError):
        detail = response.text[:200]
    return f"{response.request.url.path}: {response.status_code}: {detail}"
