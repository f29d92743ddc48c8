"""The transaction of a request that makes something: repeated with its key, it makes nothing more.

What is made and the answer that tells of it are committed together. So a process may die at any
point: either both are there, and the repeated request gets that answer, or neither is, and it makes
what the first one did not. What was refused is not kept: asked again, it is decided anew.
"""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from starlette.responses import Response

from api.repeats import store
from api.repeats.request_key import NAME, RequestKey, request_key_of
from api.repeats.store import KeptAnswer
from api.web.body import JSON
from api.web.problems import KeyInUse, KeyReused, about
from api.web.state import Request
from shared.connections import BoundedConnection
from shared.failpoints import failpoint

_UNDER_WAY: Final = "a request with this Idempotency-Key is under way; send it again after a second"
_REUSED: Final = "this Idempotency-Key was used for another request; make a new one"


class _Answer(Struct, array_like=True):
    """A success in JSON, and where what it tells of is."""

    status: int
    location: str | None
    body: bytes


@dataclass(frozen=True)
class Once:
    """The transaction. ``answer``: that of the first request, if this one repeats it."""

    connection: BoundedConnection
    answer: Response | None
    _key: RequestKey | None

    async def keep(self, user_id: UUID, answer: Response) -> Response:
        """Keep the answer about what the transaction has made of a user's, and return it."""
        failpoint("before-keeping-answer")
        if self._key:
            packed = _Answer(answer.status_code, answer.headers.get("location"), bytes(answer.body))
            sealed = self._key.seal(msgspec.msgpack.encode(packed))
            kept = KeptAnswer(self._key.fingerprint, sealed)
            await store.keep_answer(self.connection, self._key.hash, user_id, kept)
        return answer


@asynccontextmanager
async def once(request: Request[Any], owner: str, content: object) -> AsyncIterator[Once]:
    """A transaction that is the only one of its key.

    ``owner``: who alone can repeat the request. ``content``: what its body says; bytes, or what can
    be written as JSON. Raises MalformedKey, KeyInUse while the first request is under way,
    KeyReused if the key was used for another one.
    """
    key = request_key_of(request, owner, _bytes_of(content))
    async with request.state["database"].connection() as connection, connection.transaction():
        answer = None
        if key:
            if not await store.lock_key(connection, key.hash):
                raise KeyInUse(_UNDER_WAY, about(_UNDER_WAY, NAME), {"Retry-After": "1"})
            answer = await _find(connection, key)
        yield Once(connection, answer, key)
    failpoint("after-keeping-answer")


async def find_repeated(request: Request[Any], owner: str, content: object) -> Response | None:
    """The answer of the first request, for who must not begin the transaction yet.

    Raises MalformedKey, KeyReused.
    """
    key = request_key_of(request, owner, _bytes_of(content))
    if key is None:
        return None
    async with request.state["database"].connection() as connection:
        return await _find(connection, key)


async def _find(connection: BoundedConnection, key: RequestKey) -> Response | None:
    kept = await store.find_answer(connection, key.hash)
    if kept is None:
        return None
    if not hmac.compare_digest(kept.fingerprint, key.fingerprint):
        raise KeyReused(_REUSED, about(_REUSED, NAME))
    answer = msgspec.msgpack.decode(key.open(kept.answer), type=_Answer)
    location = {"Location": answer.location} if answer.location else {}
    return Response(answer.body, answer.status, location, JSON)


def _bytes_of(content: object) -> bytes:
    """The content as bytes that are the same for each spelling of a moment."""
    if isinstance(content, bytes):
        return content
    plain = msgspec.to_builtins(content, builtin_types=(datetime,))
    return msgspec.json.encode(_in_utc(plain))


def _in_utc(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, dict):
        return {name: _in_utc(each) for name, each in value.items()}
    return [_in_utc(each) for each in value] if isinstance(value, list) else value
