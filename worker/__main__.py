"""Run one worker process: ``python -m worker``."""

import logging
import os
import secrets
import signal
import socket
import sys
from contextlib import closing
from functools import partial
from threading import Event

import redis

from shared.breaker import Breaker
from shared.connections import Database, Redis, open_database, open_redis
from shared.errors import InvalidSettings
from shared.logs import start_logging
from shared.monitoring.figures import Figures
from shared.monitoring.server import monitored
from shared.settings import Settings, read_settings
from shared.tracing import start_tracing
from shared.watchdog import Watchdog
from worker.jobs.dispatch import Dispatcher
from worker.jobs.expiring import Expiry
from worker.jobs.fold import FoldJob
from worker.jobs.importing import ImportJob
from worker.jobs.live import LiveFigures
from worker.jobs.measuring import MeasureJob
from worker.jobs.sweep import Sweeper
from worker.jobs.watched import WatchedJob
from worker.queue.heartbeat import Pulse
from worker.queue.inbox import Inbox
from worker.queue.jobs import Job, Jobs, Unreadable
from worker.queue.loop import Worker
from worker.queue.pace import Pace
from worker.webhooks.delivering import Deliveries

logger = logging.getLogger(__name__)


def make_jobs(database: Database, client: Redis, settings: Settings, figures: Figures) -> list[Job]:
    """A job for each kind of event: a line here, and a module of ``worker.jobs``."""
    return [
        FoldJob(database, client),
        ImportJob(database, client, settings, partial(figures.add, "bpt_imports")),
        MeasureJob(database, client),
    ]


def work(settings: Settings, stop: Event) -> None:
    """Open the connections and work until ``stop`` is set."""
    consumer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    pace = Pace(lease=settings.lease, breaker_pause=settings.breaker_pause)
    with (
        open_database(settings) as database,
        open_redis(settings) as client,
        open_redis(settings, longest_block=pace.block) as blocking,
        monitored(settings, "worker") as figures,
        closing(Pulse(client, consumer)) as pulse,
        closing(Deliveries(settings, partial(figures.add, "bpt_webhook_attempts"))),
    ):
        figures.watch_pool(database.get_stats)
        jobs = make_jobs(database, client, settings, figures)
        swept = partial(figures.add, "bpt_sweeps")
        inbox = Inbox(client, blocking, consumer, pace)
        worker = Worker(
            inbox,
            Breaker(client),
            Jobs(
                [WatchedJob(job, figures, pulse) for job in jobs],
                WatchedJob(Unreadable(database), figures, pulse),
            ),
            between_events=[
                Dispatcher(database, client, settings.checkpoint_interval).dispatch_if_due,
                Sweeper(database, client, settings, note=swept).sweep_if_due,
                LiveFigures(database, client).publish_if_due,
                Expiry(database, settings).expire_if_due,
            ],
            stop=stop,
            pace=pace,
            alive=Watchdog(settings.max_job_seconds).beat,
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
        start_tracing(os.environ, "worker")
    except InvalidSettings as error:
        sys.exit(f"cannot start: {error}")
    start_logging(settings.log_level, settings.log_format)
    stop = Event()
    for how in (signal.SIGTERM, signal.SIGINT):
        signal.signal(how, lambda *_: stop.set())
    work(settings, stop)


if __name__ == "__main__":
    main()
