"""API keys of any kind, and sessions."""

from collections.abc import Callable, Sequence

import pytest

from shared.connections import Database
from shared.credentials import SCOPES, make_key
from tests.api.sessions import LoggedIn, log_in, register
from tests.conftest import Rider

MakeKey = Callable[..., str]
MakeToken = Callable[[Rider, Sequence[str]], tuple[str, str]]


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
def make_app_token(database: Database, make_api_key: MakeKey) -> MakeToken:
    """Registers an app of a rider's, who lets it in; its id, and an access token."""

    def make(rider: Rider, scopes: Sequence[str]) -> tuple[str, str]:
        user_id = rider.account.user_id
        token = make_api_key(user_id, scopes, expires="1 hour")
        with database.connection() as connection:
            row = connection.execute(
                """
                WITH app AS (
                    INSERT INTO apps (user_id, name, redirect_uris)
                    VALUES (%(user)s, 'test', '{https://app.example/done}')
                    RETURNING id
                ), let_in AS (
                    INSERT INTO app_grants (
                        app_id, user_id, scopes, code_hash, code_challenge, code_expires_at,
                        code_used_at
                    )
                    SELECT id, %(user)s, '{read,upload}', sha256(id::text::bytea), 'x', now(), now()
                    FROM app
                    RETURNING id, app_id
                )
                SELECT id, app_id FROM let_in
                """,
                {"user": user_id},
            ).fetchone()
            assert row
            own = "UPDATE api_keys SET grant_id = %s WHERE id = %s"
            connection.execute(own, [row["id"], token.split("_")[1]])
        return str(row["app_id"]), token

    return make


@pytest.fixture
def api(service: str, unthrottled: None) -> str:
    """The service's address, for logging in and registering."""
    return service


@pytest.fixture
def session(api: str) -> LoggedIn:
    """A session of an account that nobody else has."""
    return log_in(api, register(api))
