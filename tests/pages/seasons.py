"""An account with a season of rides, sent over HTTP."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.api.sessions import LoggedIn, log_in, register

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Season:
    """Whose it is, and the ids of its rides, the newest first."""

    session: LoggedIn
    rides: list[str]


def ride_of_efforts(start: datetime, more: int = 0) -> list[dict[str, Any]]:
    """39 minutes at 100 W, but for 2 at 360, 5 at 300 and 20 at 240, with rests between.

    ``more``: watts on top.
    """
    power = [100] * 2340
    for begin, seconds, watts in ((60, 120, 360), (480, 300, 300), (1080, 1200, 240)):
        power[begin : begin + seconds] = [watts] * seconds
    first = int(start.timestamp() * 1000)
    return [
        {
            "timestamp": first + 1000 * at,
            "power": watts + more,
            "heartrate": 140,
            "speed": 9.0,
            "distance": 9.0 * at,
        }
        for at, watts in enumerate(power)
    ]


def season_of(api: str, days_ago: list[int]) -> Season:
    """A rider with an FTP of 250 W who has ridden on those days, each time with 5 W more."""
    session = log_in(api, register(api, displayName="Mara Keller"))
    change = {"effectiveFrom": "2020-01-01", "ftp": 250, "weight": 70}
    assert session.call("PUT", "/api/users/me/thresholds", **change).is_success
    ordered = sorted(days_ago, reverse=True)
    rides = [_ride(session, ago, 5 * at) for at, ago in enumerate(ordered)]
    return Season(session, rides[::-1])


def _ride(session: LoggedIn, days_ago: int, more: int) -> str:
    start = datetime.now(UTC) - days_ago * _DAY - timedelta(minutes=45)
    title = f"Hills {days_ago} days ago"
    made = session.call("POST", "/api/workouts", title=title, sport="gravel")
    ride: str = made.json()["workout"]["id"]
    path = f"/api/workouts/{ride}"
    sent = session.call("POST", f"{path}/telemetry", samples=ride_of_efforts(start, more))
    assert sent.status_code == 202, sent.text
    for _ in range(5):
        if session.call("POST", f"{path}/complete?wait=30").status_code == 200:
            return ride
    raise AssertionError("the ride is still being computed")
