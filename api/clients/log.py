"""The messages of named streams as Redis holds them, bounded by number, bytes and age.

A user's notes are a hash, whose members are, for each stream:

| member         | meaning                                                                  |
|----------------|--------------------------------------------------------------------------|
| ``bytes:NAME`` | bytes of its messages; those of all streams are ``bytes``                |
| ``last:NAME``  | ms of the last sample that had no time of its own: each has one for itself |
| ``after:NAME`` | id of the last message that belongs to an earlier ride                   |
| ``ride:NAME``  | the ride it feeds: ``ID``, or ``ID?`` while what was sent before is not  |
|                | yet copied into the ride; ``-MS``: none, when PostgreSQL was asked last  |

Each change is one script, so that an answer says what held at the moment of the change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec
import redis

from api.clients.messages import Message
from api.web.problems import Conflict
from shared.connections import AsyncRedis
from shared.redis_keys import messages_channel, notes_key, stream_key, streams_key
from shared.settings import Settings

_AT_ONCE: Final = 1000
# Keys: the stream's messages, the user's streams, the notes. First arguments: name, channel.
_FORGET: Final = """
local function forget(name)
    local held = redis.call('HGET', KEYS[3], 'bytes:' .. name)
    if held then redis.call('HINCRBY', KEYS[3], 'bytes', -held) end
    for _, note in ipairs({'bytes:', 'last:', 'after:', 'ride:'}) do
        redis.call('HDEL', KEYS[3], note .. name)
    end
    redis.call('ZREM', KEYS[2], name)
end
"""
# Then: now (ms), kept for (ms); most streams, messages and bytes; 1 for a sample without a time of
# its own; what listeners are told, or nothing; members of the entry. Beyond its bounds a stream
# loses its oldest messages, but never the one just added.
_APPEND: Final = (
    _FORGET
    + """
local name, now, kept = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - kept)) do
    if gone ~= name or redis.call('EXISTS', KEYS[1]) == 0 then forget(gone) end
end
if not redis.call('ZSCORE', KEYS[2], name)
        and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then
    return false
end
local function weight(entry)
    local bytes = 64
    for _, text in ipairs(entry) do bytes = bytes + #text end
    return bytes
end
local members = {}
for at = 10, #ARGV do members[#members + 1] = ARGV[at] end
local moment = now
if ARGV[8] == '1' then
    local last = tonumber(redis.call('HGET', KEYS[3], 'last:' .. name) or '0')
    if last >= now then
        moment = last + 1
        members[#members + 1] = 'moment'
        members[#members + 1] = string.format('%.0f', moment)
    end
    redis.call('HSET', KEYS[3], 'last:' .. name, string.format('%.0f', moment))
end
local id = redis.call('XADD', KEYS[1], '*', unpack(members))
local added = weight(members)
local all = redis.call('HINCRBY', KEYS[3], 'bytes', added)
redis.call('HINCRBY', KEYS[3], 'bytes:' .. name, added)
redis.call('ZADD', KEYS[2], now, name)
local length = redis.call('XLEN', KEYS[1])
while length > 1 and (length > tonumber(ARGV[6]) or all > tonumber(ARGV[7])) do
    local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    local freed = weight(oldest[2])
    redis.call('XDEL', KEYS[1], oldest[1])
    all = redis.call('HINCRBY', KEYS[3], 'bytes', -freed)
    redis.call('HINCRBY', KEYS[3], 'bytes:' .. name, -freed)
    length = length - 1
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, kept) end
if ARGV[9] ~= '' then redis.call('PUBLISH', ARGV[2], name .. '\\n' .. id .. '\\n' .. ARGV[9]) end
return {id, redis.call('HGET', KEYS[3], 'ride:' .. name) or '', string.format('%.0f', moment)}
"""
)
_DELETED: Final = (
    _FORGET
    + """
local function deleted()
    local was = redis.call('DEL', KEYS[1])
    forget(ARGV[1])
    if was == 1 then redis.call('PUBLISH', ARGV[2], ARGV[1]) end
    return was
end
"""
)
_DELETE: Final = _DELETED + "return deleted()"
# Then: the ride, and 1 where a stream that feeds no ride goes as well. A stream that feeds another
# one stays: it has formed since.
_DELETE_OF: Final = (
    _DELETED
    + """
local before = redis.call('HGET', KEYS[3], 'ride:' .. ARGV[1]) or '-'
local is_free = ARGV[4] == '1' and string.sub(before, 1, 1) == '-'
if before ~= ARGV[3] and before ~= ARGV[3] .. '?' and not is_free then return 0 end
return deleted()
"""
)
_LAST: Final = """
local function last()
    local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
    return newest and newest[1] or '0-0'
end
"""
# Then: the ride, kept for (ms). After which message on the ride's samples are to be copied, or
# nothing where they are.
_BIND: Final = (
    _LAST
    + """
local name, ride = ARGV[1], ARGV[3]
local before = redis.call('HGET', KEYS[3], 'ride:' .. name) or '-'
if before == ride then return false end
if before ~= ride .. '?' and string.sub(before, 1, 1) ~= '-' then
    redis.call('HSET', KEYS[3], 'after:' .. name, last())
end
redis.call('HSET', KEYS[3], 'ride:' .. name, ride .. '?')
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return redis.call('HGET', KEYS[3], 'after:' .. name) or '0-0'
"""
)
_BOUND: Final = """
if redis.call('HGET', KEYS[3], 'ride:' .. ARGV[1]) == ARGV[3] .. '?' then
    redis.call('HSET', KEYS[3], 'ride:' .. ARGV[1], ARGV[3])
end
"""
# Then: now (ms), kept for (ms). Notes that no ride is fed, unless one has been noted meanwhile.
_UNBOUND: Final = """
local before = redis.call('HGET', KEYS[3], 'ride:' .. ARGV[1]) or '-'
if string.sub(before, 1, 1) ~= '-' then return before end
redis.call('HSET', KEYS[3], 'ride:' .. ARGV[1], '-' .. ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return ''
"""
# Then: the ride. The stream stays, and feeds that ride no more.
_LEAVE: Final = (
    _LAST
    + """
local name, ride = ARGV[1], ARGV[3]
local before = redis.call('HGET', KEYS[3], 'ride:' .. name)
if before == ride or before == ride .. '?' then
    redis.call('HDEL', KEYS[3], 'ride:' .. name)
    redis.call('HSET', KEYS[3], 'after:' .. name, last())
end
"""
)


@dataclass(frozen=True)
class Stream:
    """One of a user's streams."""

    name: str
    length: int
    first_id: str
    last_id: str


@dataclass(frozen=True)
class Added:
    """``ride``: the note of the ride that the stream fed when the message was added.

    ``moment``: the ms of its sample, if that has no time of its own.
    """

    id: str
    ride: str
    moment: int


class StreamLog:
    """The named streams of all users, as every API process shares them."""

    def __init__(self, client: AsyncRedis, settings: Settings) -> None:
        self._redis = client
        self._settings = settings
        self._kept = round(settings.stream_retention * 1000)  # ms
        scripts = (_APPEND, _DELETE, _DELETE_OF, _BIND, _BOUND, _UNBOUND, _LEAVE)
        self._scripts = {text: client.register_script(text) for text in scripts}

    async def create(self, user_id: UUID, name: str, now: int) -> str:
        """Add the entry of a stream that was asked for; its id. Raises Conflict."""
        entry = ("type", "stream_created", "timestamp", str(now))
        return (await self._append(user_id, name, now, 0, b"", *entry)).id

    async def append(self, user_id: UUID, name: str, message: Message, *, stamp: bool) -> Added:
        """Add a message, and tell who listens. Raises Conflict for one stream too many.

        ``stamp``: it is a sample that needs a moment, which no other of the stream has.
        """
        data = message.data()
        entry = [part for member in data.items() for part in member]
        told = msgspec.json.encode(data)
        return await self._append(user_id, name, message.arrived, int(stamp), told, *entry)

    async def read(
        self, user_id: UUID, name: str, start: str, end: str, count: int
    ) -> list[tuple[str, dict[str, str]]]:
        """Entries between two ids as Redis has them, by its rules."""
        try:
            found: Any = await self._redis.xrange(stream_key(user_id, name), start, end, count)
        except redis.ResponseError:  # beyond the last id there is, or before the first
            return []
        return [(id_.decode(), _decoded(members)) for id_, members in found]

    async def samples_after(self, user_id: UUID, name: str, after: str) -> list[list[Message]]:
        """All messages after an id, some at a time."""
        found = list[list[Message]]()
        while entries := await self.read(user_id, name, f"({after}", "+", _AT_ONCE):
            found.append(list(_messages(entries)))
            after = entries[-1][0]
        return found

    async def exists(self, user_id: UUID, name: str) -> bool:
        """Whether there is such a stream."""
        return bool(await self._redis.exists(stream_key(user_id, name)))

    async def list_streams(self, user_id: UUID) -> list[Stream]:
        """The user's streams, by name."""
        names = await self.names(user_id)
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                key = stream_key(user_id, name)
                pipe.xlen(key)
                pipe.xrange(key, count=1)
                pipe.xrevrange(key, count=1)
            replies = await pipe.execute()
        ends = zip(names, replies[::3], replies[1::3], replies[2::3], strict=True)
        return [
            Stream(name, length, first[0][0].decode(), last[0][0].decode())
            for name, length, first, last in ends
            if first and last
        ]

    async def names(self, user_id: UUID, before: float | None = None) -> list[str]:
        """Of the user's streams, or of those last sent to ``before`` (ms)."""
        until = "+inf" if before is None else f"({before}"
        found: Any = await self._redis.zrangebyscore(streams_key(user_id), "-inf", until)
        return sorted(name.decode() for name in found)

    async def delete(self, user_id: UUID, name: str) -> bool:
        """Delete a stream with all that is noted of it, and end who listens. Whether it was."""
        return bool(await self._run(_DELETE, user_id, name))

    async def delete_of(
        self, user_id: UUID, name: str, ride: UUID, *, or_free: bool = False
    ) -> None:
        """The same, but only of the stream that feeds this ride, ``or_free``: none."""
        await self._run(_DELETE_OF, user_id, name, str(ride), int(or_free))

    async def bind(self, user_id: UUID, name: str, ride: UUID) -> str | None:
        """Note the ride that a stream feeds from now on.

        After which id on its messages are to be copied into the ride before `note_bound`; None if
        that was done.
        """
        found: Any = await self._run(_BIND, user_id, name, str(ride), self._kept)
        return found.decode() if found else None

    async def note_bound(self, user_id: UUID, name: str, ride: UUID) -> None:
        """What was sent before is in the ride."""
        await self._run(_BOUND, user_id, name, str(ride))

    async def note_unbound(self, user_id: UUID, name: str, now: int) -> str:
        """PostgreSQL knows of no ride. The note of one if that was made meanwhile, else empty."""
        found: Any = await self._run(_UNBOUND, user_id, name, now, self._kept)
        return str(found.decode())

    async def leave(self, user_id: UUID, name: str, ride: UUID) -> None:
        """The stream feeds that ride no more."""
        await self._run(_LEAVE, user_id, name, str(ride))

    async def _append(
        self, user_id: UUID, name: str, now: int, stamp: int, told: bytes, *entry: str
    ) -> Added:
        limits = self._settings
        bounds = (limits.max_streams, limits.max_stream_messages, limits.max_stream_bytes)
        added: Any = await self._run(
            _APPEND, user_id, name, now, self._kept, *bounds, stamp, told, *entry
        )
        if added is None:
            most = f"a user may have {limits.max_streams} streams"
            raise Conflict(f"{most}: delete one, or clean up")
        id_, ride, moment = added
        return Added(id_.decode(), ride.decode(), int(moment))

    async def _run(
        self, script: str, user_id: UUID, name: str, *arguments: str | bytes | int
    ) -> Any:
        keys = [stream_key(user_id, name), streams_key(user_id), notes_key(user_id)]
        return await self._scripts[script](keys, [name, messages_channel(user_id), *arguments])


def _decoded(members: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in members.items()}


def _messages(entries: list[tuple[str, dict[str, str]]]) -> Iterator[Message]:
    for _, members in entries:
        if "message" in members:
            arrived = int(members["timestamp"])
            moment = int(members.get("moment", arrived))
            yield Message(members["message"], arrived, members.get("author"), moment)
