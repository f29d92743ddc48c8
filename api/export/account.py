"""The export: all that is stored of a user, as a zip file that is made while it is being read."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.apps.store import list_apps, list_connections
from api.apps.wire import AppList, ConnectionList
from api.export.state import ExportRequest, ExportState
from api.export.store import Act, list_acts
from api.export.zip_stream import ZipStream
from api.files.originals import open_original
from api.files.store import SentFile, find_sent_files, list_upload_ids
from api.identity.auth import Caller
from api.identity.profile import time_zone_or_own
from api.identity.store import get_profile, list_keys
from api.identity.wire import KeyList, RiderAnswer
from api.season.records import RecordList
from api.season.store import list_records, list_thresholds
from api.season.thresholds import ThresholdsList
from api.sharing.store import get_hidden, list_people, list_shares
from api.sharing.wire import Places, ShareList
from api.web.routing import Operation, Operations
from api.web.sending import TimedStream
from api.webhooks.store import list_webhooks
from api.webhooks.wire import WebhookList
from api.workouts.held_samples import EncodedSamples, fetch_samples
from api.workouts.rendering import csv_lines
from api.workouts.selection import Selection, View
from api.workouts.store import Workout, find_workouts, list_ids
from shared.errors import ServiceUnavailable
from shared.sports import ALL

_PORTION: Final = 50  # rides or uploads that are read at a time
_TYPE: Final = "application/zip"

README: Final = """\
All that Bike Power Tracker stores of your account. Text is UTF-8; moments are UTC.

profile.json     the account, as GET /api/users/me answers it
keys.json        API keys that open, without their secrets, as GET /api/keys
apps.json        apps that you have registered, without their secrets, as GET /api/apps
connected.json   apps of others that you let in, as GET /api/connections
thresholds.json  the figures you gave, by day, as GET /api/users/me/thresholds?sport=all
records.json     personal records, as GET /api/records?sport=all
shares.json      links to rides that open something, without their tokens, as GET /api/shares
webhooks.json    who is told of your rides, without secrets, as GET /api/webhooks
places.json      the places that no link shows, as GET /api/users/me/places
audit.ndjson     what was done to keys and account: an act a line, oldest first
workouts.ndjson  every ride with its figures: a ride a line, as GET /api/workouts/{id}, newest first
telemetry/       the samples of every ride, as GET /api/workouts/{id}/telemetry?format=csv:
                 day of its start in your time zone, id of the ride; timestamps in ms since
                 1970-01-01T00:00:00Z
uploads.ndjson   every file you sent: a file a line, as GET /api/uploads/{upload}, newest first;
                 `workoutIds` are the rides it became, `duplicates` those it was found to be, `file`
                 its original, or null where none is kept
originals/       those files, byte by byte as you sent them: day of that in your time zone, id of
                 the upload; a zip as it was, and its files one by one

Of a ride that is cropped (`crop` in workouts.ndjson), all is within the crop; undo that first
(DELETE /api/workouts/{id}/crop) to take along what is outside.
A ride that went on during the export is in it as far as it had got. Deleted rides are not in it,
nor originals that hold nothing else, nor zips with one of them, whose other files are there.
"""


@dataclass(frozen=True)
class Member:
    """A file of the export. Its contents are made as they are iterated over, in a thread."""

    name: str
    contents: AsyncIterator[Iterable[bytes]]


async def export_account(request: ExportRequest, caller: Caller) -> Response:
    """Everything stored of the caller, as a zip file; its README.txt says what is what.

    It is made while it is being read, one at a time for a user. One that ends early, as when the
    key is revoked meanwhile, is no zip file.
    """
    state = request.state
    rides = await list_ids(state["database"], caller.user_id)
    uploads = await list_upload_ids(state["database"], caller.user_id)
    state["exports"].require_room(caller.user_id)
    zone = ZoneInfo(await time_zone_or_own(state, caller, None))
    name = f"bike-power-tracker-{datetime.now(zone):%Y-%m-%d}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if request.method == "HEAD":
        return Response(headers=headers, media_type=_TYPE)
    export = _Export(request, caller, _Begun(rides, uploads, zone))
    return _ExportResponse(export, headers=headers, media_type=_TYPE)


@dataclass(frozen=True)
class _Begun:
    """What there was when the export began, and the rider's time zone."""

    rides: list[UUID]
    uploads: list[UUID]
    zone: ZoneInfo


class _Export:
    """What is in the export of a user. No connection is held while a piece is on its way."""

    def __init__(self, request: ExportRequest, caller: Caller, begun: _Begun) -> None:
        self.state: ExportState = request.state
        self.user_id = caller.user_id
        self._database = request.state["database"]
        self._request = request
        self._begun = begun

    async def pieces(self) -> AsyncIterator[bytes]:
        """The zip file. Raises what keeps it from being complete."""
        archive = ZipStream(datetime.now(UTC))
        async for member in self._members():
            with archive.member(member.name):
                async for content in member.contents:
                    async for piece in iterate_in_threadpool(archive.pieces(content)):
                        yield piece
        yield archive.end()

    async def _members(self) -> AsyncIterator[Member]:
        yield Member("README.txt", _whole(README.encode()))
        for name, read in self._documents().items():
            await self._require_key()
            yield Member(name, _whole(msgspec.json.encode(await read())))
        yield Member("audit.ndjson", _lines(self._acts()))
        yield Member("workouts.ndjson", _lines(self._pages()))
        yield Member("uploads.ndjson", _lines(self._files()))
        async for page in self._pages():
            for workout in page:
                await self._require_key()
                yield await self._telemetry(workout)
        async for files in self._files():
            for sent in files:
                if sent.file:
                    await self._require_key()
                    yield Member(sent.file, self._original(sent))

    async def _telemetry(self, workout: Workout) -> Member:
        samples = await fetch_samples(self.state, workout)
        day = workout.start_time.astimezone(self._begun.zone)
        name = f"telemetry/{day:%Y-%m-%d}-{workout.id}.csv"
        return Member(name, _csv(samples, Selection().of(workout)))

    async def _original(self, sent: SentFile) -> AsyncIterator[Iterable[bytes]]:
        """Raises ServiceUnavailable if it was purged meanwhile: half a file is none."""
        left = sent.size
        if original := await open_original(self.state, sent.id, self.user_id):
            async for piece in original:
                left -= len(piece)
                yield [piece]
        if left:
            raise ServiceUnavailable(f"the original of {sent.id} is gone")

    def _documents(self) -> dict[str, Callable[[], Any]]:
        return {
            "profile.json": self._profile,
            "keys.json": self._keys,
            "apps.json": self._apps,
            "connected.json": self._connections,
            "thresholds.json": self._thresholds,
            "records.json": self._records,
            "shares.json": self._shares,
            "webhooks.json": self._webhooks,
            "places.json": self._places,
        }

    async def _profile(self) -> RiderAnswer:
        return RiderAnswer(await get_profile(self.state["database"], self.user_id))

    async def _keys(self) -> KeyList:
        return KeyList(await list_keys(self._database, self.user_id))

    async def _apps(self) -> AppList:
        return AppList(await list_apps(self._database, self.user_id))

    async def _connections(self) -> ConnectionList:
        return ConnectionList(await list_connections(self._database, self.user_id))

    async def _thresholds(self) -> ThresholdsList:
        return ThresholdsList(ALL, await list_thresholds(self._database, self.user_id))

    async def _records(self) -> RecordList:
        return RecordList(ALL, await list_records(self._database, self.user_id))

    async def _shares(self) -> ShareList:
        shares = await list_shares(self._database, self.user_id)
        return ShareList(shares, await list_people(self._database, self.user_id))

    async def _webhooks(self) -> WebhookList:
        return WebhookList(await list_webhooks(self._database, self.user_id))

    async def _places(self) -> Places:
        return Places((await get_hidden(self._database, self.user_id)).places)

    async def _acts(self) -> AsyncIterator[list[Act]]:
        page = await self._acts_after(None)
        while page:
            yield page
            page = await self._acts_after(page[-1])

    async def _acts_after(self, last: Act | None) -> list[Act]:
        await self._require_key()
        return await list_acts(self._database, self.user_id, after=last)

    async def _pages(self) -> AsyncIterator[list[Workout]]:
        """The rides there were at the start, by their ids: a start may be corrected meanwhile."""
        for ids in _portions(self._begun.rides):
            await self._require_key()
            yield await find_workouts(self._database, ids, self.user_id)

    async def _files(self) -> AsyncIterator[list[SentFile]]:
        for ids in _portions(self._begun.uploads):
            await self._require_key()
            yield await find_sent_files(self._database, ids, self.user_id, self._begun.zone.key)

    async def _require_key(self) -> None:
        """Raises Unauthorized once the key has been revoked, or the account deleted."""
        await self.state["authenticator"].authenticate(self._request, "admin")


class _ExportResponse(TimedStream):
    """Takes up room among the exports until it has ended, however it ends."""

    def __init__(self, export: _Export, **options: Any) -> None:
        patience = export.state["settings"].body_timeout
        super().__init__(export.pieces(), patience, **options)
        self._exports = export.state["exports"]
        self._user_id = export.user_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._exports.making(self._user_id):
            await super().__call__(scope, receive, send)


def _portions(ids: list[UUID]) -> Iterator[list[UUID]]:
    for start in range(0, len(ids), _PORTION):
        yield ids[start : start + _PORTION]


async def _whole(content: bytes) -> AsyncIterator[Iterable[bytes]]:
    yield [content]


async def _lines(pages: AsyncIterator[list[Any]]) -> AsyncIterator[Iterable[bytes]]:
    """A JSON value a line."""
    async for page in pages:
        yield (msgspec.json.encode(value) + b"\n" for value in page)


async def _csv(samples: EncodedSamples, selection: Selection) -> AsyncIterator[Iterable[bytes]]:
    def encode() -> Iterator[bytes]:
        yield from csv_lines(View(samples.decode(), selection))

    yield encode()


OPERATIONS = Operations(
    "export",
    "Take everything along",
    (
        Operation(
            "GET",
            "/api/users/me/export",
            export_account,
            {HTTPStatus.OK: bytes},
            "admin",
            media=("application/zip",),
            refusals={HTTPStatus.TOO_MANY_REQUESTS: "An export of the caller's is under way"},
        ),
    ),
)
