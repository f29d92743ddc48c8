"""Delivers what is due: an event loop in a thread of each worker, beside the folds.

A delivery is claimed for a lease, tried, and noted. A worker that is killed in between leaves the
rest to the others: a receiver may so get a message twice, with the same id, and never none.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from shared.connections import AsyncDatabase, open_async_database
from shared.failpoints import failpoint
from shared.settings import Settings
from worker.webhooks import store
from worker.webhooks.sending import Outcome, Sender
from worker.webhooks.store import Delivery
from worker.webhooks.terms import Terms

_CONNECTIONS: Final = 2  # to PostgreSQL, of each worker
Note = Callable[[str], None]
logger = logging.getLogger(__name__)


class Deliverer:
    """Claims, sends and notes within one event loop; ``note`` is told what became of each."""

    def __init__(
        self,
        database: AsyncDatabase,
        sender: Sender,
        terms: Terms,
        note: Note,
    ) -> None:
        self._database = database
        self._sender = sender
        self._terms = terms
        self._note = note
        self._random = Random()  # noqa: S311 no secret
        self._flying = dict[asyncio.Task[None], Delivery]()
        self._resting = dict[UUID, float]()  # until when, by the loop's clock
        self._wake = asyncio.Event()
        self._is_ending = False

    async def run(self) -> None:
        """Deliver until ``end``; what is under way by then ends, or is given back."""
        failing = False
        while not self._is_ending:
            try:
                while await self._start_some():
                    pass
                failing = False
            except (psycopg.Error, PoolTimeout) as error:
                if not failing:
                    logger.warning("cannot deliver to webhooks for now: %s", error)
                failing = True
            except Exception:
                logger.exception("could not look for what is to be delivered")
            await self._pause()
        await self._finish()

    def end(self) -> None:
        """Start nothing more."""
        self._is_ending = True
        self._wake.set()

    async def _start_some(self) -> bool:
        """Start what is due; whether there may be more."""
        room = self._terms.most - len(self._flying)
        if room <= 0 or self._is_ending:
            return False
        now = asyncio.get_running_loop().time()
        self._resting = {each: until for each, until in self._resting.items() if until > now}
        claimed = await store.claim(
            self._database,
            self._terms,
            most=room,
            flying=Counter(each.user_id for each in self._flying.values()),
            resting=list(self._resting),
        )
        for delivery in claimed:
            task = asyncio.create_task(self._deliver(delivery))
            self._flying[task] = delivery
            task.add_done_callback(self._landed)
        return bool(claimed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        del self._flying[task]
        self._wake.set()

    async def _pause(self) -> None:
        """Until something has ended, as another one may wait behind it, or for a moment."""
        try:
            await asyncio.wait_for(self._wake.wait(), self._terms.poll)
        except TimeoutError:
            return
        self._wake.clear()

    async def _deliver(self, delivery: Delivery) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            failpoint("before-delivery")
            outcome = await self._sender.send(delivery)
            failpoint("after-delivery")
            took = loop.time() - began
            if rest := self._terms.rest_after(took, outcome.is_success):
                self._resting[delivery.webhook_id] = loop.time() + rest
            await self._write(delivery, outcome)
        except asyncio.CancelledError:
            await store.give_back(self._database, delivery)
        except (psycopg.Error, PoolTimeout) as error:  # it is tried again after the lease
            logger.warning("could not note the delivery %s: %s", delivery.message_id, error)
        except Exception:
            logger.exception("could not deliver %s", delivery.message_id)

    async def _write(self, delivery: Delivery, outcome: Outcome) -> None:
        if outcome.problem is None:
            if await store.note_delivered(self._database, delivery, outcome.status or 0):
                self._note("delivered")
            return
        status = await store.note_failed(
            self._database,
            delivery,
            status=outcome.status,
            problem=outcome.problem,
            delay=self._terms.pause(delivery.attempts, outcome.wish, self._random),
            patience=self._terms.patience,
            is_final=outcome.is_final,
            reason=_reason(outcome, self._terms.patience),
        )
        if status:
            self._note("failed" if status == "failed" else "retried")
        if status == "failed":
            logger.warning("disabled the webhook %s: %s", delivery.webhook_id, outcome.problem)

    async def _finish(self) -> None:
        """Let what is under way end, for a while; give the rest back."""
        if self._flying:
            await asyncio.wait(list(self._flying), timeout=self._terms.ending)
        for task in list(self._flying):
            task.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)


class Deliveries:
    """A worker's thread that delivers, until it is closed."""

    def __init__(self, settings: Settings, note: Note, terms: Terms | None = None) -> None:
        self._settings = settings
        self._terms = terms or Terms(attempt=settings.webhook_timeout)
        self._note = note
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it: what is under way ends soon, or is given back to the other workers."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._deliver())

    async def _deliver(self) -> None:
        allow_private = self._settings.webhook_allow_private
        sender = Sender(allow_private=allow_private, timeout=self._terms.attempt)
        async with open_async_database(
            self._settings, user="webhooks", most=_CONNECTIONS
        ) as database:
            deliverer = Deliverer(database, sender, self._terms, self._note)
            running = asyncio.create_task(deliverer.run())
            await self._closing.wait()
            deliverer.end()
            await running
        await sender.aclose()


def _reason(outcome: Outcome, patience: float) -> str:
    """Why the webhook is disabled, if this is the end of it."""
    if outcome.is_final:
        return "the receiver answered 410: it wants no more"
    return f"a delivery failed for {patience / 3600:g} hours; at last: {outcome.problem}"
