"""Errors as pages, for whoever asks for HTML outside the API; all others get the problem."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import psycopg
import psycopg_pool
import redis
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.pages.templates import render, render_bare
from api.pages.visitor import Visitor, visitor_of
from api.web.headers import header
from api.web.problems import NoSuchPath, Problem, ProblemDocument, answer_to, type_of
from api.web.state import Request

Handler = Callable[[HTTPConnection[Any], Exception], Awaitable[Response]]
_TITLES: Final = {
    HTTPStatus.FORBIDDEN: "That is not for you to open",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something broke on our side",
    HTTPStatus.SERVICE_UNAVAILABLE: "Back in a moment",
    HTTPStatus.TOO_MANY_REQUESTS: "That was a little too often",
}
_OUTAGES: Final = (
    *(psycopg.OperationalError, psycopg_pool.PoolTimeout),
    *(redis.RedisError, TimeoutError),
)
# What the service itself had no trouble with: who has signed in is known, most likely.
_ASKED_WRONGLY: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_DETAILS: Final = {
    HTTPStatus.NOT_FOUND: "The address may be mistyped, or what was there is deleted, or belongs"
    " to somebody else.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "It has been logged, and your rides are safe. Try again, or"
    " go back to the start.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The service is busy or restarting. Nothing was lost: load the"
    " page again.",
}


def for_browsers(handlers: Mapping[Any, Handler]) -> Mapping[Any, Handler]:
    """The table of what answers which error, with pages for browsers."""
    return {kind: _for_browsers(handler) for kind, handler in handlers.items()}


async def answer_to_browser(request: HTTPConnection[Any], error: Exception) -> Response:
    """The answer to an error on a page."""
    return await _as_page(request, await answer_to(request, error))


def _for_browsers(handler: Handler) -> Handler:
    async def answer(request: HTTPConnection[Any], error: Exception) -> Response:
        return await _as_page(request, await handler(request, error))

    return answer


async def _as_page(request: HTTPConnection[Any], problem: Response) -> Response:
    """The problem as a page of the same status, unless JSON is wanted.

    Who has signed in keeps the way to other pages.
    """
    if request.scope["type"] != "http" or not _wants_html(request):
        return problem
    status = HTTPStatus(problem.status_code)
    said = msgspec.json.decode(problem.body, type=ProblemDocument)
    detail = " ".join(filter(None, [_DETAILS.get(status), _said(said)]))
    values = {"title": _TITLES.get(status, status.phrase), "detail": detail}
    visitor = await _visitor_of(request) if status in _ASKED_WRONGLY else None
    page = (
        render("error.html", visitor, **values) if visitor else render_bare("error.html", **values)
    )
    kept = {
        name: value
        for name, value in problem.headers.items()
        if name not in ("content-length", "content-type")
    }
    return Response(page, status, kept, "text/html")


async def _visitor_of(request: HTTPConnection[Any]) -> Visitor | None:
    """Whoever has signed in; None for a stranger, and where that cannot be found out now."""
    try:
        visitor = await visitor_of(Request(request.scope))
    except (Problem, *_OUTAGES):
        return None
    return visitor if visitor.signed_in else None


def _wants_html(request: HTTPConnection[Any]) -> bool:
    """Whether a browser shows the answer: signing in by a provider ends at a path of the API."""
    path = request.scope["path"]
    is_shown = not path.startswith("/api/") or path.startswith("/api/sign-in/")
    return is_shown and "text/html" in header(request, b"accept")


def _said(said: ProblemDocument) -> str | None:
    """What the problem itself says, where that is for whoever reads a page."""
    if said.type == type_of(NoSuchPath):
        meant = said.detail.partition("did you mean ")[2]
        return f"Did you mean {meant}" if meant and not meant.startswith("/api/") else None
    return None if HTTPStatus(said.status) in _DETAILS else _sentence(said.detail)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
