"""Which memory of Redis an answer is about, so that a device notices when some of it is lost."""

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final
from weakref import WeakKeyDictionary

from redis import ResponseError
from redis.asyncio.connection import AbstractConnection

from shared.redis_keys import EPOCH

Command = tuple[Any, ...]
READ: Final[Command] = ("GET", EPOCH)


class Epochs:
    """Tells the epoch of what a connection has read and written.

    It follows from the run of the server, which each start gives another id, and from a random key
    in it, which is gone with all else when it is emptied or replaced. So it changes with every
    restart, though most lose nothing: whether one did is nothing that a server knows of itself. The
    run is asked for once a connection, for none outlives it; the key is read along with what is
    written.
    """

    def __init__(self, make_secret: Callable[[], str] = token_hex) -> None:
        self._make_secret = make_secret
        self._runs = WeakKeyDictionary[AbstractConnection, bytes]()

    async def greet(self, connection: AbstractConnection) -> None:
        """Ask a server that was just connected to which run of it this is; give it a key."""
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        told = await connection.read_response()
        self._runs[connection] = _run_in(told)
        await connection.send_command(*self.make())
        with suppress(ResponseError):  # it is full, or not yet ready
            await connection.read_response()

    def run_of(self, connection: AbstractConnection) -> bytes:
        """The id of the run that the connection is to."""
        return self._runs[connection]

    def tell(self, run: bytes, secret: Any) -> str:
        """The epoch of what a connection to the run does once it has read the key.

        Where there is no key, as in a Redis that is full, one that nobody is told twice: by the
        next answer there is another, and what this one says is stored is sent again.
        """
        if not isinstance(secret, bytes):
            secret = self._make_secret().encode()
        return sha256(run + secret).hexdigest()[:16]

    def make(self) -> Command:
        """The command that makes the key, unless there is one."""
        return ("SET", EPOCH, self._make_secret(), "NX")


def _run_in(info: Any) -> bytes:
    """The run's id in the text that Redis tells of itself. Raises ValueError without one."""
    text: bytes = info
    for line in text.splitlines():
        name, _, value = line.partition(b":")
        if name == b"run_id":
            return value
    raise ValueError("Redis does not tell its run_id")
