"""Users and keys, from the command line."""

from typing import NamedTuple

import psycopg
from psycopg.rows import dict_row

from shared.credentials import SCOPES, make_key
from shared.sql import load_queries

QUERIES = load_queries("users")


class Account(NamedTuple):
    """A user with a fresh key. ``api_key`` exists nowhere else."""

    user_id: str
    email: str
    api_key: str


def create_account(database_url: str, email: str, key_name: str) -> Account:
    """Create the user unless there is one with that address, and a key with every scope."""
    key = make_key()
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        user = connection.execute(
            QUERIES["create_user"], {"email": email, "display_name": None}
        ).fetchone()
        assert user is not None  # INSERT … RETURNING gives a row  # noqa: S101
        connection.execute(
            QUERIES["create_key"],
            {
                "id": key.id,
                "user_id": user["id"],
                "hash": key.hash,
                "name": key_name,
                "scopes": list(SCOPES),
            },
        )
    return Account(str(user["id"]), str(user["email"]), key.text)
