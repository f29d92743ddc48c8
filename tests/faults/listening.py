"""A receiver of webhooks while everything fails: what completes is to be told, and in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from socket import socket
from typing import Any

from shared.webhooks import make_secret
from tests.conftest import Rider
from tests.faults.history import History
from tests.faults.system import System
from tests.worker.webhooks.receiving import TAKING, Received, Receiver, receiver, status

_EVENTS = ["workout.completed", "workout.updated", "record.set"]


@contextmanager
def listening(chance: Random) -> Iterator[Receiver]:
    """A receiver that now and then refuses, or hangs up without a word."""

    def answer(connection: socket, request: Received) -> None:
        mood = chance.random()
        if mood < 0.2:
            status(503)(connection, request)
        elif mood < 0.9:
            TAKING(connection, request)

    with receiver(answer) as found:
        yield found


def tell(system: System, rider: Rider, found: Receiver) -> None:
    """Have it told of the rider's rides."""
    system.query(
        "INSERT INTO webhooks (user_id, url, events, secret) VALUES (%s, %s, %s, %s) RETURNING id",
        [rider.account.user_id, found.url, _EVENTS, make_secret()],
    )


def find_untold(system: System, history: History, found: Receiver) -> list[str]:
    """What is still to be told. It takes everything from now on, and is told without delay."""
    found.answer = TAKING
    system.query(
        "UPDATE webhook_deliveries SET due_at = now()"  # further off than any lease
        " WHERE status = 'waiting' AND due_at > now() + interval '20 seconds' RETURNING id"
    )
    [row] = system.query("SELECT count(*) FROM webhook_deliveries WHERE status <> 'delivered'")
    waiting = [f"{row['count']} deliveries wait"] if row["count"] else []
    ids = [ride.workout_id for ride in history.rides]
    completed = system.query(
        "SELECT id FROM workouts WHERE id = ANY(%s::uuid[]) AND status = 'COMPLETED'", [ids]
    )
    told = {subject for event, subject, _ in _messages(found) if event == "workout.completed"}
    missing = {str(each["id"]) for each in completed} - told
    return [*waiting, *(f"nobody was told that {each} is completed" for each in missing)]


def find_disorder(system: System, found: Receiver) -> list[str]:
    """Rides whose messages came in another order than they were written in. One may come twice."""
    places = {
        row["message_id"]: row["id"]
        for row in system.query("SELECT id, message_id FROM webhook_deliveries")
    }
    reached, wrong = dict[str, int](), list[str]()
    seen = set[str]()
    for event, ride, message_id in _messages(found):
        if message_id in seen:
            continue
        seen.add(message_id)
        if places[message_id] < reached.get(ride, 0):
            wrong.append(f"{ride} was told of {event} too late")
        reached[ride] = places[message_id]
    return wrong


def _messages(found: Receiver) -> Iterator[tuple[str, str, str]]:
    """The event, the ride and the id of each that came, in order."""
    for each in list(found.received):
        message: Any = each.message
        yield message["type"], message["data"].get("workoutId") or message["data"]["id"], each.id
