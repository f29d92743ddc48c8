"""Which memory of Redis an answer is about, so that a device notices when some of it is lost."""

from collections.abc import Callable, Collection
from contextlib import suppress
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final
from weakref import WeakKeyDictionary

from redis import ResponseError
from redis.asyncio.connection import AbstractConnection

from shared.redis_keys import EPOCH

Command = tuple[Any, ...]
# A key that is of this run stays. Another was made by a run before, or by the primary whose place a
# replica has taken: that one may have acknowledged what it had not sent yet.
_CLAIM: Final = """
local held = redis.call('GET', KEYS[1])
if not held or string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
"""


class Epochs:
    """Tells the epoch of what a connection has read and written.

    It follows from the run of the server, which each start gives another id, and from a random key
    in it, which is gone with all else when it is emptied or replaced. So it changes with every
    restart, though most lose nothing: whether one did is nothing that a server knows of itself. The
    run is asked for once a connection, for none outlives it; the key is read along with what is
    written.

    Of several servers, each with a part of the rides, all together make the epoch: a device
    compares whatever it is told last, of any of its rides.
    """

    def __init__(self, make_secret: Callable[[], str] = token_hex) -> None:
        self._make_secret = make_secret
        self._runs = WeakKeyDictionary[AbstractConnection, bytes]()
        self._known = dict[str, bytes]()  # by server, its run and key
        self._told = ""

    async def greet(self, connection: AbstractConnection, key: str = EPOCH) -> None:
        """Ask a server that was just connected to which run of it this is; give it a key."""
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        run = _run_in(await connection.read_response())
        self._runs[connection] = run
        await connection.send_command(*self.claim(run, key))
        with suppress(ResponseError):  # it is full, or not yet ready
            await connection.read_response()

    def run_of(self, connection: AbstractConnection) -> bytes:
        """The id of the run that the connection is to."""
        return self._runs[connection]

    def tell(self, run: bytes, secret: Any, server: str = "") -> str:
        """The epoch of what a connection to the run does once it has read the key.

        Where there is no key of this run, as in a Redis that is full, or that has become the
        replica of another one, it is an epoch that nobody is told twice: by the next answer there
        is another, and what this one says is stored is sent again.
        """
        if not is_of(run, secret):
            return self.once()
        if self._known.get(server) != run + secret:
            self._known[server] = run + secret
            self._sum_up()
        return self._told

    def once(self) -> str:
        """An epoch that nobody is told twice."""
        return _digest(self._make_secret().encode())

    def keep(self, servers: Collection[str]) -> None:
        """Forget servers that have no part any more."""
        if gone := self._known.keys() - set(servers):
            for server in gone:
                del self._known[server]
            self._sum_up()

    def claim(self, run: bytes, key: str = EPOCH) -> Command:
        """The command that makes the key, unless the run has one."""
        return ("EVAL", _CLAIM, 1, key, run, run + self._make_secret().encode())

    def _sum_up(self) -> None:
        # By what they are, not by their names: processes may know a server by different ones.
        self._told = _digest(b"".join(sorted(self._known.values())))


def is_of(run: bytes, secret: Any) -> bool:
    """Whether what was read in place of a key is the key of this run."""
    return isinstance(secret, bytes) and secret.startswith(run)


def _digest(text: bytes) -> str:
    return sha256(text).hexdigest()[:16]


def _run_in(info: Any) -> bytes:
    """The run's id in the text that Redis tells of itself. Raises ValueError without one."""
    text: bytes = info
    for line in text.splitlines():
        name, _, value = line.partition(b":")
        if name == b"run_id":
            return value
    raise ValueError("Redis does not tell its run_id")
