"""Keys for `make import`: each is made for one import, and ended by it."""

from datetime import UTC, datetime, timedelta
from typing import Final

from ops.admin.accounts import create_key, read_users
from ops.processes import ProcessFailed

_LIFETIME: Final = timedelta(days=30)  # should the import be killed before it ends its key
_SCOPES: Final = ("upload", "read", "admin")  # admin: thresholds, and its own end


def make_import_key(database_url: str, email: str | None) -> str:
    """A key for an import into the account of that address, or into the only one there is.

    Raises ProcessFailed, saying what to do.
    """
    chosen = email or _only_user(database_url)
    expires = datetime.now(UTC) + _LIFETIME
    return create_key(database_url, chosen, "make import", _SCOPES, expires).api_key


def _only_user(database_url: str) -> str:
    emails = [str(user["email"]) for user in read_users(database_url) if not user["disabled_at"]]
    if not emails:
        raise ProcessFailed("there is no user yet: make user EMAIL=…")
    if len(emails) > 1:
        raise ProcessFailed(f"say whose rides they are: USER=… of {', '.join(emails[:10])}")
    return emails[0]
