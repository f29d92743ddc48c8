"""Originals of files in an S3-compatible store, where ORIGINALS_URL names one.

The client is imported only then. Who stores a file notes its object's name in PostgreSQL first,
then puts the object, then writes the row that needs it: whatever is cut off in between leaves an
object without a row, which the workers delete.
"""

import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from shared.errors import ServiceUnavailable
from shared.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Store

_PIECE: Final = 1024 * 1024  # bytes of an object that are read at a time
_LONGEST: Final = timedelta(seconds=60)  # for a whole object to be put
_RETRIES: Final[Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
_RETRY_AFTER: Final = 5  # seconds
logger = logging.getLogger(__name__)


class OriginalMissing(Exception):
    """The store has no object of that name."""


class Originals:
    """Objects by their names, which are below the prefix of the setting.

    Raises ServiceUnavailable while the store is away or refuses: nothing is lost, and the same call
    may work later. The log says why; no secret is part of what the store answers.
    """

    def __init__(self, store: "S3Store") -> None:
        self._store = store

    async def put(self, name: str, data: bytes) -> None:
        """Keep the bytes; once this returns, the store has them."""
        with _answered(f"put {name}"):
            await self._store.put_async(name, data)

    def put_now(self, name: str, data: bytes) -> None:
        """The same, for workers."""
        with _answered(f"put {name}"):
            self._store.put(name, data)

    def read_now(self, name: str) -> bytes:
        """All of an object. Raises OriginalMissing."""
        with _answered(f"read {name}"):
            return bytes(self._store.get(name).bytes())

    async def size(self, name: str) -> int:
        """Bytes of an object. Raises OriginalMissing."""
        with _answered(f"look at {name}"):
            size: int = (await self._store.head_async(name))["size"]
            return size

    async def pieces(self, name: str, size: int) -> AsyncIterator[bytes]:
        """An object of that size. No connection is held while a piece is on its way to its reader.

        Raises OriginalMissing if it is deleted meanwhile.
        """
        for start in range(0, size, _PIECE):
            with _answered(f"read {name}"):
                end = min(start + _PIECE, size)
                piece = await self._store.get_range_async(name, start=start, end=end)
            yield bytes(piece)

    def delete_now(self, names: Iterable[str]) -> None:
        """Delete objects, those that are there."""
        with _answered("delete objects"):
            for name in names:
                try:
                    self._store.delete(name)
                except FileNotFoundError:  # some stores say so, and others do not
                    continue


def open_originals(settings: Settings) -> Originals | None:
    """The store of the settings, which is not asked yet; None where PostgreSQL has originals."""
    if not settings.originals_url:
        return None
    from obstore.store import S3Store

    bucket = urlsplit(settings.originals_url)
    return Originals(
        S3Store(
            bucket.netloc,
            prefix=bucket.path.strip("/") or None,
            client_options={
                "allow_http": settings.originals_endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=settings.service_timeout),
                "timeout": _LONGEST,
            },
            retry_config=_RETRIES,
            **_access(settings),
        )
    )


def stored_in(originals: Originals | None) -> Originals:
    """The store that a row refers to. Raises ServiceUnavailable where none is set."""
    if originals is None:
        raise ServiceUnavailable("originals are in a store that ORIGINALS_URL does not name")
    return originals


def new_name(user_id: UUID) -> str:
    """A name for an object of the user's, which nothing had before."""
    return f"{user_id}/{uuid4()}"


def _access(settings: Settings) -> dict[str, Any]:
    """Without a key of the settings, what AWS's own variables or the machine's role give."""
    given = {
        "region": settings.originals_region,
        "endpoint": settings.originals_endpoint,
        "access_key_id": settings.originals_key_id,
        "secret_access_key": settings.originals_secret,
    }
    return {name: value for name, value in given.items() if value}


@contextmanager
def _answered(what: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        raise OriginalMissing(what) from error
    except (BaseError, OSError, ValueError) as error:
        logger.warning("could not %s: %s: %s", what, type(error).__name__, error)
        detail = "the store of originals does not answer"
        raise ServiceUnavailable(detail, _RETRY_AFTER) from None
