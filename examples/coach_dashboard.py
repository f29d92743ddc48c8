#!/usr/bin/env python3
"""A coach's dashboard in a terminal: every athlete with last ride, form and this week's load.

    python3 coach_dashboard.py URL KEY

KEY needs the scope `read`. Athletes let your account in; docs/coaching.md says how. Nothing but the
standard library is needed.
"""

import json
import sys
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

HEADS = ("athlete", "last ride", "on", "CTL", "ATL", "TSB", "TSS", "hours", "kJ", "best 20 min")
TWENTY_MINUTES = 1200


class Coach:
    """Reads what a coach's key opens."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def get(self, path: str, **query: str) -> Any:
        """The JSON of an answer; ``athlete`` in the query reads what is that athlete's."""
        address = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        request = Request(address, headers={"X-API-Key": self._key})
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def rows(self) -> list[tuple[str, ...]]:
        """A line for each athlete, by name."""
        return [self._row(each) for each in self.get("/api/athletes")["athletes"]]

    def _row(self, athlete: dict[str, Any]) -> tuple[str, ...]:
        ride, form, week = athlete["lastRide"] or {}, athlete["form"] or {}, athlete["week"]
        return (
            athlete["name"],
            ride.get("title") or ("Ride" if ride else "none yet"),
            ride.get("startTime", "")[:10],
            *(number(form.get(name)) for name in ("ctl", "atl", "tsb")),
            number(week["trainingStressScore"]),
            number(week["recordedTime"] / 3600, 1),
            number(week["totalEnergy"]),
            self._best(athlete["id"]),
        )

    def _best(self, athlete_id: str) -> str:
        """Anything else is asked for athlete by athlete: the record over twenty minutes, here."""
        try:
            records = self.get("/api/records", athlete=athlete_id, metric="power")["records"]
        except HTTPError as error:
            if error.code == 404:  # the athlete has ended it since the list was read
                return "–"
            raise
        held = [each["value"] for each in records if each["duration"] == TWENTY_MINUTES]
        return f"{number(max(held))} W" if held else "–"


def number(value: float | None, digits: int = 0) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def table(rows: list[tuple[str, ...]]) -> str:
    """Columns as wide as what is in them; figures to the right."""
    lines = [HEADS, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEADS))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if at < 3 else text.rjust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def main() -> int:
    """Print the table, and who waits to be accepted."""
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    coach = Coach(*sys.argv[1:])
    try:
        offered = coach.get("/api/athletes")["offered"]
        print(table(coach.rows()))
    except HTTPError as error:
        problem = json.load(error)
        print(f"{error.code}: {problem['detail']}", file=sys.stderr)
        return 1
    except URLError as error:
        print(f"cannot reach the service: {error.reason}", file=sys.stderr)
        return 1
    for each in offered:
        print(f"{each['name']} would let you in: POST /api/athletes/{each['id']}/accept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
