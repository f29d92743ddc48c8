"""Requests of the API to other services, with limits on their time and size; no redirects."""

import asyncio
from typing import Final

import httpx2

_MOST_BYTES: Final = 256 * 1024


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Gives up on an answer that takes ``time_limit`` seconds or is longer than 256 KiB.

    Clients that are made for one use share it, so closing one of them leaves it open; ``shut``
    closes it. Raises TimeoutError, httpx2.TransportError.
    """

    def __init__(self, time_limit: float) -> None:
        self._time_limit = time_limit
        self._inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The whole answer."""
        request.headers["Accept-Encoding"] = "identity"
        async with asyncio.timeout(self._time_limit):
            response = await self._inner.handle_async_request(request)
            try:
                body = await _read(response)
            finally:
                await response.aclose()
        return httpx2.Response(response.status_code, headers=response.headers, content=body)

    async def aclose(self) -> None:
        """Do nothing: the next client uses the connections again."""

    async def shut(self) -> None:
        """Close the connections, at the end of the process."""
        await self._inner.aclose()


async def _read(response: httpx2.Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.RemoteProtocolError("compressed, which was not asked for")  # might be a bomb
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise httpx2.RemoteProtocolError(f"longer than {_MOST_BYTES} bytes")
    return bytes(body)
