"""Telling whoever listens what a job has done."""

import logging

import redis

from shared.connections import Redis
from shared.events import Announcement
from shared.redis_keys import ANNOUNCEMENTS

logger = logging.getLogger(__name__)


def announce(client: Redis, announcement: Announcement) -> None:
    """Publish it once, after the commit. A listener that misses it reads the row a little later."""
    try:
        client.publish(ANNOUNCEMENTS, announcement.encode())
    except redis.RedisError as error:
        logger.warning("could not announce %s: %s", announcement, error)
