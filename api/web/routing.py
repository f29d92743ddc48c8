"""Operations, and the endpoint of a path: it authenticates, calls the handler, answers errors."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from msgspec import Meta
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from api.web.body import JSON, refuse_body
from api.web.fast_lane import FAILURE
from api.web.problems import MethodNotAllowed, answer_to
from api.web.query import require_known
from api.web.revalidation import answer_unless_held
from api.web.sending import UNCOUNTED, TimedStream
from api.web.state import Request
from shared import tracing
from shared.logs import remember

Scope = Annotated[Literal["upload", "read", "admin"], Meta(title="Scope")]
# An Idempotency-Key: a token, or the quoted string that the draft asks for; too long to guess.
_TEXT: Final = r"[A-Za-z0-9._~:/+=-]{16,255}"
KEY_PATTERN: Final = f'^({_TEXT}|"{_TEXT}")$'
_OF_WORKOUT: Final = "/api/workouts/{id}"
# The parameter that names whose data are read, where they are not the caller's own.
ATHLETE: Final = "athlete"
# The description of a 409.
CONFLICT: Final = {HTTPStatus.CONFLICT: "What there is already does not allow it"}


@dataclass(frozen=True)
class Operation:
    """A method of a path: who may call it, what it takes, what it answers.

    ``handler``: takes the request, and with a ``scope`` the caller. ``scope``: what the API key
    must allow; None for everybody. ``or_scope``: another one that suffices.
    ``answers``: status → type of the body, None without one.
    ``body``: content type → type. ``prefer``: what the ``Prefer`` header may ask for.
    ``example``: a JSON body that somebody might send. ``media``: content types of the answer.
    ``headers``: of the answer. ``refusals``: those beside what every operation of its kind has.
    ``problems``: the type of a refusal that has more members than every problem.
    ``is_open``: parameters of the query that are not known are ignored, as others may add some, and
    so are members of the body; by default they are refused.
    ``reads_body``: whether the handler reads a body that only clients of the original service send;
    by default one that says anything is refused where ``body`` is empty.
    ``makes``: the name in paths of what it makes, and where the answer says it.
    ``key_in_query``: whether the key may come as the parameter `apiKey`, where a browser can set no
    header.
    ``takes_key``: repeated with its ``Idempotency-Key``, it gives the same answer.
    ``takes_athlete``: `athlete` in the query has it read the data of somebody who has let the
    caller in; by default it is of the caller's account alone.
    ``of_primary``: it reads, and yet nothing that is some seconds old, as a replica's rows may be.
    """

    method: str
    path: str
    handler: Callable[..., Awaitable[Response]]
    answers: Mapping[HTTPStatus, Any]
    scope: Scope | None = None
    or_scope: Scope | None = None
    query: type | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    prefer: str | None = None
    example: Any = None
    media: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()
    refusals: Mapping[HTTPStatus, str] = field(default_factory=dict)
    problems: Mapping[HTTPStatus, Any] = field(default_factory=dict)
    makes: tuple[str, str] | None = None
    is_open: bool = False
    reads_body: bool = False
    key_in_query: bool = False
    takes_key: bool = False
    takes_athlete: bool = False
    of_primary: bool = False

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Each of which is enough; none for everybody."""
        return tuple(scope for scope in (self.scope, self.or_scope) if scope)

    @property
    def takes_no_body(self) -> bool:
        """Whether what is said in a body would be ignored, and is refused instead."""
        return not (self.body or self.reads_body or self.is_open)

    @property
    def is_revalidated(self) -> bool:
        """Whether its answer has an ETag: all JSON that is read with a key."""
        return self.method == "GET" and self.scope is not None and JSON in self.media


@dataclass(frozen=True)
class Operations:
    """The operations of one subject, which the document shows together.

    ``messages``: the types of what is sent to webhooks, by the names of the events.
    """

    tag: str
    about: str
    operations: tuple[Operation, ...]
    messages: Mapping[str, Any] = field(default_factory=dict)

    def opened(self) -> tuple[Operation, ...]:
        """The operations, which ignore what nobody knows: clients of old may send it."""
        return tuple(replace(each, is_open=True) for each in self.operations)


Authenticate = Callable[..., Awaitable[Any]]  # takes the request and scopes, gives the caller


def make_endpoints(
    operations: Iterable[Operation], authenticate: Authenticate
) -> dict[str, "Endpoint"]:
    """One for each path, so that 405 can name every method that it has."""
    methods: dict[str, dict[str, Operation]] = {}
    for operation in map(_strict_about_bodies, operations):
        by_method = methods.setdefault(operation.path, {})
        by_method[operation.method] = operation
        if operation.method == "GET":
            by_method["HEAD"] = operation  # the server leaves its body out
    return {path: Endpoint(by_method, authenticate) for path, by_method in methods.items()}


def _strict_about_bodies(operation: Operation) -> Operation:
    """The operation with a handler that refuses a body where there is nothing to be said in one."""
    if not operation.takes_no_body:
        return operation

    async def handle(request: Request[Any], *caller: Any) -> Response:
        await refuse_body(request, operation.query)
        return await operation.handler(request, *caller)

    return replace(operation, handler=handle)


class Endpoint:
    """Serves one path as an ASGI application, which Starlette lets have every method."""

    def __init__(self, by_method: Mapping[str, Operation], authenticate: Authenticate) -> None:
        self._by_method = by_method
        self._allowed = ", ".join(by_method)
        self._path = next(iter(by_method.values())).path
        self._is_of_workout = self._path.startswith(_OF_WORKOUT)
        self._authenticate = authenticate

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request, errors included."""
        request = Request[Any](scope, receive, send)
        bodies, answers = request.state["bodies"], request.state["answers"]
        with bodies.holding(scope), answers.holding(scope):
            with tracing.span(f"{request.method} {self._path}", self._ride_of(request)):
                try:
                    response = await self._respond(request)
                except Exception as error:
                    response = await answer_to(request, error)
            await response(scope, receive, send)

    async def _respond(self, request: Request[Any]) -> Response:
        if failure := request.scope.get(FAILURE):
            raise failure
        operation = self._by_method.get(request.method)
        if operation is None:
            detail = f"{request.method} is not possible here; {self._allowed} is"
            raise MethodNotAllowed(detail, headers={"Allow": self._allowed})
        if operation.scope is None:
            _require_known_query(request, operation)
            return await operation.handler(request)
        caller = await self._authenticate(
            request,
            *operation.scopes,
            in_query=operation.key_in_query,
            takes_athlete=operation.takes_athlete,
        )
        request.scope["user_id"] = caller.own_id  # for the access log
        remember(user=caller.own_id, workout=self._ride_of(request))
        _require_known_query(request, operation)
        response = await _by_replica(request, operation, caller)
        body = getattr(response, "body", b"")  # a stream has none
        if operation.is_revalidated and body and response.status_code == HTTPStatus.OK:
            response = answer_unless_held(request, response)
            body = response.body
        if len(body) <= UNCOUNTED:
            return response
        request.state["answers"].take(request.scope, caller.own_id, len(body))
        return TimedStream.of(response, request.state["settings"].body_timeout)

    def _ride_of(self, request: Request[Any]) -> str | None:
        """The workout that the path names, for logs and traces."""
        return request.path_params["id"] if self._is_of_workout else None


async def _by_replica(request: Request[Any], operation: Operation, caller: Any) -> Response:
    """The answer of the handler, which has a replica to read from where there is one."""
    replica, reads = request.state["replica"], operation.method == "GET"
    if replica is None or (reads and operation.of_primary):
        return await operation.handler(request, caller)
    async with replica.serving(request, caller.user_id, reads=reads):
        return await operation.handler(request, caller)


def _require_known_query(request: Request[Any], operation: Operation) -> None:
    """Raises UnknownName: what is ignored would do something else than was meant."""
    if request.scope["query_string"] and not operation.is_open:
        beside = (ATHLETE,) if operation.takes_athlete else ()
        require_known(request, operation.query, beside)


class Route(StarletteRoute):
    """A route for exactly its path: Starlette's also matches one with a newline at its end."""

    def __init__(self, path: str, endpoint: ASGIApp | Callable[..., Any]) -> None:
        super().__init__(path, endpoint)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")
