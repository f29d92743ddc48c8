"""API keys of any kind, and sessions."""

from collections.abc import Callable, Sequence

import pytest

from shared.connections import Database
from shared.credentials import SCOPES, make_key
from tests.api.sessions import LoggedIn, log_in, register

MakeKey = Callable[..., str]


@pytest.fixture
def make_api_key(database: Database) -> MakeKey:
    """Makes further keys of a user; ``expires`` and ``revoked`` are SQL intervals from now."""

    def make(
        user_id: str,
        scopes: Sequence[str] = SCOPES,
        *,
        expires: str | None = None,
        revoked: str | None = None,
        session: bool = False,
    ) -> str:
        key = make_key()
        with database.connection() as connection:
            connection.execute(
                """
                INSERT INTO api_keys
                    (id, user_id, hash, name, scopes, session, expires_at, revoked_at)
                VALUES (%s, %s, %s, 'test', %s, %s, now() + %s::interval, now() + %s::interval)
                """,
                [key.id, user_id, key.hash, list(scopes), session, expires, revoked],
            )
        return key.text

    return make


@pytest.fixture
def api(service: str, unthrottled: None) -> str:
    """The service's address, for logging in and registering."""
    return service


@pytest.fixture
def session(api: str) -> LoggedIn:
    """A session of an account that nobody else has."""
    return log_in(api, register(api))
