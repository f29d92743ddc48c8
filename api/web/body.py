"""Request bodies: read within bounds of size and time, inflated within the same bounds."""

import asyncio
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request

from api.web.headers import header
from api.web.problems import (
    BadRequest,
    Fault,
    FormInstead,
    RepeatedName,
    RequestTimeout,
    TooLarge,
    UnknownName,
    Unprocessable,
    UnsupportedMediaType,
    about,
)
from api.web.shapes import (
    fault_of,
    member_names,
    nearest,
    repeated_members,
    sentence,
    shortened,
    unknown_members,
)
from api.web.syntax import json_fault, utf8_fault
from shared.errors import ServiceUnavailable
from shared.settings import Settings

T = TypeVar("T")
JSON: Final = "application/json"
MOST_BODY: Final = 200 * 1024  # bytes of an object of ours, and as clients of the original know it
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
# Bytes of a body that needs no key: strangers must not take the memory that uploads need.
MOST_OF_STRANGERS: Final = 32 * 1024
# Bytes of a JSON body that is no batch: its members are looked at one by one.
MOST_OF_JSON: Final = 1024 * 1024
# A scope's key to the seconds for which its body was awaited before the application was asked.
HELD_FOR: Final = "held_for"
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_BEGINS: Final = b"\x1f\x8b"
_MOST_MEMBERS: Final = 100
_MOST_UNKNOWN: Final = 20  # listed in an answer
_NO_BODY: Final = "this operation takes no body"
# PostgreSQL cannot hold a NUL character. (An even number of backslashes would make this text.)
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class BodyBudget:
    """Bounds the bytes of bodies that a process holds: each request's, until it is answered."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    @contextmanager
    def holding(self, scope: MutableMapping[str, Any]) -> Iterator[None]:
        """Release at the end what the request has taken in between."""
        scope["held_bytes"] = 0
        try:
            yield
        finally:
            self._held -= scope["held_bytes"]

    def has_room(self, count: int) -> bool:
        """Whether ``count`` bytes more may be held."""
        return self._held + count <= self._limit

    def hold(self, count: int) -> None:
        """Hold ``count`` bytes more, for which there is room; or give them back, if negative."""
        self._held += count

    def take(self, scope: MutableMapping[str, Any], count: int) -> None:
        """Hold ``count`` bytes more. Raises ServiceUnavailable if that is too many in all."""
        if not self.has_room(count):
            raise ServiceUnavailable("too many bodies are held at a time")
        self._held += count
        scope["held_bytes"] += count


def content_type(request: Request[Any]) -> str:
    """The media type of the body without its parameters; JSON where none is named."""
    return header(request, b"content-type").partition(";")[0].strip().lower() or JSON


async def read_body(request: Request[Any], settings: Settings, *, most: int | None = None) -> bytes:
    """The whole body, inflated, of at most ``most`` bytes; by default as many as an upload.

    Raises TooLarge, RequestTimeout, BadRequest, ServiceUnavailable.
    """
    limit = min(settings.max_body_bytes, most or settings.max_body_bytes)
    take = partial(request.state["bodies"].take, request.scope)
    return await read_within(request, limit, settings.body_timeout, take)


async def read_within(
    request: Request[Any], limit: int, seconds: float, take: Callable[[int], None]
) -> bytes:
    """The whole body, inflated, of at most ``limit`` bytes that arrive within so many ``seconds``.

    ``take`` is told of the bytes that are held more, and raises where those are too many.
    Raises TooLarge, RequestTimeout, BadRequest, and what ``take`` raises.
    """
    try:
        async with asyncio.timeout(seconds - request.scope.get(HELD_FOR, 0)):
            body = await _read(request, limit, take)
    except TimeoutError:
        raise RequestTimeout(
            f"the body did not arrive within {seconds:g} s", headers={"Connection": "close"}
        ) from None
    encoding = header(request, b"content-encoding").strip().lower() or "identity"
    if encoding == "gzip":
        inflated = await asyncio.to_thread(inflate, body, limit)
        take(len(inflated))
        return inflated
    if encoding == "identity":
        return body
    raise UnsupportedMediaType(f"the content encoding {encoding} is not gzip")


async def refuse_body(request: Request[Any], query: type | None) -> None:
    """Raises Unprocessable for a body that says anything, where nothing would come of it.

    One without bytes or members says nothing. ``query``: what can be said instead.
    Raises TooLarge, RequestTimeout, BadRequest, ServiceUnavailable.
    """
    if not _has_body(request):
        return
    body = await read_body(request, request.state["settings"], most=MOST_OF_STRANGERS) or b"{}"
    if not isinstance(_plain(body), dict):
        raise Unprocessable(_NO_BODY)
    require_no_members(body, query)


def _has_body(request: Request[Any]) -> bool:
    length = header(request, b"content-length")
    return length not in ("", "0") or header(request, b"transfer-encoding") != ""


def require_no_members(body: bytes, query: type | None, *, besides: str | None = None) -> None:
    """Raises UnknownName for the members of a JSON object, but for one ``besides``.

    ``query``: what can be said instead.
    """
    said = _plain(body)
    names = [name for name in said if name != besides] if isinstance(said, dict) else []
    faults = [_misplaced(name, member_names(query)) for name in names[:_MOST_UNKNOWN]]
    if faults:
        raise UnknownName(f"{_NO_BODY}; {sentence(faults[0])}", faults)


def _misplaced(name: str, parameters: Collection[str]) -> Fault:
    """What is wrong with a member of a body that is not taken, and where it may belong."""
    meant = nearest(name, parameters)
    hint = f"did you mean the parameter `?{meant}=` of the query?" if meant else "leave it out"
    return Fault(f"nothing is read of a body here; {hint}", shortened(name))


def refuse_form(request: Request[Any]) -> None:
    """Raises FormInstead for a form in place of JSON, as clients of the original service expect."""
    if (named := content_type(request)) in _FORMS:
        raise FormInstead(*_not_json(named))


def _not_json(named: str) -> tuple[str, list[Fault]]:
    """What a problem says of a body of another type; curl, for one, calls all it sends a form."""
    detail = f"is {shortened(named)}; send JSON, with the header `Content-Type: {JSON}`"
    return f"the body {detail} (curl: -H 'Content-Type: {JSON}')", about(detail, "Content-Type")


async def read_json(
    request: Request[Any],
    kind: type[T],
    settings: Settings,
    *,
    most: int | None = None,
    open_with: str | None = None,
) -> T:
    """The JSON body as ``kind``; an empty body is an empty object. ``most``: its bytes.

    ``open_with``: a member beside which there may be any that the type does not have.
    """
    body = await _read_json_body(request, settings, most or MOST_OF_JSON)
    return decode_json(body, kind, open_with=open_with)


async def read_change(
    request: Request[Any],
    kind: type[T],
    resource: type,
    settings: Settings,
    *,
    most: int = MOST_OF_JSON,
    is_open: bool = False,
) -> tuple[T, dict[str, Any]]:
    """The JSON body as a change of a resource, and its members that no change may have.

    Those come with a resource that is sent back whole: `require_unchanged` tells whether they are
    as they were. With ``is_open`` all but the change is ignored.
    """
    body = await _read_json_body(request, settings, most)
    if is_open:
        return decode_json(body, kind, besides=None), {}
    fixed = {*member_names(resource)} - {*member_names(kind)}
    change = decode_json(body, kind, besides=fixed)
    return change, {name: value for name, value in (_plain(body) or {}).items() if name in fixed}


def require_unchanged(members: Mapping[str, Any], resource: Struct) -> None:
    """Raises Unprocessable for members that differ from those of the resource."""
    if not members:
        return
    now = msgspec.json.decode(msgspec.json.encode(resource))
    differing = [name for name, value in members.items() if value != now.get(name)]
    if differing:
        faults = [Fault("cannot be changed here", name) for name in differing]
        raise Unprocessable(sentence(faults[0]), faults)


async def _read_json_body(request: Request[Any], settings: Settings, most: int) -> bytes:
    if (named := content_type(request)) != JSON:
        raise UnsupportedMediaType(*_not_json(named))
    return await read_body(request, settings, most=most) or b"{}"


def decode_json(
    body: bytes,
    kind: type[T],
    besides: Collection[str] | None = (),
    open_with: str | None = None,
) -> T:
    """The body as ``kind``, which may have some members ``besides``; None: whatever there is.

    Beside the member ``open_with`` there may be any, too.
    Raises BadRequest for what is not JSON, UnknownName for members that the type does not have,
    RepeatedName for one that is there twice, and Unprocessable for JSON of another shape.
    """
    require_text(body)
    try:
        decoded = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        value = _plain(body)
        # The wrong name is why the right one is missing.
        _require_understood(body, value, kind, besides, open_with)
        fault = fault_of(error, kind, value)
        raise Unprocessable(sentence(fault), [fault]) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {json_fault(error)}") from None
    _require_understood(body, _plain(body), kind, besides, open_with)
    return decoded


def _plain(body: bytes) -> Any:
    """The body as builtin types; None for one that is nested too deep, or is no JSON further on."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _require_understood(
    body: bytes, value: Any, kind: Any, besides: Collection[str] | None, open_with: str | None
) -> None:
    """Raises UnknownName, RepeatedName: of what is written, nothing is left unread."""
    if besides is None or (isinstance(value, dict) and open_with in value):
        return
    if isinstance(value, dict):
        value = {name: member for name, member in value.items() if name not in besides}
    if unknown := unknown_members(value, kind):
        raise UnknownName(sentence(unknown[0]), unknown)
    if repeated := repeated_members(body):
        raise RepeatedName(sentence(repeated[0]), repeated)


def require_text(body: bytes) -> None:
    """Raises BadRequest for what is not UTF-8 or holds a NUL character.

    The decoder does not look into the strings of members that it skips; this does.
    """
    if b"\\u0000" in body and _NUL.search(body):
        raise BadRequest("the body holds a NUL character")
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body cannot be read: {utf8_fault(error)}") from None


def inflate(body: bytes, limit: int) -> bytes:
    """The content of one or more gzip members. Raises TooLarge past ``limit`` bytes."""
    inflated, length = list[bytes](), 0
    while body:
        if len(inflated) == _MOST_MEMBERS:
            raise BadRequest(f"the body is of more than {_MOST_MEMBERS} gzip members")
        member = zlib.decompressobj(_GZIP)
        try:
            inflated.append(member.decompress(body, limit - length + 1))
        except zlib.error:
            wrong = "it is damaged" if body.startswith(_GZIP_BEGINS) else "it begins otherwise"
            raise BadRequest(f"the body is not gzip: {wrong}") from None
        length += len(inflated[-1])
        if length > limit:
            raise TooLarge(f"the body inflates to more than {limit} bytes")
        if not member.eof:
            raise BadRequest("the body is not gzip: it ends early")
        body = member.unused_data
    return b"".join(inflated)


def _over(limit: int) -> TooLarge:
    return TooLarge(f"the body is over {limit} bytes", headers={"Connection": "close"})


async def _read(request: Request[Any], limit: int, take: Callable[[int], None]) -> bytes:
    if int(header(request, b"content-length") or 0) > limit:
        raise _over(limit)
    chunks, length, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the body ends early")
        chunk, more = message.get("body", b""), message.get("more_body", False)
        length += len(chunk)
        if length > limit:
            raise _over(limit)
        take(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)
