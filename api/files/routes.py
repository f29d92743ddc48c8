"""Files: send one, see what became of it, list them, have the original back."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
import redis
from msgspec import UNSET, Meta, Struct, UnsetType, structs
from starlette.responses import Response

from api.files import store
from api.files.budget import Take
from api.files.form import MULTIPART, parse_form
from api.files.listing import UploadsQuery, next_cursor, place_of
from api.files.originals import disposition_of, open_original
from api.files.state import FilesRequest, FilesState
from api.files.store import NewUpload, Upload
from api.identity.auth import Caller
from api.identity.store import count_storage
from api.repeats.once import Once, once
from api.web.body import content_type, read_within
from api.web.headers import header
from api.web.problems import (
    BadRequest,
    Duplicate,
    LimitReached,
    NotFound,
    ProblemDocument,
    StorageFull,
    UnknownName,
    Unprocessable,
    about,
)
from api.web.query import PREFER_WAIT, WaitQuery, id_in_path, read_query, wait_of
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from api.web.sending import TimedStream
from api.web.shapes import fault_of, sentence, unknown
from api.workouts.listing import Sport
from api.workouts.listing import Words as TitleWords
from shared.connections import AsyncRedis, BoundedConnection
from shared.events import ImportRequest
from shared.failpoints import failpoint
from shared.files.words import Words
from shared.originals import new_name
from shared.redis_keys import ASKED_FOR, UNASKED, Queue, asked_key
from shared.settings import bytes_of
from shared.uploads import UNFINISHED, OnDuplicate, Packed, UploadStatus, pack

OCTETS: Final = "application/octet-stream"
_PATIENCE: Final = 10  # times as long as for a body: a file may come over a slow line
_LONGEST_NAME: Final = 200
_FIELDS: Final = ("onDuplicate", "title", "description", "sport")
logger = logging.getLogger(__name__)


Description = Annotated[str, Meta(max_length=10_000, pattern="^[^\x00]*$")]


class SendQuery(WaitQuery, rename="camel"):
    """How the file is called, what is known of its ride, and what if that is there already.

    `reject`: nothing changes, and the answer names the workout. `replace`: the file's samples take
    the place of the stored ones. `merge`: each channel comes from whichever has more of it. `keep`:
    both are kept, and the pair counts once. `title`, `description` and `sport` take the place of
    the file's own words.
    """

    filename: Annotated[str | None, Meta(description="Shown in lists; its bytes say the kind")] = (
        None
    )
    on_duplicate: Annotated[OnDuplicate, Meta(description="What if the ride is there already")] = (
        OnDuplicate.REJECT
    )
    title: Annotated[TitleWords | None, Meta(description="Of the ride, not the file's own")] = None
    description: Annotated[
        Description | None, Meta(description="Of the ride, not the file's own")
    ] = None
    sport: Annotated[Sport | None, Meta(description="Of the ride, not the file's own")] = None


_Bytes = Annotated[str, Meta(min_length=1, extra_json_schema={"format": "binary"})]


class FileForm(Struct, rename="camel"):
    """A form: the file, what is known of its ride, and what if that is there already."""

    file: _Bytes
    on_duplicate: OnDuplicate = OnDuplicate.REJECT
    title: TitleWords | None = None
    description: Description | None = None
    sport: Sport | None = None


class DuplicateDocument(ProblemDocument, rename="camel", omit_defaults=True):
    """A problem; of a ride that is here already, with the workouts that it is."""

    duplicate_of: UUID | UnsetType = UNSET
    workout_ids: list[UUID] | UnsetType = UNSET
    upload: Upload | UnsetType = UNSET


class UploadAnswer(Struct):
    """An upload as it is now."""

    upload: Upload


class UploadSent(Struct):
    """The file is stored; `upload` is how far its import has come."""

    upload: Upload
    success: bool = True


class UploadPagination(Struct, rename="camel"):
    """A place in the list."""

    limit: int
    next_cursor: str | None


class UploadList(Struct):
    """A page of uploads."""

    uploads: list[Upload]
    pagination: UploadPagination


class _KeptUpload(Struct):
    id: UUID


class _Kept(Struct):
    """Which upload an answer was about."""

    upload: _KeptUpload


@dataclass(frozen=True)
class _Sent:
    """A file as it came, and what was said of it."""

    said: SendQuery
    data: bytes


async def send_file(request: FilesRequest, caller: Caller) -> Response:
    """Import a FIT, TCX or GPX file, or our own CSV or JSON, each also as .gz, or a .zip of many.

    Send the body as the file itself, or a form with the field `file`. The file is stored, and
    read soon; `Prefer: wait=N` waits for that. A file that was sent before, or a ride that is there
    already, is 409 and names the workout as `duplicateOf`, unless `onDuplicate` asks otherwise.
    """
    state, wait = request.state, wait_of(request)
    with state["files"].holding(caller.user_id) as take:
        sent = await _receive(request, take)
        upload = await _keep(request, caller, sent)
    failpoint("after-keeping")
    if upload.status in UNFINISHED:  # else it was sent before, with the same key
        await _ask_for_import(state["redis"], upload.id)
    location = {"Location": f"/api/uploads/{upload.id}"}
    if not wait:
        return json_response(UploadSent(upload), HTTPStatus.ACCEPTED, location)
    upload = await _wait_for_result(state, upload.id, caller, wait)
    return _waited_for(upload, {**location, "Preference-Applied": f"wait={wait:g}"})


def _waited_for(upload: Upload, headers: dict[str, str]) -> Response:
    """Raises Conflict for a duplicate."""
    if upload.status is UploadStatus.DUPLICATE:
        raise _duplicate(upload.reason, [each.workout_id for each in upload.duplicates], upload)
    status = HTTPStatus.ACCEPTED if upload.status in UNFINISHED else HTTPStatus.OK
    return json_response(UploadSent(upload), status, headers)


async def get_upload(request: FilesRequest, caller: Caller) -> Response:
    """What became of a file; with `Prefer: wait=N`, once it is ended.

    A key without the scope `read` sees those that it has sent itself.
    """
    upload, wait = await _require_upload(request, caller), wait_of(request)
    if wait and upload.status in UNFINISHED:
        upload = await _wait_for_result(request.state, upload.id, caller, wait)
    return json_response(UploadAnswer(upload))


async def list_uploads(request: FilesRequest, caller: Caller) -> Response:
    """The caller's files, newest first; those of a zip are listed by its `parent`."""
    query = read_query(request, UploadsQuery)
    if query.sha256:
        return await _list_same_bytes(request.state, caller, query)
    found = await store.list_uploads(
        request.state["database"],
        caller.user_id,
        parent_id=query.parent,
        status=query.status,
        after=place_of(query),
        limit=query.limit + 1,  # one more than the page tells whether there is a next one
    )
    pagination = UploadPagination(query.limit, next_cursor(query, found))
    return json_response(UploadList(found[: query.limit], pagination))


async def _list_same_bytes(state: FilesState, caller: Caller, query: UploadsQuery) -> Response:
    digest = bytes.fromhex(query.sha256 or "")
    found = await store.list_same_bytes(state["database"], caller.user_id, digest, query.limit)
    return json_response(UploadList(found, UploadPagination(query.limit, None)))


async def get_upload_file(request: FilesRequest, caller: Caller) -> Response:
    """The original, byte by byte as it was sent."""
    state, upload = request.state, await _require_upload(request, caller)
    await state["answers"].begin_read(request.scope, caller.own_id)
    original = await open_original(state, upload.id, caller.user_id)
    if original is None:
        raise NotFound("the original of this upload is no longer there")
    return TimedStream(
        original,
        state["settings"].body_timeout,
        headers={"Content-Disposition": disposition_of(upload.filename)},
        media_type=OCTETS,
    )


async def _receive(request: FilesRequest, take: Take) -> _Sent:
    """The file of a request. Raises TooLarge, RequestTimeout, BadRequest, and as ``take`` does."""
    query, settings = read_query(request, SendQuery), request.state["settings"]
    seconds = settings.body_timeout * _PATIENCE
    body = await read_within(request, settings.max_file_bytes, seconds, take)
    sent = _Sent(query, body)
    if content_type(request) == MULTIPART:
        sent = await asyncio.to_thread(_of_form, header(request, b"content-type"), sent)
    if not sent.data:
        raise BadRequest("the file is empty")
    return sent


def _of_form(kind: str, sent: _Sent) -> _Sent:
    """The file of a form, whose fields say more than the query does."""
    form = parse_form(kind, sent.data)
    if form.data is None:
        raise Unprocessable("the form has no field `file`", about("is missing", "file"))
    faults = [
        unknown(name, ("file", *_FIELDS), what="field")
        for name in form.fields
        if name not in _FIELDS
    ]
    if faults:
        raise UnknownName(sentence(faults[0]), faults)
    said = msgspec.to_builtins(sent.said)
    said["filename"] = said["filename"] or form.filename
    said |= {name: form.fields[name] for name in _FIELDS if form.fields.get(name)}
    try:
        return _Sent(msgspec.convert(said, SendQuery), form.data)
    except msgspec.ValidationError as error:
        fault = fault_of(error, SendQuery, said)
        raise Unprocessable(sentence(fault), [fault]) from None


async def _keep(request: FilesRequest, caller: Caller, sent: _Sent) -> Upload:
    """Store the file, unless these bytes are here already. Raises Conflict."""
    state, said = request.state, sent.said
    digest, original = await asyncio.to_thread(_prepare, sent.data)
    wanted = NewUpload(
        caller.user_id,
        caller.key_id,
        _shown(said.filename),
        len(sent.data),
        digest,
        said.on_duplicate,
        _language_of(request),
        Words(said.title, said.description, said.sport),
    )
    name = None
    if originals := state["originals"]:
        async with _kept_alone(request, wanted, said) as (made, upload):
            if upload:
                return await _answer_kept(made, upload, caller)
        name = new_name(caller.user_id)
        await store.note_object(state["database"], name)
        await originals.put(name, original.data)
        failpoint("after-putting")
    async with _kept_alone(request, wanted, said) as (made, upload):
        upload = upload or await store.create_upload(made.connection, wanted, original, name)
        return await _answer_kept(made, upload, caller)


async def _answer_kept(made: Once, upload: Upload, caller: Caller) -> Upload:
    """Keep which upload it is for a request that repeats this one with its key."""
    if not made.answer:
        await made.keep(caller.user_id, json_response(UploadSent(upload), HTTPStatus.ACCEPTED))
    return upload


@asynccontextmanager
async def _kept_alone(
    request: FilesRequest, wanted: NewUpload, said: SendQuery
) -> AsyncIterator[tuple[Once, Upload | None]]:
    """A transaction in which no other file of the user is kept; and the upload if it is there.

    Raises Conflict where the file was sent before, or there is no room for it; and as ``once``.
    """
    # However long somebody waits for the result, the file is the same.
    content = wanted.sha256 + msgspec.json.encode(structs.replace(said, wait=None))
    async with once(request, str(wanted.user_id), content) as made:
        kept = await store.count_kept(made.connection, wanted.user_id)
        upload = await _find_kept(made, wanted)
        if not upload:
            found = await store.find_made(made.connection, wanted)
            if found and wanted.on_duplicate is OnDuplicate.REJECT:
                raise _duplicate("this very file was sent before", found)
            _require_room(request.state, kept, wanted.size)
            await _require_storage(request.state, made.connection, wanted)
        yield made, upload


async def _find_kept(made: Once, wanted: NewUpload) -> Upload | None:
    """The upload of a request with the same key as it is by now, else one of the same bytes."""
    if not made.answer:
        return await store.find_unfinished(made.connection, wanted)
    kept = msgspec.json.decode(made.answer.body, type=_Kept)
    return await store.read_upload(made.connection, kept.upload.id, wanted.user_id)


def _prepare(data: bytes) -> tuple[bytes, Packed]:
    return sha256(data).digest(), pack(data)


def _require_room(state: FilesState, kept: store.Kept, size: int) -> None:
    settings = state["settings"]
    if kept.files >= settings.max_kept_files:
        most = f"{settings.max_kept_files} files are kept of a user"
        raise LimitReached(f"{most}, and yours are as many")
    if kept.bytes + size > settings.max_kept_file_bytes:
        raise LimitReached(f"{settings.max_kept_file_bytes} bytes of files are kept of a user")


async def _require_storage(
    state: FilesState, connection: BoundedConnection, wanted: NewUpload
) -> None:
    """Raises StorageFull. Files are refused alone: a device may have no other place for a ride."""
    if quota := bytes_of(state["settings"].storage_quota):
        taken = (await count_storage(connection, wanted.user_id)).total
        if taken + wanted.size > quota:
            raise StorageFull(f"{taken} of {quota} bytes are taken: this file does not fit")


def _duplicate(reason: str | None, workouts: list[UUID], upload: Upload | None = None) -> Duplicate:
    members: dict[str, Any] = {"duplicateOf": workouts[0], "workoutIds": workouts}
    if upload:
        members["upload"] = msgspec.to_builtins(upload)
    detail = reason or "this ride is here already"
    return Duplicate(f"{detail}: see `duplicateOf`", members=members)


async def _ask_for_import(client: AsyncRedis, upload_id: UUID) -> None:
    """Add an event, unless some wait: then the workers take it from the row, each user's in turn.

    Only up to half of the stream: who sends one file after the other would else keep it full, and
    leave no room for what the workers put there of others. A failure is logged, and the row does
    its part.
    """
    mark = asked_key(upload_id, Queue.IMPORTS)
    try:
        if await client.xlen(Queue.IMPORTS) < UNASKED and await client.set(
            mark, b"", nx=True, ex=ASKED_FOR
        ):
            await client.xadd(Queue.IMPORTS, ImportRequest(upload_id).fields())
    except redis.RedisError as error:
        logger.warning("kept %s, but could not ask for its import: %s", upload_id, error)


async def _wait_for_result(
    state: FilesState, upload_id: UUID, caller: Caller, wait: float
) -> Upload:
    """The upload once it is ended, or as it is when the time is up."""

    async def look() -> Upload:
        return _found(await store.find_upload(state["database"], upload_id, caller.user_id))

    return await state["announcements"].wait(
        upload_id, look, lambda upload: upload.status not in UNFINISHED, wait
    )


async def _require_upload(request: FilesRequest, caller: Caller) -> Upload:
    """The upload of the path. A malformed id names none, as an absent one does. Raises NotFound."""
    upload_id = id_in_path(request, "upload", "upload")
    own = None if "read" in caller.scopes else caller.key_id
    return _found(
        await store.find_upload(request.state["database"], upload_id, caller.user_id, own)
    )


def _found(upload: Upload | None) -> Upload:
    if upload is None:
        raise NotFound("no such upload")
    return upload


def _shown(name: str | None) -> str | None:
    """A file's name without folders, and without what nobody sees."""
    if not name:
        return None
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in last if each.isprintable())[:_LONGEST_NAME] or None


def _language_of(request: FilesRequest) -> str:
    """The first language that the client names, for a ride without a title."""
    first = header(request, b"accept-language")[:2].lower()
    return first if first.isascii() and first.isalpha() else "en"


OPERATIONS = Operations(
    "files",
    "Send rides as files",
    (
        Operation(
            "POST",
            "/api/uploads",
            send_file,
            {HTTPStatus.ACCEPTED: UploadSent, HTTPStatus.OK: UploadSent},
            "upload",
            query=SendQuery,
            body={MULTIPART: FileForm, OCTETS: _Bytes},
            prefer=PREFER_WAIT,
            headers=("Location", "Preference-Applied"),
            makes=("upload", "$response.body#/upload/id"),
            takes_key=True,
            problems={HTTPStatus.CONFLICT: DuplicateDocument},
            refusals={
                HTTPStatus.CONFLICT: "The ride is there already, as `duplicateOf` says; or as much"
                " is kept of the user as may be",
                HTTPStatus.TOO_MANY_REQUESTS: "Too many bytes of the user's files arrive at a time",
            },
        ),
        Operation(
            "GET",
            "/api/uploads",
            list_uploads,
            {HTTPStatus.OK: UploadList},
            "read",
            query=UploadsQuery,
            takes_athlete=True,
        ),
        Operation(
            "GET",
            "/api/uploads/{upload}",
            get_upload,
            {HTTPStatus.OK: UploadAnswer},
            "read",
            or_scope="upload",
            query=WaitQuery,
            prefer=PREFER_WAIT,
            takes_athlete=True,
        ),
        Operation(
            "GET",
            "/api/uploads/{upload}/file",
            get_upload_file,
            {HTTPStatus.OK: bytes},
            "read",
            media=(OCTETS,),
            refusals={HTTPStatus.TOO_MANY_REQUESTS: "Too many reads of the caller's are under way"},
            takes_athlete=True,
        ),
    ),
)
