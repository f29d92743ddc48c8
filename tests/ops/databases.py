"""Databases of a test's own, on the servers that all tests share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Final

import psycopg
from psycopg import sql

_REDIS_DATABASES: Final = count(9)  # those before are named by tests


@contextmanager
def own_database(urls: Mapping[str, str], name: str) -> Iterator[dict[str, str]]:
    """The settings that lead to an empty PostgreSQL database, and to one of Redis."""
    redis = f"{urls['REDIS_URL']}?db={next(_REDIS_DATABASES)}"
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        named = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(named))
        try:
            own = urls["DATABASE_URL"].replace("/tracker?", f"/{name}?")
            yield {"DATABASE_URL": own, "REDIS_URL": redis}
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(named))
