"""Errors as RFC 9457 problems, and the table of which error gets which status.

Each kind of problem has an address, `/problems/…`, that stays: clients may go by it.
"""

import logging
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Final

import msgspec
import psycopg
import psycopg_pool
import redis
from msgspec import UNSET, Meta, UnsetType
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.web.access_log import route_of, told_id
from shared.errors import ServiceUnavailable, TrackerError

PROBLEMS_PATH: Final = "/problems"
# Clients of the original service show it.
_HINT: Final = (
    "send an API key in the header X-API-Key, or a key or an app's token as Authorization: Bearer;"
    " in a query an API key counts for event streams alone"
)
_BEARER: Final = 'Bearer realm="bike-power-tracker"'
logger = logging.getLogger(__name__)


class Fault(msgspec.Struct, omit_defaults=True):
    """One thing that is wrong with the input: where, and what."""

    detail: str
    member: str | None = None
    index: int | None = None


def about(detail: str, *members: str) -> list[Fault]:
    """The same said of each of some members that are only wrong together."""
    return [Fault(detail, member) for member in members]


class ProblemDocument(msgspec.Struct, omit_defaults=True):
    """An RFC 9457 problem. ``error`` repeats ``detail`` for clients that read that."""

    type: Annotated[str, Meta(description="The address of what this kind of problem is")]
    title: str
    status: int
    detail: str
    error: str
    errors: list[Fault] = []
    hint: Annotated[str, Meta(description="Of 401: how a key is sent")] | UnsetType = UNSET


class Problem(TrackerError):
    """The service has made a mistake, which is logged: send the same again, once, or ask us."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    name: ClassVar[str] = "server-error"
    title: ClassVar[str] = "A fault of the service"

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
    name = "unreadable"
    title = "It cannot be read"


class Unauthorized(Problem):
    """No key, password or ID token that proves who calls: send one that opens."""

    status = HTTPStatus.UNAUTHORIZED
    name = "not-authenticated"
    title = "Nobody is logged in"

    def __init__(self, detail: str, *, is_token_wrong: bool = False) -> None:
        asks = f'{_BEARER}, error="invalid_token"' if is_token_wrong else _BEARER
        super().__init__(detail, headers={"WWW-Authenticate": asks}, members={"hint": _HINT})


class Forbidden(Problem):
    """Not for this caller.

    Its key lacks the scope, its session is not fresh, its user may not register or is disabled, or
    a page of its origin may not connect.
    """

    status = HTTPStatus.FORBIDDEN
    name = "forbidden"
    title = "Not for this caller"


class MalformedKey(BadRequest):
    """The header `Idempotency-Key` holds no key: send 16 to 255 characters, such as a new UUID."""

    name = "idempotency-key-malformed"
    title = "It is no Idempotency-Key"


class NotActive(BadRequest):
    """The ride, which a stream fed, was completed before: its result is at `/api/workouts/{id}`."""

    name = "not-active"
    title = "The workout is over already"


class FormInstead(BadRequest):
    """A form came in place of JSON: send the header `Content-Type: application/json`.

    Only where clients of the original service expect 400; elsewhere it is 415.
    """

    name = "form-instead"
    title = "It is a form"


class MissingScope(Forbidden):
    """The key or token lacks the scope that the operation needs: use, or make, one that has it."""

    name = "missing-scope"
    title = "The key lacks a scope"

    @classmethod
    def of(cls, *scopes: str) -> "MissingScope":
        """Of an operation that any of these allows, the first of which is asked for."""
        asks = f'{_BEARER}, error="insufficient_scope", scope="{scopes[0]}"'
        named = "` or `".join(scopes)
        detail = f"this key or token lacks the scope `{named}`"
        return cls(detail, headers={"WWW-Authenticate": asks})


class NotFound(Problem):
    """There is no such thing, or it is another user's: the answer does not tell which."""

    status = HTTPStatus.NOT_FOUND
    name = "not-found"
    title = "There is no such thing"


class NoSuchPath(NotFound):
    """The service has nothing at this path; ``detail`` names the nearest that it has."""

    name = "no-such-path"
    title = "There is no such path"


class MethodNotAllowed(Problem):
    """The path has other methods, which the header ``Allow`` names."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    name = "method-not-allowed"
    title = "Another method"


class RequestTimeout(Problem):
    """The body took too long to arrive."""

    status = HTTPStatus.REQUEST_TIMEOUT
    name = "too-slow"
    title = "The body came too slowly"


class Conflict(Problem):
    """The current state does not allow it: a workout's state, a taken address, too many keys."""

    status = HTTPStatus.CONFLICT
    name = "conflict"
    title = "What there is does not allow it"


class WrongState(Conflict):
    """The workout's state does not allow it; ``detail`` names the state."""

    name = "wrong-state"
    title = "The workout is in another state"


class LimitReached(Conflict):
    """There are as many of these already as there may be: end or delete some."""

    name = "limit-reached"
    title = "There are as many as there may be"


class Duplicate(Conflict):
    """The same file or ride is here already; ``duplicateOf`` names it."""

    name = "duplicate"
    title = "It is here already"


class KeyInUse(Conflict):
    """The first request with this `Idempotency-Key` is being worked on.

    Send the same again after ``Retry-After`` seconds: the answer will be that of the first.
    """

    name = "idempotency-key-in-use"
    title = "The first request is under way"


class RevokedSince(Conflict):
    """What this request made, the first time that it was sent with its key, opens nothing any more.

    The API key or the link was revoked, or has expired: the secret of the first answer is not given
    out again. To make another one, send the request with a new `Idempotency-Key`.
    """

    name = "revoked-since"
    title = "It was revoked since"


class CursorGone(Problem):
    """The database was restored or moved since the cursor was given.

    What has changed since is not known: ask for everything, without a cursor, and drop whatever
    does not come any more.
    """

    status = HTTPStatus.GONE
    name = "cursor-gone"
    title = "The cursor is of another database"


class TooLarge(Problem):
    """The body has too many bytes, inflated or not, or too many samples."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    name = "too-large"
    title = "Too much at a time"


class StorageFull(TooLarge):
    """The user's files and samples take all that they may: delete some rides, or ask the operator.

    `GET /api/users/me` says how much that is. Rides that are sent live are taken all the same.
    """

    name = "storage-full"
    title = "No room is left"


class TooManyRequests(Problem):
    """The user or the client asks too often; ``Retry-After`` says when it may ask again."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    name = "too-many-requests"
    title = "Too often"


class UnsupportedMediaType(Problem):
    """A content type or encoding that this resource does not take."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    name = "unsupported-media-type"
    title = "Another kind of content"


class Unprocessable(Problem):
    """Well-formed, but a value is of the wrong kind or out of bounds; ``errors`` says where."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    name = "invalid-input"
    title = "A value is wrong"


class UnknownName(Unprocessable):
    """A member of the body or a parameter of the query that nothing here has.

    It would have been ignored, and something else done than was meant. ``errors`` names each, with
    its path and the nearest name that there is.
    """

    name = "unknown-name"
    title = "A name that is not known"


class RepeatedName(Unprocessable):
    """A member of the body, a field of the form or a parameter of the query is there twice.

    All but one would have been ignored. ``errors`` names each.
    """

    name = "repeated-name"
    title = "A name is there twice"


class KeyReused(Unprocessable):
    """This `Idempotency-Key` was used within a day for a request with another path or body.

    Nothing was made. To make something else, send a new key; to repeat the request, send the same.
    """

    name = "idempotency-key-reused"
    title = "The Idempotency-Key is another request's"


class BadSamples(Unprocessable):
    """Some samples of a batch are wrong, and nothing of it was stored; ``errors`` says which.

    With `Prefer: handling=lenient` the others are stored.
    """

    name = "bad-samples"
    title = "Samples are wrong"


class Busy(Problem):
    """The service is busy or restarting: send the same again after ``Retry-After`` seconds.

    Nothing was lost, and nothing counts twice.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    name = "busy"
    title = "Busy or restarting"


class ProviderUnavailable(Problem):
    """The user's OpenID provider does not answer, or not as the protocol asks."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    name = "provider-unavailable"
    title = "The provider does not answer"


_OF_STARLETTE: Final[Mapping[type[Problem], str]] = {
    MethodNotAllowed: "this path has other methods",
    NotFound: "there is nothing at this path",
}


def kinds_of_problems() -> dict[str, type[Problem]]:
    """Every kind by its name, as they are told here."""
    return {kind.name: kind for kind in _with_subclasses(Problem)}


def type_of(kind: type[Problem]) -> str:
    """The address of a kind of problem."""
    return f"{PROBLEMS_PATH}/{kind.name}"


def problem_response(problem: Problem) -> Response:
    """The problem as ``application/problem+json``."""
    said = (type_of(type(problem)), problem.title, problem.status, problem.detail, problem.detail)
    body = msgspec.json.encode(ProblemDocument(*said, problem.errors))
    if problem.members:
        body = body[:-1] + b"," + msgspec.json.encode(problem.members)[1:]
    return Response(body, problem.status, dict(problem.headers), "application/problem+json")


async def on_problem(_: HTTPConnection[Any], error: Exception) -> Response:
    """Answer with the problem that was raised."""
    assert isinstance(error, Problem)  # noqa: S101 - narrows the type of a handler's argument
    return problem_response(error)


async def on_http_exception(_: HTTPConnection[Any], error: Exception) -> Response:
    """Starlette's own refusals, such as another method, in the same form."""
    assert isinstance(error, HTTPException)  # noqa: S101
    kinds = kinds_of_problems().values()
    kind = next((each for each in kinds if each.status == error.status_code), Problem)
    return problem_response(kind(_OF_STARLETTE.get(kind, error.detail), None, error.headers or {}))


async def on_unavailable(request: HTTPConnection[Any], error: Exception) -> Response:
    """PostgreSQL or Redis does not answer: the client should send the same again later."""
    path, which = route_of(request.scope), told_id(request.scope)
    logger.warning("could not serve %s: %s: %s%s", path, type(error).__name__, error, which)
    retry_after = error.retry_after if isinstance(error, ServiceUnavailable) else 1
    detail = "the service is busy or restarting; nothing was lost, send the same again"
    return problem_response(Busy(detail, headers={"Retry-After": str(retry_after)}))


async def on_server_error(request: HTTPConnection[Any], error: Exception) -> Response:
    """A mistake in this program: logged with its traceback, of which the client sees nothing."""
    method = request.scope.get("method", "WebSocket")
    path, which = route_of(request.scope), told_id(request.scope)
    logger.error("failed to serve %s %s%s", method, path, which, exc_info=error)
    closing = {"Connection": "close"}  # as uvicorn will
    return problem_response(Problem("this is our fault; it was logged", headers=closing))


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


def _with_subclasses(kind: type[Problem]) -> Iterator[type[Problem]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _with_subclasses(each)
