"""Sessions: API keys that logging in makes, with every scope and an expiry."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from api.identity import store
from api.identity.state import IdentityState
from api.identity.wire import Key, Rider
from shared.credentials import make_key
from shared.errors import ServiceUnavailable

MOST_SESSIONS: Final = 20  # of a user; the oldest end when there are more


class Session(Struct):
    """A session. `secret` is its key's whole text, shown this once: send it as any API key."""

    user: Rider
    key: Key
    secret: str
    success: bool = True


async def open_session(
    state: IdentityState, user_id: UUID, by: str, compared: str | None = None
) -> Session:
    """Open a session for a user who has proved who it is, ``by`` password or a provider's name.

    It expires after SESSION_LIFETIME. ``compared``: the hash that the password was compared with.
    Raises ServiceUnavailable if that is no longer the user's, or the user has been disabled or
    deleted meanwhile: trying again gives the answer that holds now.
    """
    fresh, lifetime = make_key(), state["settings"].session_lifetime
    async with state["database"].connection() as connection, connection.transaction():
        if not await store.note_login(connection, user_id, compared):
            raise ServiceUnavailable("the account has changed since the login began")
        key = await store.create_session(connection, user_id, fresh, lifetime)
        ended = await store.end_sessions(connection, user_id, newest=MOST_SESSIONS)
        await store.write_audit(connection, user_id, "log_in", {"key": key.id, "by": by})
    if ended:
        state["authenticator"].forget_user(user_id)
    return Session(await store.get_profile(state["database"], user_id), key, fresh.text)
