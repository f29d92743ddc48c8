"""A ride that goes on while a test looks at it."""

import time
from typing import Any, Final

from tests.api.sessions import LoggedIn

_METRE: Final = 1 / 111_194.93  # degrees of latitude


class Riding:
    """A ride of this moment, northward at 10 m/s, sent a piece at a time."""

    def __init__(self, session: LoggedIn, minutes: int = 20) -> None:
        self.session = session
        made = session.call("POST", "/api/workouts", title="Up the valley", sport="gravel")
        self.id: str = made.json()["workout"]["id"]
        self._start = (int(time.time()) - 60 * minutes) * 1000
        self._second = 0

    def ride(self, seconds: int, power: int) -> None:
        """So many seconds further, at that power."""
        span = range(self._second, self._second + seconds)
        self._second += seconds
        path = f"/api/workouts/{self.id}/telemetry"
        sent = self.session.call("POST", path, samples=[self._sample(at, power) for at in span])
        assert sent.status_code == 202, sent.text

    def complete(self) -> None:
        path = f"/api/workouts/{self.id}/complete?wait=30"
        assert self.session.call("POST", path).status_code == 200

    def share(self, **wanted: Any) -> str:
        """The token of a link to it."""
        made = self.session.call("POST", f"/api/workouts/{self.id}/share", **wanted)
        token: str = made.json()["token"]
        return token

    def _sample(self, at: int, power: int) -> dict[str, Any]:
        return {
            "timestamp": self._start + 1000 * at,
            "power": power,
            "heartrate": 120 + power // 10,
            "cadence": 88,
            "speed": 10,
            "altitude": 400 + 0.1 * at,
            "distance": 10 * at,
            "lat": 47 + 10 * at * _METRE,
            "lng": 8.5,
        }
