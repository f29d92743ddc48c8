"""Run one worker process: ``python -m worker``."""

import logging
import os
import secrets
import signal
import socket
import sys
from threading import Event

import redis

from shared.breaker import Breaker
from shared.connections import open_database, open_redis
from shared.errors import InvalidSettings
from shared.logs import start_logging
from shared.settings import Settings, read_settings
from worker.jobs.fold import fold
from worker.jobs.sweep import Sweeper
from worker.queue.dead_letters import bury
from worker.queue.inbox import BLOCK, Inbox
from worker.queue.loop import Worker

logger = logging.getLogger(__name__)


def work(settings: Settings, stop: Event) -> None:
    """Open the connections and work until ``stop`` is set."""
    consumer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    with (
        open_database(settings) as database,
        open_redis(settings) as client,
        open_redis(settings, longest_block=BLOCK) as blocking,
    ):
        inbox = Inbox(client, blocking, consumer, settings.lease)
        worker = Worker(
            inbox,
            Breaker(client),
            fold=lambda workout_id: fold(database, client, workout_id),
            bury=lambda delivery, error: bury(database, delivery, error),
            sweep=Sweeper(database, client, settings).sweep_if_due,
            stop=stop,
            breaker_pause=settings.breaker_pause,
        )
        logger.info("started worker %s", consumer)
        worker.run()
        try:
            inbox.close()
        except redis.RedisError as error:
            logger.warning("could not leave the group: %s", error)
    logger.info("stopped worker %s", consumer)


def main() -> None:
    """Read the settings, then work; SIGTERM and SIGINT finish the event in hand."""
    try:
        settings = read_settings(os.environ)
    except InvalidSettings as error:
        sys.exit(f"cannot start: {error}")
    start_logging(settings.log_level)
    stop = Event()
    for how in (signal.SIGTERM, signal.SIGINT):
        signal.signal(how, lambda *_: stop.set())
    work(settings, stop)


if __name__ == "__main__":
    main()
