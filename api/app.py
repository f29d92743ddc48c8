"""The application: routes, error table, resources."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psycopg
import psycopg_pool
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.export.slots import Exports
from api.identity.auth import Authenticator
from api.identity.outbound import BoundedTransport
from api.identity.passwords import Passwords
from api.identity.sign_in import open_providers
from api.identity.throttle import Throttle
from api.ingest.ownership import Ownerships
from api.ingest.quota import Quota
from api.ingest.stream_writer import StreamWriter
from api.ingest.uploads import upload_live
from api.state import ApiState, Request
from api.web import docs
from api.web.body import BodyBudget
from api.web.cors import allow_origins
from api.web.openapi import openapi_json
from api.web.problems import EXCEPTION_HANDLERS, MethodNotAllowed, answer_to
from api.web.routing import OPERATIONS, UPLOAD_PATH, Operation
from api.web.security_headers import DOCS_PATH, StrictTransport
from shared.connections import AsyncDatabase, AsyncRedis, open_async_database, open_async_redis
from shared.settings import Settings

NOTE_KEY_USE_EVERY = 180.0  # seconds
COUNT_SAMPLES_EVERY = 1.0  # seconds
logger = logging.getLogger(__name__)


def create_app(settings: Settings) -> ASGIApp:
    """The API of one process. Opens nothing before its lifespan starts."""
    endpoints = make_endpoints()
    routed = Starlette(
        routes=routes(endpoints),
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lambda _: _open_state(settings),
    )
    # Starlette would answer /health/ with a redirect to whatever host the request named.
    routed.router.redirect_slashes = False
    return _guarded(_UploadsFirst(endpoints[UPLOAD_PATH], routed), settings)


def _guarded(app: ASGIApp, settings: Settings) -> ASGIApp:
    """The application behind the layers that the settings ask for; none by default."""
    if settings.cors_origins:
        app = allow_origins(app, settings.cors_origins)
    if settings.trusted_proxies:  # who alone can say that a request came by TLS
        app = StrictTransport(app)
    return app


@asynccontextmanager
async def _open_state(settings: Settings) -> AsyncIterator[ApiState]:
    """What the handlers share, for as long as the process serves."""
    async with (
        open_async_redis(settings) as redis,
        open_async_redis(settings, bounded=False) as uploads,
        _opened(open_async_database(settings)) as database,
        _outbound(settings) as transport,
    ):
        state = ApiState(
            settings=settings,
            database=database,
            redis=redis,
            authenticator=Authenticator(database),
            ownerships=Ownerships(database),
            writer=StreamWriter(uploads, settings.max_pending_bytes, settings.service_timeout),
            quota=Quota(settings.max_samples_per_minute),
            bodies=BodyBudget(settings.max_held_bytes),
            passwords=Passwords(),
            throttle=Throttle(redis, settings),
            exports=Exports(),
            providers=open_providers(settings, transport),
        )
        async with _chores(state):
            yield state


@asynccontextmanager
async def _opened(database: AsyncDatabase) -> AsyncIterator[AsyncDatabase]:
    await database.open(wait=False)  # what is remembered can be served without it
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _outbound(settings: Settings) -> AsyncIterator[BoundedTransport]:
    transport = BoundedTransport(settings.service_timeout)
    try:
        yield transport
    finally:
        await transport.shut()


@asynccontextmanager
async def _chores(state: ApiState) -> AsyncIterator[None]:
    """What is done now and then, off the way of requests."""
    chores = [
        asyncio.create_task(_keep_noting_key_use(state["authenticator"])),
        asyncio.create_task(_keep_counting(state["quota"], state["redis"])),
    ]
    try:
        yield
    finally:
        for chore in chores:
            chore.cancel()
        state["passwords"].close()
        await _note_key_use(state["authenticator"])


def routes(endpoints: Mapping[str, ASGIApp]) -> list[BaseRoute]:
    """Every path there is."""
    return [
        *(Route(path, endpoint) for path, endpoint in endpoints.items()),
        *_document_routes(),
    ]


class Route(StarletteRoute):
    """A route for exactly its path: Starlette's would also take one that a newline follows."""

    def __init__(self, path: str, endpoint: Callable[..., Any]) -> None:
        super().__init__(path, endpoint)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")


class _UploadsFirst:
    """Takes uploads, nearly all there ever is, past the router and its layers."""

    def __init__(self, upload: ASGIApp, others: ASGIApp) -> None:
        self._uploads = {"http": upload, "websocket": upload_live}
        self._others = others
        self._id_of = re.compile(UPLOAD_PATH.replace("{id}", "([^/]+)")).fullmatch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        upload = self._uploads.get(scope["type"])
        if upload and (found := self._id_of(scope["path"])):
            scope["path_params"] = {"id": found[1]}
            await upload(scope, receive, send)
        else:
            await self._others(scope, receive, send)


def make_endpoints() -> dict[str, "_Endpoint"]:
    """One for each path, so that 405 can name every method that it has."""
    methods: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_method = methods.setdefault(operation.path, {})
        by_method[operation.method] = operation
        if operation.method == "GET":
            by_method["HEAD"] = operation  # the server leaves its body out
    return {path: _Endpoint(by_method) for path, by_method in methods.items()}


class _Endpoint:
    """Serves one path, as an ASGI application: plain functions would be given GET alone."""

    def __init__(self, by_method: Mapping[str, Operation]) -> None:
        self._by_method = by_method
        self._allowed = ", ".join(by_method)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        with request.state["bodies"].holding(scope):
            try:
                response = await self._respond(request)
            except Exception as error:
                response = await answer_to(request, error)
            await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        operation = self._by_method.get(request.method)
        if operation is None:
            detail = f"{request.method} is not possible here; {self._allowed} is"
            raise MethodNotAllowed(detail, headers={"Allow": self._allowed})
        handler: Callable[..., Awaitable[Response]] = operation.handler
        if operation.scope is None:
            return await handler(request)
        caller = await request.state["authenticator"].authenticate(request, operation.scope)
        return await handler(request, caller)


def _document_routes() -> list[BaseRoute]:
    async def openapi(_: Request) -> Response:
        return Response(openapi_json(_version()), media_type="application/json")

    return [
        Route("/openapi.json", openapi),
        Route(DOCS_PATH, docs.page),
        Route(f"{DOCS_PATH}/start.js", docs.start_script),
        Mount(f"{DOCS_PATH}/assets", docs.assets()),
    ]


def _version() -> str:
    try:
        return version("bike-power-tracker")
    except PackageNotFoundError:  # run from a checkout, as it usually is
        return "0.1.0"


async def _keep_noting_key_use(authenticator: Authenticator) -> None:
    while True:
        await asyncio.sleep(NOTE_KEY_USE_EVERY)
        await _note_key_use(authenticator)


async def _keep_counting(quota: Quota, redis: AsyncRedis) -> None:
    while True:
        await asyncio.sleep(COUNT_SAMPLES_EVERY)
        try:
            await quota.publish(redis)
        except Exception as error:  # whatever it was, the next second is another try
            logger.warning("could not count samples: %r", error)


async def _note_key_use(authenticator: Authenticator) -> None:
    try:
        await authenticator.note_use()
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
        logger.warning("could not note the use of keys: %s", error)
