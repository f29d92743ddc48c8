"""Sign-ins that have begun: kept in Redis for ten minutes, each for one browser, used once."""

import hmac
import secrets
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from starlette.responses import Response

from api.identity.openid import Secrets
from api.identity.state import IdentityRequest
from api.web.problems import BadRequest
from shared.connections import AsyncRedis
from shared.credentials import hash_key
from shared.settings import Settings

_LIFETIME: Final = 600  # seconds to sign in at the provider


class Attempt(Struct):
    """A user who was sent to a provider. ``browser``: the hash of its cookie.

    ``page``: it was one of ours that sent them, and they want to go on there.
    """

    provider: str
    secrets: Secrets
    browser: bytes
    invitation: str | None
    page: bool = False
    time_zone: str = "UTC"


async def save(
    redis: AsyncRedis,
    provider: str,
    made: Secrets,
    invitation: str | None,
    time_zone: str,
    *,
    page: bool,
) -> str:
    """Store an attempt; gives the cookie by which its browser is recognised."""
    cookie = secrets.token_urlsafe(32)
    attempt = Attempt(provider, made, hash_key(cookie), invitation, page, time_zone)
    await redis.set(_key(made.state), msgspec.json.encode(attempt), ex=_LIFETIME)
    return cookie


async def take(request: IdentityRequest, state: str, provider: str) -> Attempt:
    """End the attempt that this browser began, and give it. Raises BadRequest without one."""
    browser = hash_key(request.cookies.get(_cookie_name(request.state["settings"]), ""))
    stored = await request.state["redis"].getdel(_key(state))
    if stored is not None:
        attempt = msgspec.json.decode(stored, type=Attempt)
        if hmac.compare_digest(attempt.browser, browser) and attempt.provider == provider:
            return attempt
    raise BadRequest("this sign-in was not begun in this browser, or is over; begin again")


def set_cookie(response: Response, settings: Settings, cookie: str) -> None:
    """Have the browser send the cookie along when it comes back from the provider."""
    _set_cookie(response, settings, cookie, _LIFETIME)


def clear_cookie(response: Response, settings: Settings) -> None:
    """Have the browser drop the cookie."""
    _set_cookie(response, settings, "", 0)


def _set_cookie(response: Response, settings: Settings, value: str, max_age: int) -> None:
    name, secure = _cookie_name(settings), _is_https(settings)
    # `__Host-` asks for the path /; and Lax lets it come along when the provider sends one back.
    response.set_cookie(
        name, value, max_age, path="/", secure=secure, httponly=True, samesite="lax"
    )


def _key(state: str) -> str:
    return f"sign-in:{state}"


def _cookie_name(settings: Settings) -> str:
    """With https one that browsers let no other host set, not even a neighbour by its domain."""
    return "__Host-sign-in" if _is_https(settings) else "sign-in"


def _is_https(settings: Settings) -> bool:
    return urlsplit(settings.public_url).scheme == "https"
