"""Reading a live stream as a browser does."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2


@dataclass(frozen=True)
class Event:
    """What was said, and the id that the stream had by then."""

    name: str
    data: Any
    id: str


@dataclass
class Stream:
    """An open stream. ``id``: of the last event; ``comments``: how many there were."""

    response: httpx2.Response
    lines: Iterator[str]
    id: str = ""
    comments: int = 0
    seen: dict[int, dict[str, Any]] = field(default_factory=dict)

    def events(self) -> Iterator[Event]:
        """Each event as it comes, until the stream ends."""
        fields: dict[str, str] = {}
        for line in self.lines:
            name, _, value = line.partition(": ")
            if not line:
                self.id = fields.get("id", self.id)
                if "data" in fields:
                    yield Event(fields["event"], json.loads(fields["data"]), self.id)
                fields = {}
            elif name:
                fields[name] = value
            else:
                self.comments += 1

    def next(self, *names: str) -> Event:
        """The next event of these names; samples on the way are noted."""
        for each in self.events():
            if each.name == "samples":
                self.note(each.data)
            if each.name in names:
                return each
        raise AssertionError(f"the stream ended before {names}")

    def note(self, columns: dict[str, list[Any]]) -> None:
        """Merge samples by their timestamps, as a viewer does."""
        for at, time in enumerate(columns["timestamp"]):
            row = {name: values[at] for name, values in columns.items() if values[at] is not None}
            self.seen.setdefault(time, {}).update(row)

    def await_id(self) -> str:
        """The id that a stream says at its beginning."""
        for line in self.lines:
            if line.startswith("id: "):
                self.id = line.removeprefix("id: ")
                return self.id
        raise AssertionError("the stream ended")

    def watch_until(self, timestamp: int) -> None:
        """Read until a sample of that timestamp was seen."""
        while timestamp not in self.seen:
            self.next("samples")


@contextmanager
def watching(client: httpx2.Client, path: str, last_id: str | None = None) -> Iterator[Stream]:
    """A stream of ``path``, which goes on from ``last_id``."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    with client.stream("GET", path, headers=headers, timeout=60) as response:
        yield Stream(response, response.iter_lines())


def live(workout_id: str, query: str = "") -> str:
    return f"/api/workouts/{workout_id}/live{query}"
