"""Pages, and the endpoint of one: it finds out who looks, calls the handler, answers errors."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from api.identity.cookies import require_token
from api.pages.errors import answer_to_browser
from api.pages.visitor import PagesRequest, Visitor, path_of, recognise_later, visitor_of
from api.web.body import MOST_OF_STRANGERS, content_type, read_body
from api.web.headers import header
from api.web.problems import Forbidden, MethodNotAllowed, UnsupportedMediaType
from api.web.state import Request

FORM: Final = "application/x-www-form-urlencoded"
SIGN_IN: Final = "/sign-in"
Fields = dict[str, str]  # of a form
Show = Callable[[PagesRequest, Visitor], Awaitable[Response]]
Act = Callable[[PagesRequest, Visitor, Fields], Awaitable[Response]]


@dataclass(frozen=True)
class Page:
    """A page. ``show`` answers GET, ``act`` the POST of a form on it.

    ``is_public``: strangers see it, too; else they are sent to sign in and come back.
    ``takes_athlete``: with `athlete` in its query it shows the data of somebody who has let the
    visitor in, and changes nothing.
    ``of_primary``: it shows rows of others than the visitor, or none that may be some seconds old.
    """

    path: str
    show: Show | None = None
    act: Act | None = None
    is_public: bool = False
    takes_athlete: bool = False
    of_primary: bool = False


class PageEndpoint:
    """Serves one page as an ASGI application."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, errors included."""
        request = Request[Any](scope, receive, send)
        bodies, answers = request.state["bodies"], request.state["answers"]
        with bodies.holding(scope), answers.holding(scope):
            try:
                response = await self._respond(request)
            except Exception as error:
                response = await answer_to_browser(request, error)
            await response(scope, receive, send)

    async def _respond(self, request: PagesRequest) -> Response:
        page, method = self._page, request.method
        if method in ("GET", "HEAD") and page.show:
            return await self._show(request, page.show)
        if method == "POST" and page.act:
            return await self._act(request, page.act)
        allowed = ", ".join(["GET, HEAD"] * bool(page.show) + ["POST"] * bool(page.act))
        detail = f"{method} is not possible here; {allowed} is"
        raise MethodNotAllowed(detail, headers={"Allow": allowed})

    async def _show(self, request: PagesRequest, show: Show) -> Response:
        visitor = await visitor_of(request, takes_athlete=self._page.takes_athlete)
        if not (visitor.signed_in or self._page.is_public):
            return _to_sign_in(request)
        how: Callable[[], Awaitable[Response]] = partial(show, request, visitor)
        if not self._page.of_primary:
            how = partial(_by_replica, request, visitor, how, reads=True)
        response = await how()
        recognise_later(response, request, visitor)
        return response

    async def _act(self, request: PagesRequest, act: Act) -> Response:
        if header(request, b"sec-fetch-site") not in ("", "same-origin"):
            raise Forbidden("this form was not sent by a page of ours")
        fields = await _read_form(request)
        visitor = await visitor_of(request)
        require_token(visitor.secret, fields.pop("token", ""))
        if not (visitor.signed_in or self._page.is_public):
            return _to_sign_in(request)
        how = partial(act, request, visitor, fields)
        return await _by_replica(request, visitor, how, reads=False)


async def _by_replica(
    request: PagesRequest,
    visitor: Visitor,
    answer: Callable[[], Awaitable[Response]],
    *,
    reads: bool,
) -> Response:
    """The answer to who has signed in has a replica to read from, where there is one."""
    replica, signed_in = request.state["replica"], visitor.signed_in
    if replica is None or signed_in is None:
        return await answer()
    async with replica.serving(request, signed_in.caller.user_id, reads=reads):
        return await answer()


def go_to(path: str) -> RedirectResponse:
    """Have the browser show another page after a form."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def local_path(text: str) -> str:
    """The text, if it is a path of ours to go to; else the start page's."""
    is_path = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_path else "/"


def _to_sign_in(request: PagesRequest) -> Response:
    return go_to(f"{SIGN_IN}?next={quote(path_of(request), safe='/')}")


async def _read_form(request: PagesRequest) -> Fields:
    if content_type(request) != FORM:
        raise UnsupportedMediaType(f"send {FORM}")
    body = await read_body(request, request.state["settings"], most=MOST_OF_STRANGERS)
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
