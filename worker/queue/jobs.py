"""Jobs: what workers do about events, by their kind."""

import re
from collections.abc import Iterable
from typing import ClassVar, Final, Protocol

from shared.connections import Database
from shared.errors import LeaveToNewer, MalformedEntry
from shared.events import Fields
from worker.queue.dead_letters import DeadLetter, write_letter

# How a kind may be called: anything else under ``kind`` was never an event of any version.
_NAME: Final = re.compile(rb"[a-z][a-z-]{0,39}")


class Job(Protocol):
    """What workers do about events of one kind. Each kind is a module of ``worker.jobs``."""

    @property
    def kind(self) -> str:
        """The kind, in most jobs a constant of the class."""

    def subject_of(self, event: Fields, /) -> bytes | None:
        """What the breaker counts failures by; None if the event does not say.

        Kinds share no subject: one that succeeds says nothing of another that fails.
        """

    def run(self, event: Fields, /) -> bool:
        """Do it, however often it was begun before. False if there was nothing to do.

        An error says what becomes of the event. LeaveToNewer leaves it pending, MalformedEntry
        gives it up at once, an outage is waited out; any other is tried again, five times at most.
        """

    def give_up(self, letter: DeadLetter, /) -> None:
        """Write the letter, and in its transaction what that means for the subject.

        Repeating it, after a reply was lost, changes nothing.
        """


class Unreadable:
    """Events without a readable kind: each becomes a dead letter."""

    kind: ClassVar = ""

    def __init__(self, database: Database) -> None:
        self._database = database

    def subject_of(self, _: Fields) -> bytes | None:
        """None: such an event names no subject."""
        return None

    def run(self, event: Fields) -> bool:
        """Raises MalformedEntry."""
        raise MalformedEntry(f"an event of no kind: {dict(event)!r}")

    def give_up(self, letter: DeadLetter) -> None:
        """Write the letter."""
        with self._database.connection() as connection:
            write_letter(connection, letter)


class Jobs:
    """The table of jobs. ``unreadable`` gets the events that name no kind."""

    def __init__(self, jobs: Iterable[Job], unreadable: Job) -> None:
        self._by_kind = {job.kind.encode(): job for job in jobs}
        self._unreadable = unreadable

    def job_for(self, event: Fields) -> Job:
        """The job of the event's kind. Raises LeaveToNewer for a kind that is not in the table."""
        kind = event.get(b"kind", b"")
        if kind in self._by_kind:
            return self._by_kind[kind]
        if _NAME.fullmatch(kind):
            raise LeaveToNewer(f"an event of the kind {kind.decode()}")
        return self._unreadable
