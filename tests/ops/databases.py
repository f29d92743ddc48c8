"""Databases of a test's own, on the servers that all tests share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Final

import psycopg
from psycopg import sql

_END_SESSIONS: Final = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = %s AND backend_type = 'client backend'
"""
_REDIS_DATABASES: Final = count(9)  # those before are named by tests


def accepts(url: str) -> bool:
    """Whether a server takes connections already."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def own_database(urls: Mapping[str, str], name: str) -> Iterator[dict[str, str]]:
    """The settings that lead to an empty PostgreSQL database, and to one of Redis."""
    redis = f"{urls['REDIS_URL']}?db={next(_REDIS_DATABASES)}"
    with empty_database(urls["DATABASE_URL"], name) as database:
        yield {"DATABASE_URL": database, "REDIS_URL": redis}


@contextmanager
def empty_database(url: str, name: str) -> Iterator[str]:
    """The address of a database of that name, on the same server."""
    with psycopg.connect(url, autocommit=True) as connection:
        named = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(named))
        try:
            yield url.replace("/tracker?", f"/{name}?")
        finally:
            # Not WITH (FORCE): that fails where PostgreSQL happens to vacuum the database.
            connection.execute(_END_SESSIONS, [name])
            connection.execute(sql.SQL("DROP DATABASE {}").format(named))
