"""Errors as RFC 9457 problems, and the table of which error gets which status."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

import msgspec
import psycopg
import psycopg_pool
import redis
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from shared.errors import ServiceUnavailable, TrackerError

# Clients of the original service show it.
_HINT: Final = (
    "send an API key in the header X-API-Key; in a query it counts for event streams alone"
)
logger = logging.getLogger(__name__)


class Fault(msgspec.Struct, omit_defaults=True):
    """One thing that is wrong with the input: where, and what."""

    detail: str
    member: str | None = None
    index: int | None = None


class ProblemDocument(msgspec.Struct, omit_defaults=True):
    """An RFC 9457 problem. ``error`` repeats ``detail`` for clients that read that."""

    type: str
    title: str
    status: int
    detail: str
    error: str
    errors: list[Fault] = []


class Problem(TrackerError):
    """An answer other than success. Subclasses give the status."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(
        self,
        detail: str,
        errors: list[Fault] | None = None,
        headers: Mapping[str, str] = {},
        members: Mapping[str, Any] = {},
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []
        self.headers = headers
        self.members = members  # of the document, beside those that every problem has


class BadRequest(Problem):
    """The body cannot be read, or there is no sign-in under way for what was sent."""

    status = HTTPStatus.BAD_REQUEST


class Unauthorized(Problem):
    """No key, password or ID token that proves who calls."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, detail: str) -> None:
        asks = {"WWW-Authenticate": 'Bearer realm="bike-power-tracker"'}
        super().__init__(detail, headers=asks, members={"hint": _HINT})


class Forbidden(Problem):
    """Not for this caller.

    Its key lacks the scope, its session is not fresh, its user may not register or is disabled, or
    a page of its origin may not connect.
    """

    status = HTTPStatus.FORBIDDEN


class NotFound(Problem):
    """There is no such thing, or it is another user's: the answer does not tell which."""

    status = HTTPStatus.NOT_FOUND


class MethodNotAllowed(Problem):
    """The path has other methods, which ``Allow`` names."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


class RequestTimeout(Problem):
    """The body took too long to arrive."""

    status = HTTPStatus.REQUEST_TIMEOUT


class Conflict(Problem):
    """The current state does not allow it: a workout's state, a taken address, too many keys."""

    status = HTTPStatus.CONFLICT


class TooLarge(Problem):
    """The body has too many bytes, inflated or not, or too many samples."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class TooManyRequests(Problem):
    """The user or the client asks too often; ``Retry-After`` says when it may ask again."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class UnsupportedMediaType(Problem):
    """A content type or encoding that this resource does not take."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class Unprocessable(Problem):
    """Well-formed, but a value is of the wrong kind or out of bounds; ``errors`` says where."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class ProviderUnavailable(Problem):
    """The user's OpenID provider does not answer, or not as the protocol asks."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


def problem_response(problem: Problem) -> Response:
    """The problem as ``application/problem+json``."""
    return _respond(
        problem.status, problem.detail, problem.errors, problem.headers, problem.members
    )


async def on_problem(_: HTTPConnection[Any], error: Exception) -> Response:
    """Answer with the problem that was raised."""
    assert isinstance(error, Problem)  # noqa: S101 - narrows the type of a handler's argument
    return problem_response(error)


async def on_http_exception(_: HTTPConnection[Any], error: Exception) -> Response:
    """Starlette's own refusals, such as an unknown path, in the same form."""
    assert isinstance(error, HTTPException)  # noqa: S101
    return _respond(HTTPStatus(error.status_code), error.detail, [], error.headers or {})


async def on_unavailable(request: HTTPConnection[Any], error: Exception) -> Response:
    """PostgreSQL or Redis does not answer: the client should send the same again later."""
    logger.warning("could not serve %s: %s: %s", request.url.path, type(error).__name__, error)
    retry_after = error.retry_after if isinstance(error, ServiceUnavailable) else 1
    detail = "the service is busy or restarting; nothing was lost, send the same again"
    return _respond(HTTPStatus.SERVICE_UNAVAILABLE, detail, [], {"Retry-After": str(retry_after)})


async def on_server_error(request: HTTPConnection[Any], error: Exception) -> Response:
    """A mistake in this program: logged with its traceback, of which the client sees nothing."""
    method = request.scope.get("method", "WebSocket")
    logger.error("failed to serve %s %s", method, request.url.path, exc_info=error)
    detail, closing = "this is our fault; it was logged", {"Connection": "close"}  # as uvicorn will
    return _respond(HTTPStatus.INTERNAL_SERVER_ERROR, detail, [], closing)


_UNAVAILABLE = (
    ServiceUnavailable,
    psycopg.OperationalError,
    psycopg_pool.PoolTimeout,
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ResponseError,  # OOM, LOADING, READONLY: the server refuses writes for now
    TimeoutError,
)

EXCEPTION_HANDLERS: Mapping[Any, Any] = {
    Problem: on_problem,
    HTTPException: on_http_exception,
    **dict.fromkeys(_UNAVAILABLE, on_unavailable),
    Exception: on_server_error,
}


async def answer_to(request: HTTPConnection[Any], error: Exception) -> Response:
    """The answer that the table has for an error, by its class or the nearest above it."""
    handler = next(
        EXCEPTION_HANDLERS[kind] for kind in type(error).__mro__ if kind in EXCEPTION_HANDLERS
    )
    response: Response = await handler(request, error)
    return response


def _respond(
    status: HTTPStatus,
    detail: str,
    errors: list[Fault],
    headers: Mapping[str, str],
    members: Mapping[str, Any] = {},
) -> Response:
    document = ProblemDocument("about:blank", status.phrase, status, detail, detail, errors)
    body = msgspec.json.encode(document)
    if members:
        body = body[:-1] + b"," + msgspec.json.encode(members)[1:]
    return Response(body, status, dict(headers), "application/problem+json")
