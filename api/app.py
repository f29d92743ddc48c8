"""The application: routes, error table, resources."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import psycopg
import psycopg_pool
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from api.apps import connections, registered
from api.apps import routes as oauth
from api.clients import riders as client_riders
from api.clients import streams
from api.clients import workouts as client_workouts
from api.clients.listening import Listening
from api.clients.log import StreamLog
from api.clients.rides import StreamRides
from api.clients.state import ClientsState
from api.clients.workouts import STREAM_IN_PATH
from api.export import account as export
from api.export import ride_file
from api.export.slots import Exports
from api.export.state import ExportState
from api.files import routes as files
from api.files.budget import FileBudget
from api.health import routes as health
from api.identity import accounts, keys, logins, profile, sign_in
from api.identity.auth import Authenticator, authenticate
from api.identity.outbound import BoundedTransport
from api.identity.passwords import Passwords
from api.identity.throttle import Throttle
from api.ingest import uploads
from api.ingest.access import AccessWatch
from api.ingest.epochs import Epochs
from api.ingest.fast_lane import FastLane
from api.ingest.ownership import Ownerships
from api.ingest.quota import Quota
from api.ingest.ride_sizes import RideSizes
from api.ingest.sockets import Sockets
from api.ingest.state import IngestState
from api.ingest.stream_writer import StreamWriter
from api.ingest.unknown import FirstBatches
from api.ingest.waiting import WaitingBytes, keep_shares
from api.live import routes as live
from api.live.store import find_shut_keys, find_shut_readers
from api.live.viewers import Viewers
from api.live.watching import Watching
from api.pages import routes as pages
from api.pages.errors import for_browsers
from api.season import ftp_suggestion, records, thresholds, totals
from api.sharing import athletes, people, shared, shares
from api.sharing.store import find_shut_shares
from api.web import docs, problem_pages
from api.web.access_log import AccessLog
from api.web.body import BodyBudget
from api.web.cors import AllowOrigins
from api.web.counting import CountRequests
from api.web.layers import LayerHeaders
from api.web.openapi import openapi_json
from api.web.paths import Paths
from api.web.problems import EXCEPTION_HANDLERS
from api.web.routing import Route, make_endpoints
from api.web.security_headers import DOCS_PATH, StrictTransport
from api.web.sending import AnswerBudget
from api.web.state import Request
from api.webhooks import webhooks
from api.workouts import chart, laps, measuring, remedies, starting, telemetry
from api.workouts import routes as workouts
from api.workouts.finished import Announcements
from shared import tracing
from shared.connections import AsyncPool, open_async_database, open_async_redis
from shared.monitoring.counts import RequestCounts
from shared.monitoring.server import monitored
from shared.originals import open_originals
from shared.replicas import Replica
from shared.settings import Settings
from shared.version import VERSION

NOTE_KEY_USE_EVERY = 180.0  # seconds
COUNT_SAMPLES_EVERY = 1.0  # seconds
LOOK_THROUGH_SOCKETS_EVERY = 2.0  # seconds, so that each is closed within REVOCATION_BOUND
WATCH_ACCESS_EVERY = 1.5  # seconds: a question may take as long as that, and another be lost
logger = logging.getLogger(__name__)


class ServiceState(ExportState, ClientsState):
    """What the handlers of every room share, and the protocol's fast lane, where there is one."""

    fast_lane: FastLane | None


# In the order in which a stranger needs them.
SUBJECTS: Final = (
    accounts.OPERATIONS,
    logins.OPERATIONS,
    sign_in.OPERATIONS,
    keys.OPERATIONS,
    registered.OPERATIONS,
    connections.OPERATIONS,
    starting.OPERATIONS,
    workouts.OPERATIONS,
    laps.OPERATIONS,
    uploads.OPERATIONS,
    telemetry.OPERATIONS,
    files.OPERATIONS,
    chart.OPERATIONS,
    measuring.OPERATIONS,
    records.OPERATIONS,
    totals.OPERATIONS,
    ftp_suggestion.OPERATIONS,
    profile.OPERATIONS,
    thresholds.OPERATIONS,
    remedies.OPERATIONS,
    live.OPERATIONS,
    shares.OPERATIONS,
    people.OPERATIONS,
    athletes.OPERATIONS,
    shared.OPERATIONS,
    webhooks.OPERATIONS,
    ride_file.OPERATIONS,
    export.OPERATIONS,
    health.OPERATIONS,
)
# By what somebody watches a ride → which of them hold no more.
SHUT: Final = {"key": find_shut_keys, "reader": find_shut_readers, "share": find_shut_shares}
OPERATIONS: Final = tuple(each for subject in SUBJECTS for each in subject.operations)
# What is only there for clients of the original service. The document, which is of our own API,
# leaves it out: docs/existing-clients.md has it.
COMPATIBLE: Final = (client_workouts.OPERATIONS, streams.OPERATIONS, client_riders.OPERATIONS)
# In the order in which paths are tried: a stream may be called `chart`, and no user `me`.
_SERVED: Final = (
    *client_workouts.OPERATIONS.opened(),
    *OPERATIONS,
    *streams.OPERATIONS.opened(),
    *client_riders.OPERATIONS.opened(),
)
# Paths that nobody who mistypes one is told of, as the document leaves them out.
_UNTOLD: Final = {each.path for subject in COMPATIBLE for each in subject.operations}


def create_app(settings: Settings, clock: Callable[[], float] = time.time) -> ASGIApp:
    """The API of one process. Opens nothing before its lifespan starts.

    ``clock``: Unix seconds, by which quotas count their minutes.
    """
    endpoints = make_endpoints(_SERVED, authenticate)
    every = [*routes(endpoints), *oauth.routes(), *pages.routes()]
    routed = Starlette(
        routes=every,
        exception_handlers=for_browsers(EXCEPTION_HANDLERS),
        lifespan=lambda _: _open_state(settings, clock),
    )
    # Starlette would answer /health/ with a redirect to whatever host the request named.
    routed.router.redirect_slashes = False
    told = [each.path for each in every if isinstance(each, Route) and each.path not in _UNTOLD]
    refuse = routed.router.default = Paths(told, [uploads.PATH]).refuse
    served = _UploadsFirst(endpoints[uploads.PATH], routed, refuse)
    return CountRequests(_guarded(served, settings), uploads.PATH)


def _guarded(app: ASGIApp, settings: Settings) -> ASGIApp:
    """The application behind the layers that the settings ask for; none by default."""
    if settings.cors_origins:
        app = AllowOrigins(app, settings.cors_origins)
    if settings.trusted_proxies:  # who alone can say that a request came by TLS
        app = StrictTransport(app)
    return AccessLog(app) if settings.access_log else app


@asynccontextmanager
async def _open_state(
    settings: Settings, clock: Callable[[], float]
) -> AsyncIterator[ServiceState]:
    """What the handlers share, for as long as the process serves."""
    epochs = Epochs()
    async with (
        AsyncExitStack() as opened,
        open_async_redis(settings) as redis,
        open_async_redis(settings, bounded=False, greet=epochs.greet) as uploads,
        _opened(open_async_database(settings)) as database,
        _outbound(settings) as transport,
    ):
        replica = None
        if settings.database_read_url:
            replica = Replica(settings, database, redis)
            await opened.enter_async_context(replica)
        counts = RequestCounts()
        figures = opened.enter_context(monitored(settings, "api"))
        figures.watch_requests(counts)
        figures.watch_pool(database.get_stats)
        if replica:
            figures.watch_reads(replica)
        ride_sizes = RideSizes(settings.max_ride_samples)
        ingest = IngestState(
            settings=settings,
            database=database,
            replica=replica,
            redis=redis,
            counts=counts,
            authenticator=Authenticator(
                database,
                allow_anonymous=settings.allow_anonymous,
                origins=settings.cors_origins,
            ),
            ownerships=Ownerships(database, ride_sizes),
            writer=StreamWriter(
                uploads, epochs, settings.max_pending_bytes, settings.service_timeout
            ),
            quota=Quota(settings.max_samples_per_minute, clock),
            sockets=Sockets(settings),
            ride_sizes=ride_sizes,
            waiting=WaitingBytes(settings.max_waiting_bytes),
            first_batches=FirstBatches(),
            bodies=BodyBudget(settings.max_held_bytes),
            answers=AnswerBudget(settings.max_held_answer_bytes, settings.service_timeout),
            passwords=Passwords(),
            throttle=Throttle(redis, settings),
            providers=sign_in.open_providers(settings, transport),
        )
        announcements = Announcements(redis)
        watching = Watching(redis, database, announcements, Viewers(settings), SHUT)
        opened.push_async_callback(ingest["writer"].close)
        stream_log = StreamLog(redis, settings)
        stream_rides = StreamRides(stream_log, ingest)
        state = ServiceState(
            **ingest,
            announcements=announcements,
            watching=watching,
            stream_log=stream_log,
            stream_rides=stream_rides,
            ride_streams=stream_rides,
            listening=Listening(redis, watching, settings.service_timeout),
            files=FileBudget(settings.max_held_file_bytes),
            originals=open_originals(settings),
            exports=Exports(),
            fast_lane=_open_fast_lane(ingest),
        )
        async with _background_tasks(state):
            yield state


def _open_fast_lane(state: IngestState) -> FastLane | None:
    """None where each request is to be logged, or traced, which is done on the usual way."""
    settings = state["settings"]
    if settings.access_log or tracing.is_on() or not settings.fast_lane:
        return None
    return FastLane(state, uploads.PATH, LayerHeaders(settings))


@asynccontextmanager
async def _opened(database: AsyncPool) -> AsyncIterator[AsyncPool]:
    await database.open(wait=False)  # what is cached can be served without it
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
async def _background_tasks(state: ServiceState) -> AsyncIterator[None]:
    """Work that is done every so often, apart from requests."""
    tasks = [
        asyncio.create_task(_keep_noting_key_use(state["authenticator"])),
        asyncio.create_task(_keep_counting(state)),
        asyncio.create_task(state["writer"].watch()),
        asyncio.create_task(state["announcements"].listen()),
        asyncio.create_task(state["watching"].read()),
        asyncio.create_task(state["watching"].look()),
        asyncio.create_task(state["listening"].read()),
        asyncio.create_task(state["listening"].look()),
        asyncio.create_task(_keep_looking_through_sockets(state)),
        asyncio.create_task(_keep_watching_access(state)),
    ]
    if state["replica"]:
        tasks.append(asyncio.create_task(state["replica"].follow()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        state["passwords"].close()
        await _note_key_use(state["authenticator"])


def routes(endpoints: Mapping[str, ASGIApp]) -> list[BaseRoute]:
    """Every path of the API, and its documentation."""
    return [
        *(Route(path, endpoint) for path, endpoint in endpoints.items()),
        *_document_routes(),
        *problem_pages.routes(),
    ]


class _UploadsFirst:
    """Takes uploads, nearly all there ever is, past the router and its layers."""

    def __init__(self, upload: ASGIApp, others: ASGIApp, refuse: ASGIApp) -> None:
        self._uploads = {"http": upload, "websocket": uploads.upload_live}
        self._others = {"websocket": refuse, "http": others, "lifespan": others}
        # A stream may be called `telemetry`.
        id_ = f"(?!{STREAM_IN_PATH}/)([^/]+)"
        self._id_of = re.compile(uploads.PATH.replace("{id}", id_)).fullmatch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        upload = self._uploads.get(scope["type"])
        if upload and (found := self._id_of(scope["path"])):
            scope["path_params"] = {"id": found[1]}
            await upload(scope, receive, send)
        else:
            await self._others[scope["type"]](scope, receive, send)


def _document_routes() -> list[BaseRoute]:
    document = openapi_json(SUBJECTS, VERSION)

    async def openapi(_: Request[Any]) -> Response:
        return Response(document, media_type="application/json")

    return [
        Route("/openapi.json", openapi),
        Route(DOCS_PATH, docs.page),
        Route(f"{DOCS_PATH}/start.js", docs.start_script),
        Route(f"{DOCS_PATH}/page.css", docs.style),
        Mount(f"{DOCS_PATH}/assets", docs.assets()),
    ]


async def _keep_noting_key_use(authenticator: Authenticator) -> None:
    while True:
        await asyncio.sleep(NOTE_KEY_USE_EVERY)
        await _note_key_use(authenticator)


async def _keep_counting(state: ServiceState) -> None:
    redis = state["redis"]
    counts = (
        partial(state["quota"].publish, redis),
        partial(state["ride_sizes"].publish, redis),
        partial(state["ride_sizes"].recount, redis, state["database"]),
        partial(keep_shares, state["waiting"], redis, state["database"]),
    )
    while True:
        await asyncio.sleep(COUNT_SAMPLES_EVERY)
        for count in counts:
            try:
                await count()
            except Exception as error:  # whatever it was, the next second is another try
                logger.warning("could not count samples: %r", error)


async def _keep_looking_through_sockets(state: ServiceState) -> None:
    sockets, caches = state["sockets"], (state["authenticator"], state["ownerships"])
    while True:
        await asyncio.sleep(LOOK_THROUGH_SOCKETS_EVERY)
        try:
            await sockets.look_through(state["database"], *caches)
        except Exception as error:  # as above: meanwhile, each message is checked by the caches
            logger.warning("could not look through the open WebSockets: %r", error)


async def _keep_watching_access(state: ServiceState) -> None:
    watch = AccessWatch(state["database"], state["authenticator"], state["ownerships"])
    while True:
        try:
            await watch.look()
        except Exception as error:  # as above: meanwhile each key is looked up again by itself
            logger.warning("could not look for changed keys and rides: %r", error)
        await asyncio.sleep(WATCH_ACCESS_EVERY)


async def _note_key_use(authenticator: Authenticator) -> None:
    try:
        await authenticator.note_use()
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
        logger.warning("could not note the use of keys: %s", error)
