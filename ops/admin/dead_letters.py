"""Events that the workers gave up on: what they are, and how they get another chance."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row
from redis.exceptions import RedisError

from ops.processes import ProcessFailed
from shared.breaker import Breaker
from shared.connections import Row, open_redis
from shared.redis_keys import Queue
from shared.settings import Settings
from shared.sql import load_queries

QUERIES = load_queries("dead_letters")
_MOST_SHOWN: Final = 200


def read_letters(database_url: str, letter_id: int | None = None) -> list[Row]:
    """The letters not replayed, newest first; or the one of that id, replayed or not."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        wanted = {"id": letter_id, "limit": _MOST_SHOWN}
        return connection.execute(QUERIES["list_dead_letters"], wanted).fetchall()


def replay(settings: Settings, letter_id: int | None = None) -> int:
    """Give one letter, or all not replayed, back to the workers; how many. Raises ProcessFailed.

    Whatever is cut short leaves all letters waiting.
    """
    with psycopg.connect(settings.database_url) as connection, open_redis(settings) as redis:
        found = connection.execute(QUERIES["replay_dead_letters"], {"id": letter_id}).fetchall()
        try:
            for (event,) in found:
                redis.xadd(Queue.PROMPT, event)
        except RedisError as error:  # nothing is committed; events that were added do no harm
            raise ProcessFailed(f"Redis takes no events: {error}") from None
    if letter_id is not None and not found:
        raise ProcessFailed(f"no dead letter {letter_id} waits: see `make dead-letters`")
    return len(found)


def consumption_is_paused(settings: Settings) -> bool:
    """Whether most jobs fail, so that the workers hardly try. Unknown without Redis: False."""
    with suppress(RedisError), open_redis(settings) as redis:
        return Breaker(redis).is_open()
    return False


def summarize(letters: Iterable[Row]) -> str:
    """A letter a paragraph, for the terminal."""
    return "\n\n".join(_paragraph(letter) for letter in letters)


def describe(letter: Row) -> str:
    """All that is known of a letter."""
    replayed = f"\nreplayed {_moment(letter['replayed_at'])}" if letter["replayed_at"] else ""
    return f"{_paragraph(letter)}{replayed}\nevent {letter['event']}\n\n{letter['traceback']}"


def _paragraph(letter: Row) -> str:
    whose = f"workout {letter['workout_id']} of {letter['email']}, {letter['status']}"
    what = whose if letter["workout_id"] else "an event of no workout"
    deliveries = f"given up at delivery {letter['deliveries']}"
    heading = f"{letter['id']}  {_moment(letter['created_at'])}  {what}, {deliveries}"
    return f"{heading}\n    {letter['reason']}"


def _moment(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
