"""A ride as its viewer knows it: the last values, the figures so far, and how far it is behind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ops.live.events import Event

_UNITS: Final = {
    "power": "W",
    "cadence": "rpm",
    "heartrate": "bpm",
    "speed": "km/h",
    "altitude": "m",
    "temperature": "°C",
}
_FORGOTTEN: Final = 30_000  # ms after which a value is no longer shown as the last


@dataclass
class WatchedRide:
    """``values``: the last of each channel with its time (ms); ``through``: the last sample's."""

    values: dict[str, tuple[int, float]] = field(default_factory=dict)
    through: int = 0
    summary: dict[str, Any] = field(default_factory=dict)
    status: str = ""  # once it is over

    def note(self, event: Event) -> bool:
        """Take an event in; whether there is something new to show."""
        match event.name:
            case "samples":
                self._note_samples(event.data)
            case "summary" | "end":
                self.summary = event.data["summary"] or {}
                self.status = event.data.get("status", "")
            case "gone":
                self.status = "DELETED"
            case _:
                return False
        return True

    def _note_samples(self, columns: dict[str, list[Any]]) -> None:
        times = columns["timestamp"]
        self.through = max(self.through, *times)
        for channel, values in columns.items():
            for time, value in zip(times, values, strict=True):
                if value is not None and time >= self.values.get(channel, (0, 0))[0]:
                    self.values[channel] = time, value

    def last(self, channel: str) -> float | None:
        """The last value, unless it is much older than the last sample."""
        time, value = self.values.get(channel, (0, 0.0))
        return value if time and time > self.through - _FORGOTTEN else None

    def behind(self, now_ms: float) -> float:
        """Seconds between now and the last sample."""
        return max(now_ms - self.through, 0) / 1000


def last_values(ride: WatchedRide) -> str:
    """``210 W  90 rpm  140 bpm  32.4 km/h``: what was measured last."""
    shown = [(ride.last(channel), channel) for channel in _UNITS]
    return "  ".join(_shown(value, name) for value, name in shown if value is not None)


def _shown(value: float, channel: str) -> str:
    if channel == "speed":
        return f"{value * 3.6:.1f} km/h"
    return f"{value:.0f} {_UNITS[channel]}"


def figures_so_far(summary: dict[str, Any]) -> str:
    """``0:31:07  16.2 km  avg 187 W  NP 201 W  349 kJ``: of what is known."""
    shown: tuple[tuple[str, Callable[[float], str]], ...] = (
        ("recordedTime", _clock),
        ("totalDistance", lambda each: f"{each / 1000:.2f} km"),
        ("avgPower", lambda each: f"avg {each:.0f} W"),
        ("normalizedPower", lambda each: f"NP {each:.0f} W"),
        ("totalEnergy", lambda each: f"{each:.0f} kJ"),
        ("sampleCount", lambda each: f"{each} samples"),
    )
    known = [(summary.get(name), say) for name, say in shown]
    return "  ".join(say(value) for value, say in known if value is not None)


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"
