"""Limits on attempts to log in and to register, counted in Redis for all API processes together."""

import hashlib
import math
import time
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final
from uuid import UUID

from starlette.requests import HTTPConnection

from api.web.problems import TooManyRequests
from shared.connections import AsyncRedis
from shared.settings import Settings

_HOUR: Final = 3600  # seconds
_KEY: Final = "throttle:"


@dataclass(frozen=True)
class _Limit:
    """So many attempts within so many seconds, whenever those begin."""

    name: str
    most: int
    seconds: int = _HOUR


# Logins to one account: from one address, and from everywhere.
_GUESSES: Final = _Limit("guesses", 10, 15 * 60)
_TARGETED: Final = _Limit("targeted", 200)
# By one user: each is hashed by the thread that also compares the passwords of logins.
_CHANGES: Final = _Limit("password-changes", 10)
# New keys of one user: those revoked stay listed, and each is noted in the audit log.
MOST_NEW_KEYS: Final = 300
_NEW_KEYS: Final = _Limit("new-keys", MOST_NEW_KEYS)
# New tokens of one of the grants by which a user lets an app in, which live for an hour.
MOST_REFRESHES: Final = 120
_REFRESHES: Final = _Limit("refreshes", MOST_REFRESHES)
# Tokens that open nothing, from one address.
MOST_STRANGE_TOKENS: Final = 300
_TOKENS: Final = _Limit("share-tokens", MOST_STRANGE_TOKENS)
# Count an attempt, unless there were too many: then, after how many ms there is one less. The times
# of attempts are in one text, as no script writes more than once: see shared.redis_keys.
_ADMIT: Final = """
local now, most, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = {}
for moment in string.gmatch(redis.call('GET', KEYS[1]) or '', '%d+') do
  if tonumber(moment) > now - window then kept[#kept + 1] = moment end
end
if #kept >= most then return tonumber(kept[#kept - most + 1]) + window - now end
kept[#kept + 1] = ARGV[1]
redis.call('SET', KEYS[1], table.concat(kept, ' '), 'PX', window)
return 0
"""


class Throttle:
    """Limits attempts by the client's address and by the account they are aimed at."""

    def __init__(self, redis: AsyncRedis, settings: Settings) -> None:
        self._redis = redis
        self._logins = _Limit("logins", settings.max_logins_per_hour)
        # A sign-in is two requests.
        self._sign_ins = _Limit("sign-ins", 2 * settings.max_logins_per_hour)
        self._registrations = _Limit("registrations", settings.max_registrations_per_hour)

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

    async def admit_refresh(self, grant_id: UUID) -> None:
        """Count new tokens of a grant. Raises TooManyRequests, redis.RedisError."""
        await self._admit(_REFRESHES, str(grant_id))

    async def admit_strange_token(self, request: HTTPConnection[Any]) -> None:
        """Count a link, or a token of an app, that opens nothing.

        Raises TooManyRequests, redis.RedisError.
        """
        await self._admit(_TOKENS, network_of(request))

    async def forgive(self, request: HTTPConnection[Any], email: str) -> None:
        """Clear this client's count of logins to an account, after the right password."""
        await self._redis.delete(_key_of(_GUESSES, network_of(request), _digest(email)))

    async def _admit(self, limit: _Limit, *who: str) -> None:
        now, window = int(time.time() * 1000), limit.seconds * 1000
        counting: Any = self._redis.eval(_ADMIT, 1, _key_of(limit, *who), now, limit.most, window)
        if wait := await counting:
            headers = {"Retry-After": str(math.ceil(wait / 1000))}
            raise TooManyRequests("too many attempts", headers=headers)


def _key_of(limit: _Limit, *who: str) -> str:
    return _KEY + "/".join((limit.name, *who))


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
