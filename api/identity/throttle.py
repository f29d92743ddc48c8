"""Limits on attempts to log in and to register, counted in Redis for all API processes together."""

import hashlib
import math
import time
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final
from uuid import UUID

from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.requests import HTTPConnection

from api.web.problems import TooManyRequests
from shared.connections import AsyncRedis
from shared.settings import Settings

# Logins to one account: from one address, and from everywhere.
_GUESSES: Final = RateLimitItemPerMinute(10, 15, namespace="guesses")
_TARGETED: Final = RateLimitItemPerHour(200, namespace="targeted")
# By one user: each is hashed by the thread that also compares the passwords of logins.
_CHANGES: Final = RateLimitItemPerHour(10, namespace="password-changes")
# New keys of one user: those revoked stay listed, and each is noted in the audit log.
MOST_NEW_KEYS: Final = 300
_NEW_KEYS: Final = RateLimitItemPerHour(MOST_NEW_KEYS, namespace="new-keys")
# Tokens that open nothing, from one address.
MOST_STRANGE_TOKENS: Final = 300
_TOKENS: Final = RateLimitItemPerHour(MOST_STRANGE_TOKENS, namespace="share-tokens")


class Throttle:
    """Limits attempts by the client's address and by the account they are aimed at."""

    def __init__(self, redis: AsyncRedis, settings: Settings) -> None:
        self._logins = RateLimitItemPerHour(settings.max_logins_per_hour, namespace="logins")
        # A sign-in is two requests.
        self._sign_ins = RateLimitItemPerHour(
            2 * settings.max_logins_per_hour, namespace="sign-ins"
        )
        most_new = settings.max_registrations_per_hour
        self._registrations = RateLimitItemPerHour(most_new, namespace="registrations")
        pool: Any = redis.connection_pool
        storage = RedisStorage(
            "async+redis://", implementation="redispy", key_prefix="throttle", connection_pool=pool
        )
        self._limiter = MovingWindowRateLimiter(storage)

    async def admit_login(self, request: HTTPConnection[Any], email: str) -> None:
        """Count a login to the account that is looked up by ``email``, in just that form.

        Raises TooManyRequests, redis.RedisError.
        """
        client, account = network_of(request), _digest(email)
        await self._admit(self._logins, client)
        await self._admit(_GUESSES, client, account)
        await self._admit(_TARGETED, account)

    async def admit_sign_in(self, request: HTTPConnection[Any]) -> None:
        """Count a request of a sign-in by a provider. Raises TooManyRequests, redis.RedisError."""
        await self._admit(self._sign_ins, network_of(request))

    async def admit_registration(self, request: HTTPConnection[Any]) -> None:
        """Count a registration. Raises TooManyRequests, redis.RedisError."""
        await self._admit(self._registrations, network_of(request))

    async def admit_password_change(self, user_id: UUID) -> None:
        """Count a new password of a user. Raises TooManyRequests, redis.RedisError."""
        await self._admit(_CHANGES, str(user_id))

    async def admit_key(self, user_id: UUID) -> None:
        """Count a new key of a user. Raises TooManyRequests, redis.RedisError."""
        await self._admit(_NEW_KEYS, str(user_id))

    async def admit_strange_token(self, request: HTTPConnection[Any]) -> None:
        """Count a link that opens nothing. Raises TooManyRequests, redis.RedisError."""
        await self._admit(_TOKENS, network_of(request))

    async def forgive(self, request: HTTPConnection[Any], email: str) -> None:
        """Clear this client's count of logins to an account, after the right password."""
        await self._limiter.clear(_GUESSES, network_of(request), _digest(email))

    async def _admit(self, limit: Any, *who: str) -> None:
        if not await self._limiter.hit(limit, *who):
            stats = await self._limiter.get_window_stats(limit, *who)
            wait = max(math.ceil(stats.reset_time - time.time()), 1)
            raise TooManyRequests("too many attempts", headers={"Retry-After": str(wait)})


def network_of(request: HTTPConnection[Any]) -> str:
    """The client's address; of IPv6 its network, as one client may use all the addresses in it."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host or "local"
    if isinstance(address, IPv6Address) and not address.ipv4_mapped:
        return str(ip_network((address, 64), strict=False))
    return str(address)


def _digest(email: str) -> str:
    """A hash, so that Redis does not hold the address."""
    return hashlib.sha256(email.encode()).hexdigest()
