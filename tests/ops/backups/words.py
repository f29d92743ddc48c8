"""A table of words, by which one sees to which moment a database was brought back."""

from datetime import datetime

import psycopg


def write(url: str, word: str) -> datetime:
    """Add a word; when that was there for good."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        connection.execute("INSERT INTO words VALUES (%s)", [word])
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def words(url: str) -> set[str]:
    """Those that are there."""
    with psycopg.connect(url) as connection:
        return {word for (word,) in connection.execute("SELECT word FROM words")}
