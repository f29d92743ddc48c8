"""One attempt to deliver: a signed request to an address that was looked at, within its time."""

import asyncio
import email.utils
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import httpx2
import msgspec

from shared.version import VERSION
from shared.webhooks import check_url, complete_message, is_private, sign
from worker.webhooks.resolving import resolve
from worker.webhooks.store import Delivery

_MOST_ADDRESSES: Final = 3  # of a name, one after another
_MOST_READ: Final = 4096  # bytes of an answer, of which nothing is used
_LAST_WORDS: Final = 1.0  # seconds for them
Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt. ``wish``: seconds for which its receiver wants no other."""

    status: int | None = None
    problem: str | None = None
    wish: float | None = None

    @property
    def is_success(self) -> bool:
        """Whether the receiver has taken it."""
        return self.problem is None

    @property
    def is_final(self) -> bool:
        """Whether the receiver wants no more of any kind."""
        return self.status == HTTPStatus.GONE


class _Unsent(Exception):
    """Nothing was sent, for the reason."""


class Sender:
    """Sends. ``timeout``: seconds until its receiver has answered, however it goes on."""

    def __init__(self, *, allow_private: bool, timeout: float, resolve: Resolve = resolve) -> None:
        self._allow_private = allow_private
        self._timeout = timeout
        self._resolve = resolve
        # It follows no redirect, has no cookies, and asks no proxy of the environment. A connection
        # serves one request: its address was looked at for that one.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        tls = ssl.create_default_context()
        self._transport = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)

    async def send(self, delivery: Delivery) -> Outcome:
        """Try once. Whatever is wrong with the receiver is the outcome, and no error."""
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._answer_to(delivery)
        except _Unsent as unsent:
            return Outcome(problem=str(unsent))
        except TimeoutError:
            return Outcome(problem=f"no answer within {self._timeout:g} s")
        except httpx2.ConnectError as error:
            return Outcome(problem=f"cannot be reached: {error}")
        except httpx2.RemoteProtocolError:  # whose words may quote all that came
            return Outcome(problem="no answer of HTTP: nothing came, or something else")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            return Outcome(problem=f"no answer of HTTP: {error or type(error).__name__}")
        outcome = _outcome_of(response)
        await _hear_out(response)
        return outcome

    async def aclose(self) -> None:
        """Close what is open."""
        await self._transport.aclose()

    async def _answer_to(self, delivery: Delivery) -> httpx2.Response:
        """Raises httpx2.HTTPError, _Unsent."""
        try:
            check_url(delivery.url, self._allow_private)
        except ValueError as error:
            raise _Unsent(f"its address {error}") from None
        url = httpx2.URL(delivery.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            # As it is written, and the certificate names it: decoded, it may stand for another one.
            found = await self._resolve(url.raw_host.decode(), port)
        except OSError as error:
            problem = f"its name cannot be resolved: {error.strerror or error}"
            raise _Unsent(problem) from None
        addresses = [each for each in found if self._allow_private or not is_private(each)]
        if not addresses:
            raise _Unsent("its name stands for no address of the public internet")
        return await self._send_to(addresses[:_MOST_ADDRESSES], url, delivery)

    async def _send_to(
        self, addresses: list[str], url: httpx2.URL, delivery: Delivery
    ) -> httpx2.Response:
        """To the first address that can be reached: to none but these. Raises httpx2.HTTPError."""
        request = _request_of(delivery, url)
        for address in addresses[:-1]:
            with suppress(httpx2.ConnectError):
                return await self._post(request, url.copy_with(host=address))
        return await self._post(request, url.copy_with(host=addresses[-1]))

    async def _post(self, request: httpx2.Request, url: httpx2.URL) -> httpx2.Response:
        request.url = url  # the header still names the host, and so does TLS
        return await self._transport.handle_async_request(request)


def _request_of(delivery: Delivery, url: httpx2.URL) -> httpx2.Request:
    body = msgspec.json.encode(complete_message(delivery.payload))
    timestamp = int(time.time())
    secrets = [each for each in (delivery.secret, delivery.old_secret) if each]
    signatures = [sign(each, delivery.message_id, timestamp, body) for each in secrets]
    headers = {
        "Host": url.netloc.decode(),
        "User-Agent": f"bike-power-tracker/{VERSION}",
        "Content-Type": "application/json",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
    told = {"sni_hostname": url.raw_host.decode()}
    return httpx2.Request("POST", url, headers=headers, content=body, extensions=told)


def _outcome_of(response: httpx2.Response) -> Outcome:
    status = response.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome(status)
    problem = f"answered {status}"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        problem += ": redirects are not followed"
    return Outcome(status, problem, _wish_of(response.headers.get("retry-after", "")))


def _wish_of(text: str) -> float | None:
    """The seconds of a Retry-After, which may be a moment."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None


async def _hear_out(response: httpx2.Response) -> None:
    """Let a receiver end its answer, if it is a short one: some take a loss for an error.

    The attempt has its outcome already, whatever comes.
    """
    heard = 0
    try:
        with suppress(httpx2.HTTPError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                async for piece in response.aiter_raw():
                    heard += len(piece)
                    if heard > _MOST_READ:
                        return
    finally:
        await response.aclose()
