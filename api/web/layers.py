"""What the layers around the application add to its answers, for those that it does not make."""

from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.web.cors import headers_for
from api.web.fast_lane import Client, Headers
from api.web.security_headers import HSTS
from shared.settings import Settings

_PROTO: Final = b"x-forwarded-proto"


class LayerHeaders:
    """The headers that `AllowOrigins` and `StrictTransport` add, as lines, each with its end."""

    def __init__(self, settings: Settings) -> None:
        self._allows = _lines(_allows(settings.cors_origins))
        self._strictly = self._allows + _lines([HSTS])
        self._proxies = settings.trusted_proxies
        self._scheme = lru_cache(1000)(self._look_up_scheme)

    def of(self, headers: Headers, client: Client, scheme: str) -> bytes:
        """Those of the answer to a request that names no origin."""
        if not self._proxies:
            return self._allows
        host = client[0] if client else None
        found = self._scheme(host, scheme, dict(headers).get(_PROTO))
        return self._strictly if found in ("https", "wss") else self._allows

    def _look_up_scheme(self, host: str | None, scheme: str, said: bytes | None) -> str:
        """By which scheme a client came to a proxy that is trusted, as uvicorn sees it."""
        scope: Any = {"type": "http", "client": (host, 0) if host else None, "scheme": scheme}
        scope["headers"] = [(_PROTO, said)] if said is not None else []

        async def end(*_: Any) -> Any:
            """Nothing is asked: uvicorn changes the scope."""

        asking = ProxyHeadersMiddleware(end, list(self._proxies))(scope, end, end)
        with suppress(StopIteration):
            asking.send(None)
        found: str = scope["scheme"]
        return found


def _allows(origins: tuple[str, ...]) -> list[tuple[str, str]]:
    if not origins:
        return []
    varies = [] if "*" in origins else [("Vary", "Origin")]
    return [*headers_for("", origins), *varies]


def _lines(headers: list[tuple[str, str]]) -> bytes:
    return "".join(f"{name.lower()}: {value}\r\n" for name, value in headers).encode("latin-1")
