"""A job whose runs are counted, timed and told in the worker's heartbeat."""

import time
from typing import Final

from shared import tracing
from shared.events import ASKED_BY, Fields
from shared.monitoring.figures import Figures
from worker.queue.dead_letters import DeadLetter
from worker.queue.heartbeat import Pulse
from worker.queue.jobs import Job

_ASKED_BY: Final = ASKED_BY.encode()


class WatchedJob:
    """Does what the job does."""

    def __init__(self, job: Job, figures: Figures, pulse: Pulse) -> None:
        self._job = job
        self._figures = figures
        self._pulse = pulse
        figures.add("bpt_given_up", self._label, by=0)  # else the first one would go unseen

    @property
    def kind(self) -> str:
        """As the job's."""
        return self._job.kind

    def subject_of(self, event: Fields) -> bytes | None:
        """As the job says."""
        return self._job.subject_of(event)

    def run(self, event: Fields) -> bool:
        """Run it; what an error ends counts as failed."""
        began, outcome = time.perf_counter(), "failed"
        subject = (self.subject_of(event) or b"").decode(errors="replace")
        self._pulse.at(f"{self.kind} {subject}")
        try:
            with tracing.span(self._label, subject, event.get(_ASKED_BY, b"").decode() or None):
                outcome = "done" if self._job.run(event) else "nothing to do"
        finally:
            self._pulse.at(None)
            self._figures.note_job(self._label, outcome, time.perf_counter() - began)
        return outcome == "done"

    def give_up(self, letter: DeadLetter) -> None:
        """Give it up, and count that."""
        self._job.give_up(letter)
        self._figures.add("bpt_given_up", self._label)

    @property
    def _label(self) -> str:
        return self.kind or "unreadable"
