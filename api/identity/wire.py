"""The published types that several modules of this room answer with."""

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from api.web.routing import Scope
from shared.moments import Instant


class Rider(Struct, rename="camel"):
    """A user's profile. `timeZone` says where days, weeks, months and years begin."""

    id: UUID
    email: str
    display_name: str | None
    avatar_url: str | None
    time_zone: str
    provider: Annotated[str | None, Meta(description="Who vouches for it, if not a password")]
    created_at: Instant
    last_login_at: Instant | None


class Storage(Struct):
    """Bytes that a user's originals have, and archived samples take; `quota`: of both together.

    Beyond the quota no file is taken; rides that are sent live always are. It is null where there
    is none.
    """

    originals: Annotated[int, Meta(description="Bytes")]
    samples: Annotated[int, Meta(description="Bytes")]
    quota: Annotated[int | None, Meta(description="Bytes")] = None

    @property
    def total(self) -> int:
        """What counts by the quota."""
        return self.originals + self.samples


class RiderAnswer(Struct):
    """The caller; `storage` only where the profile is read."""

    user: Rider
    storage: Storage | UnsetType = UNSET


class Key(Struct, rename="camel"):
    """An API key without its secret. `id` is the part after `bpt_`, which tells keys apart."""

    id: str
    name: str
    scopes: list[Scope]
    session: Annotated[bool, Meta(description="Made by logging in")]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Annotated[Instant | None, Meta(description="When a rotated key ends")]
    last_used_at: Instant | None


class KeyList(Struct):
    """The keys that open now, newest first."""

    keys: list[Key]


class Revocation(Struct):
    """The key opens nothing more, everywhere within five seconds."""

    success: bool = True
