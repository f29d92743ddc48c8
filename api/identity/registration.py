"""Who may register, and how a user is created: with a password or by a provider."""

from uuid import UUID

from email_validator import EmailNotValidError

from api.identity import store
from api.identity.state import IdentityState
from api.identity.store import NewUser
from api.web.problems import Conflict, Fault, Forbidden, Unprocessable
from shared.connections import BoundedConnection
from shared.credentials import hash_key
from shared.emails import new_email
from shared.settings import Settings


def require_registration(settings: Settings, invitation: str | None) -> None:
    """Raises Forbidden if nobody may register, or only by invitation and there is none.

    Whether the invitation is good shows when the user is created.
    """
    if settings.registration == "closed":
        raise Forbidden("this service takes no new accounts")
    if settings.registration == "invite" and not invitation:
        raise Forbidden("this service takes new accounts by invitation only")


def checked_email(text: str) -> str:
    """The normal form of an address that may have an account. Raises Unprocessable."""
    try:
        return new_email(text)
    except EmailNotValidError as error:
        fault = Fault(str(error), "email")
        raise Unprocessable(f"email: {fault.detail}", [fault]) from None


async def create_user(state: IdentityState, user: NewUser, invitation: str | None) -> UUID:
    """Create a user in a transaction of its own; the user's id. Raises as ``add_user`` does."""
    async with state["database"].connection() as connection, connection.transaction():
        return await add_user(connection, state["settings"], user, invitation)


async def add_user(
    connection: BoundedConnection, settings: Settings, user: NewUser, invitation: str | None
) -> UUID:
    """Create a user, and use up the invitation where one is needed; the user's id.

    Raises Conflict if the address or the provider's id is taken, Forbidden if the invitation is
    no good. Then nothing is stored.
    """
    user_id = await store.create_user(connection, user)
    if settings.registration == "invite":
        # Before Conflict: without an invitation nobody learns which addresses are taken.
        code_hash = hash_key(invitation or "")
        if not await store.use_invitation(connection, code_hash, user_id):
            raise Forbidden("the invitation is unknown, used or expired")
    if user_id is None:  # rolled back, so that the invitation is unused again
        raise Conflict("there is an account with this email address")
    await store.write_audit(connection, user_id, "register", {"provider": user.provider})
    return user_id
