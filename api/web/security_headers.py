"""Security headers: a browser treats an answer as its content type says, and loads nothing else."""

from functools import cache
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[str, str]]

_EVERYWHERE: Final[Headers] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]
# Of the API's answers. Uploads get them too, and each costs half a microsecond:
# X-Frame-Options would say what `frame-ancestors` does.
API_HEADERS: Final[Headers] = [
    *_EVERYWHERE,
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "private, no-store"),  # but for what has an ETag: see `revalidation.py`
]
# Of what links to rides open: it is for whoever has the link, and for no index.
SHARED_PATH: Final = "/api/shared/"
SHARED_HEADERS: Final[Headers] = [
    *API_HEADERS,
    ("X-Robots-Tag", "noindex, nofollow"),
]
DOCS_PATH: Final = "/docs"
# Swagger UI runs its own script and style sheet, draws icons from data, and asks this API.
DOCS_HEADERS: Final[Headers] = [
    *_EVERYWHERE,
    ("X-Frame-Options", "DENY"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("Cache-Control", "no-cache"),
]
# Of the pages and whatever is at no path of the API. They run the files below /static alone.
PAGE_HEADERS: Final[Headers] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("Cache-Control", "no-store"),
]
# Of the page of a link: its address is the secret that opens it.
SHARED_PAGE_PATH: Final = "/shared/"
SHARED_PAGE_HEADERS: Final[Headers] = [
    *(
        (name, "no-referrer" if name == "Referrer-Policy" else value)
        for name, value in PAGE_HEADERS
    ),
    ("X-Robots-Tag", "noindex, nofollow"),
]
STATIC_PATH: Final = "/static"
# Its answers say themselves for how long they may be kept.
STATIC_HEADERS: Final[Headers] = [
    *_EVERYWHERE,
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
]
_BY_PATH: Final = (
    ((SHARED_PATH,), SHARED_HEADERS),
    ((SHARED_PAGE_PATH,), SHARED_PAGE_HEADERS),
    (("/api/", "/health", "/openapi.json"), API_HEADERS),
    ((DOCS_PATH,), DOCS_HEADERS),
    ((f"{STATIC_PATH}/",), STATIC_HEADERS),
)


# Clients of the original service listen there, and know one Cache-Control: that of the answer.
STREAMS_PATH: Final = "/api/streams/"
_LISTENING: Final = ("/listen", "/listenAll")


def headers_of(path: str, tiles_url: str = "") -> Headers:
    """The headers of the answers at a path. Pages may show images of the host of ``tiles_url``."""
    if path.startswith(STREAMS_PATH) and path.endswith(_LISTENING):
        return API_HEADERS[:-1]
    found = next((found for starts, found in _BY_PATH if path.startswith(starts)), None)
    return found or page_headers(tiles_url)


@cache
def page_headers(tiles_url: str) -> Headers:
    """`PAGE_HEADERS`, with the origin of the map's tiles among those of images, if there is one."""
    parts = urlsplit(tiles_url)
    images = f"img-src 'self' {parts.scheme}://{parts.netloc};" if tiles_url else "img-src 'self';"
    return [(name, value.replace("img-src 'self';", images)) for name, value in PAGE_HEADERS]


HSTS: Final = ("Strict-Transport-Security", "max-age=31536000")
_STARTS: Final = ("http.response.start", "websocket.http.response.start", "websocket.accept")


class StrictTransport:
    """An ASGI layer that tells browsers which came by TLS to use only TLS for a year (HSTS)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the application."""

        async def send_strictly(message: Message) -> None:
            if message["type"] in _STARTS:
                MutableHeaders(scope=message).append(*HSTS)
            await send(message)

        secure = scope.get("scheme") in ("https", "wss")
        await self._app(scope, receive, send_strictly if secure else send)
