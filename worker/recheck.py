"""Compute archived rides anew and compare: ``python -m worker.recheck COUNT``; nothing is written.

A line for each ride: its id, and after a space what differs, if anything does.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from shared.connections import Database, DatabaseConnection, open_database
from shared.settings import read_settings
from worker.rides import store
from worker.rides.analysis import analyse, ride_of
from worker.rides.summary import METHOD_VERSION


def recheck(database: Database, count: int) -> Iterator[tuple[UUID, list[str]]]:
    """So many finished rides, spread over all of them, and the figures of each that differ."""
    with database.connection() as connection:
        for workout_id in store.some_finished(connection, METHOD_VERSION, count):
            yield workout_id, list(_differing(connection, workout_id))


def _differing(connection: DatabaseConnection, workout_id: UUID) -> Iterator[str]:
    workout = store.peek_workout(connection, workout_id)
    if workout is None:
        return
    archive = store.read_archive(connection, workout_id)
    ride = ride_of(workout, archive)
    analysis = analyse(workout, ride, store.athlete_of(connection, workout, ride.timestamps), 0)
    computed: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(analysis.summary))
    stored = store.read_summary(connection, workout_id)
    for name in sorted(computed.keys() | stored.keys()):
        if computed.get(name) != stored.get(name):
            yield f"{name} is {stored.get(name)}, and computed anew {computed.get(name)}"


def main() -> None:
    """Write a line for each ride."""
    with open_database(read_settings(os.environ)) as database:
        for workout_id, wrong in recheck(database, int(sys.argv[1])):
            sys.stdout.write(f"{workout_id} {'; '.join(wrong)}".rstrip() + "\n")


if __name__ == "__main__":
    main()
