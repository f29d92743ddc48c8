"""Riders of six kinds, and what their devices record: the same for the same seed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ops.demo.ride_simulator import heartrate_of, speed_of

FloatArray = NDArray[np.float64]
Sample = dict[str, Any]
_METRES_A_DEGREE: Final = 111_195.0
_FASTEST: Final = 18.0  # m/s
_MOTOR: Final = 250.0  # W; it helps up to 25 km/h
_MOTOR_UP_TO: Final = 25 / 3.6


@dataclass(frozen=True)
class Course:
    """Second by second: how hard to ride, as a part of the FTP, and the slope of the road.

    ``brakes``: as the slope that would slow the rider as much.
    """

    effort: FloatArray
    slope: FloatArray
    brakes: FloatArray | float = 0.0


@dataclass(frozen=True)
class Profile:
    """``plan``: makes the course of a ride of so many seconds."""

    name: str
    sport: str
    plan: Callable[[np.random.Generator, int], Course]
    has_motor: bool = False


@dataclass(frozen=True)
class SimulatedRider:
    """``ftp``: watts that he can hold for an hour."""

    number: int
    profile: Profile
    ftp: float
    seed: int

    @property
    def name(self) -> str:
        """In lists, and as the name of a stream."""
        return f"{self.profile.name}-{self.number:03}"

    def ride(self, seconds: int, start_ms: int) -> list[Sample]:
        """What the device records: a sample a second from ``start_ms`` on."""
        chance = np.random.default_rng([self.seed, self.number])
        course = self.profile.plan(chance, seconds)
        power = _power(course.effort * self.ftp, chance)
        speed = self._speed(power, course.slope + course.brakes)
        cadence = np.rint(82 + power / 30 + chance.normal(0, 2, seconds))
        columns = {
            "power": power,
            "cadence": np.where(power > 0, cadence, 0),
            "heartrate": np.minimum(heartrate_of(power, chance), 198),
            "speed": np.round(speed, 3),
            **_places(speed, course.slope, chance),
        }
        listed = {name: values.tolist() for name, values in columns.items()}
        return [
            {"timestamp": start_ms + 1000 * at, **{name: each[at] for name, each in listed.items()}}
            for at in range(seconds)
        ]

    def _speed(self, power: FloatArray, slope: FloatArray) -> FloatArray:
        """Down a hill, nobody lets it roll for ever."""
        if self.profile.has_motor:
            helped = np.where(power > 0, power + _MOTOR, 0)
            return np.minimum(speed_of(helped, slope), _MOTOR_UP_TO)
        return np.minimum(speed_of(power, slope), _FASTEST)


def make_riders(count: int, seed: int) -> list[SimulatedRider]:
    """As many of each kind as of any other."""
    ftps = np.random.default_rng(seed).uniform(170, 330, count)
    return [
        SimulatedRider(at + 1, PROFILES[at % len(PROFILES)], round(float(ftp)), seed)
        for at, ftp in enumerate(ftps)
    ]


def _power(target: FloatArray, chance: np.random.Generator) -> FloatArray:
    """Watts that waver about the target; nothing where the rider does not pedal."""
    waver = np.convolve(chance.normal(0, 1, len(target)), [0.6, 0.3, 0.1])[: len(target)]
    watts = target * (1 + 0.06 * waver) + chance.normal(0, 4, len(target))
    return np.where(target > 0, np.rint(np.maximum(watts, 1)), 0)


def _places(
    speed: FloatArray, slope: FloatArray, chance: np.random.Generator
) -> dict[str, FloatArray]:
    """Where the ride leads, on a road that winds."""
    distance = np.cumsum(speed)
    heading = chance.uniform(0, 2 * np.pi) + np.cumsum(chance.normal(0, 0.02, len(speed)))
    north, east = (np.cumsum(speed * each(heading)) for each in (np.cos, np.sin))
    latitude = 47 + chance.uniform(-0.3, 0.3)
    a_degree_east = _METRES_A_DEGREE * np.cos(np.radians(latitude))
    return {
        "distance": np.round(distance, 2),
        "altitude": np.round(450 + np.cumsum(speed * slope), 1),
        "lat": np.round(latitude + north / _METRES_A_DEGREE, 6),
        "lng": np.round(8.3 + chance.uniform(-0.4, 0.4) + east / a_degree_east, 6),
    }


def _hills(chance: np.random.Generator, seconds: int, steepest: float) -> FloatArray:
    return steepest * np.sin(np.arange(seconds) / 150 + chance.uniform(0, 6))


def _endurance(chance: np.random.Generator, seconds: int) -> Course:
    """Steady, with a little more uphill."""
    slope = _hills(chance, seconds, 0.012)
    return Course(0.68 + 4 * slope, slope)


def _intervals(chance: np.random.Generator, seconds: int) -> Course:
    """A warm-up, then four minutes hard and three easy."""
    second = np.arange(seconds)
    warm_up = min(600, seconds // 6)
    is_hard = (second >= warm_up) & ((second - warm_up) % 420 < 240)
    return Course(np.where(is_hard, 1.08, 0.55), _hills(chance, seconds, 0.005))


def _sprinter(chance: np.random.Generator, seconds: int) -> Course:
    """Easy, but for twelve seconds now and then."""
    effort = np.full(seconds, 0.58)
    at = 30
    while at < seconds:
        effort[at : at + 12] = chance.uniform(2.8, 3.8)
        effort[at + 12 : at + 30] = 0  # gets his breath back
        at += int(chance.integers(180, 420))
    return Course(effort, _hills(chance, seconds, 0.004))


def _climber(chance: np.random.Generator, seconds: int) -> Course:
    """Twelve minutes up, two down without pedalling."""
    is_up = (np.arange(seconds) + chance.integers(0, 600)) % 840 < 720
    steep = chance.uniform(0.05, 0.08)
    return Course(np.where(is_up, 0.93, 0), np.where(is_up, steep, -1.2 * steep))


def _commuter(chance: np.random.Generator, seconds: int) -> Course:
    """From one red light to the next, on the flat."""
    effort, brakes = np.full(seconds, 0.55), np.zeros(seconds)
    at = int(chance.integers(40, 120))
    while at < seconds:
        wait = int(chance.integers(20, 70))
        effort[at : at + wait] = 0
        brakes[at : at + wait] = 0.15
        at += wait + int(chance.integers(60, 240))
    return Course(effort, np.zeros(seconds), brakes)


def _e_bike(chance: np.random.Generator, seconds: int) -> Course:
    """Hills that cost little."""
    return Course(np.full(seconds, 0.38), _hills(chance, seconds, 0.04))


PROFILES: Final = (
    Profile("endurance", "road", _endurance),
    Profile("intervals", "road", _intervals),
    Profile("sprinter", "road", _sprinter),
    Profile("climber", "road", _climber),
    Profile("commuter", "road", _commuter),
    Profile("e-bike", "e-bike", _e_bike, has_motor=True),
)
