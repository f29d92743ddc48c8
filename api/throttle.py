"""How often one may try to log in or register: counted in Redis, by all API processes together."""

import hashlib
import math
import time
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final

from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.requests import HTTPConnection

from api.problems import TooManyRequests
from shared.connections import AsyncRedis

_GUESSES: Final = RateLimitItemPerMinute(10, 15, namespace="guesses")  # at one account, from one
_LOGINS: Final = RateLimitItemPerMinute(60, 15, namespace="logins")  # address; and from there
_TARGETED: Final = RateLimitItemPerHour(200, namespace="targeted")  # at one account, by everybody
_NEWCOMERS: Final = RateLimitItemPerHour(30, namespace="newcomers")  # from one address


class Throttle:
    """Bounds attempts by the client's address and by the account they are aimed at."""

    def __init__(self, redis: AsyncRedis) -> None:
        pool: Any = redis.connection_pool
        storage = RedisStorage(
            "async+redis://", implementation="redispy", key_prefix="throttle", connection_pool=pool
        )
        self._limiter = MovingWindowRateLimiter(storage)

    async def admit_login(self, request: HTTPConnection[Any], email: str) -> None:
        """Count an attempt. Raises TooManyRequests, redis.RedisError."""
        client, account = _network_of(request), _digest(email)
        await self._admit(_LOGINS, client)
        await self._admit(_GUESSES, client, account)
        await self._admit(_TARGETED, account)

    async def admit_newcomer(self, request: HTTPConnection[Any]) -> None:
        """Count a registration. Raises TooManyRequests, redis.RedisError."""
        await self._admit(_NEWCOMERS, _network_of(request))

    async def forgive(self, request: HTTPConnection[Any], email: str) -> None:
        """The login was right: what went before was no guessing."""
        await self._limiter.clear(_GUESSES, _network_of(request), _digest(email))

    async def _admit(self, limit: Any, *who: str) -> None:
        if not await self._limiter.hit(limit, *who):
            stats = await self._limiter.get_window_stats(limit, *who)
            wait = max(math.ceil(stats.reset_time - time.time()), 1)
            raise TooManyRequests("too many attempts", headers={"Retry-After": str(wait)})


def _network_of(request: HTTPConnection[Any]) -> str:
    """The client's address; of IPv6 its network, as one client has all of it."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host or "local"
    if isinstance(address, IPv6Address) and not address.ipv4_mapped:
        return str(ip_network((address, 64), strict=False))
    return str(address)


def _digest(email: str) -> str:
    """Redis need not know the address."""
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()
