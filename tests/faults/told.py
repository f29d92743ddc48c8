"""What a receiver of webhooks is told while everything fails: all, signed, each ride in order."""

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from shared.connections import DatabaseConnection
from shared.webhooks import EVENTS, make_secret, sign
from tests.conftest import Rider
from tests.faults.history import History
from tests.faults.system import System
from tests.worker.webhooks.receiving import Answer, Received, Receiver, receiver, status

_TAKING: Final = status(204)
_REFUSING: Final = status(503)
_SLOW: Final = 0.3  # seconds


@dataclass
class Telling:
    """A receiver for every rider of a chaos run, and the secrets of their webhooks."""

    receiver: Receiver
    secrets: dict[str, str] = field(default_factory=dict)  # by user

    def subscribe(self, system: System, rider: Rider) -> None:
        """Have the rider's webhook tell everything."""
        secret = self.secrets[rider.account.user_id] = make_secret()
        system.query(
            "INSERT INTO webhooks (user_id, url, events, secret) VALUES (%s, %s, %s, %s)"
            " RETURNING id",
            [rider.account.user_id, self.receiver.url, list(EVENTS), secret],
        )

    def heal(self, system: System) -> None:
        """Take everything from now on, and have what waits for its turn sent at once.

        As if for the first time: what has failed often would wait for minutes if it failed again.
        """
        self.receiver.answer = _TAKING
        system.execute(
            "UPDATE webhook_deliveries SET due_at = now(), attempts = 0 WHERE status = 'waiting'"
        )

    def find_unfinished(self, connection: DatabaseConnection) -> list[str]:
        """What is still to be told, and why it was not."""
        rows = connection.execute(
            "SELECT message_id, attempts, problem, tried_at, due_at, now() AS now"
            " FROM webhook_deliveries WHERE status = 'waiting'"
        )
        return [
            f"{row['message_id']} is untold after {row['attempts']} attempts, at {row['now']:%X}:"
            f" {row['problem']}; tried at {row['tried_at']}, due at {row['due_at']}"
            for row in rows
        ]

    def check(self, history: History, connection: DatabaseConnection) -> list[str]:
        """What was not told, or told wrongly: each event once, by whatever many messages."""
        return [*self._missed(history), *self._forged(), *self._out_of_order(connection)]

    def _missed(self, history: History) -> Iterator[str]:
        told: dict[str, set[str]] = {}
        for each in self.receiver.received:
            if each.message["type"] == "workout.completed":
                told.setdefault(_subject_of(each), set()).add(each.id)
        for ride in history.rides:
            messages = told.get(str(ride.workout_id), set())
            if ride.completed and len(messages) != 1:
                yield f"{ride.workout_id}: told of its completion by {len(messages)} messages"

    def _forged(self) -> Iterator[str]:
        for each in self.receiver.received:
            if not any(_is_signed(each, secret) for secret in self.secrets.values()):
                yield f"{each.id} is not signed"

    def _out_of_order(self, connection: DatabaseConnection) -> Iterator[str]:
        """Each message's first arrival is after that of those before it, of one ride."""
        rows = connection.execute("SELECT id, message_id FROM webhook_deliveries")
        place = {row["message_id"]: row["id"] for row in rows}
        latest: dict[str, int] = {}
        for each in _first_arrivals(self.receiver.received):
            subject = _subject_of(each)
            if place[each.id] < latest.get(subject, 0):
                yield f"{subject}: {each.message['type']} came late"
            latest[subject] = place[each.id]


@contextmanager
def telling(seed: int, address: str) -> Iterator[Telling]:
    """A receiver at that address, which refuses, dies and is slow at random."""
    with receiver(_moody(random.Random(seed)), address) as found:
        yield Telling(found)


def _moody(chance: random.Random) -> Answer:
    def answer(connection: socket.socket, request: Received) -> None:
        mood = chance.random()
        if mood < 0.1:
            return  # it hangs up
        if mood < 0.2:
            _REFUSING(connection, request)
            return
        if mood < 0.3:
            time.sleep(_SLOW)
        _TAKING(connection, request)

    return answer


def _first_arrivals(received: list[Received]) -> Iterator[Received]:
    seen = set[str]()
    for each in received:
        if each.id not in seen:
            seen.add(each.id)
            yield each


def _subject_of(each: Received) -> str:
    data: dict[str, str] = each.message["data"]  # type: ignore[assignment]
    return data.get("workoutId") or data["id"]


def _is_signed(each: Received, secret: str) -> bool:
    """By our own signature: a library takes none that is older than five minutes."""
    expected = sign(secret, each.id, int(each.headers["webhook-timestamp"]), each.body)
    return each.headers["webhook-signature"] == expected
