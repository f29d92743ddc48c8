"""Telling whoever listens what a job has done."""

import logging
from contextlib import suppress
from uuid import UUID

import redis
from redis.exceptions import OutOfMemoryError

from shared.connections import Redis, passing_over
from shared.events import Announcement
from shared.redis_keys import ANNOUNCEMENTS, WROTE_FOR, wrote_key

logger = logging.getLogger(__name__)


def note_write(client: Redis, user_id: UUID) -> None:
    """Have the user's reads go to the primary for a while: call it between a commit and its news.

    And before anything leaves Redis that is in PostgreSQL from then on, see shared.replicas. A full
    Redis takes no note; but what fills it has to leave. Nor does a node of a cluster that is away:
    while it is, nobody can see that there is none, and the user's reads are the primary's.
    """
    key = wrote_key(user_id)
    with passing_over(client, key=key), suppress(OutOfMemoryError):
        client.set(key, 1, ex=WROTE_FOR)


def announce(client: Redis, announcement: Announcement) -> None:
    """Publish it once, after the commit. A listener that misses it reads the row a little later."""
    try:
        client.publish(ANNOUNCEMENTS, announcement.encode())
    except redis.RedisError as error:
        logger.warning("could not announce %s: %s", announcement, error)
