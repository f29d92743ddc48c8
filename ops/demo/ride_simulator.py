"""A plausible ride of an hour, the same every time: what `make run` plays."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SECONDS: Final = 3600
_SEED: Final = 20_240_721
_COAST: Final = (1500, 1560)  # downhill, not pedalling
_STOP: Final = (2100, 2280)  # at a café: the device pauses and records nothing
_DROP_OUT: Final = (2900, 2925)  # the power meter falls silent, the rest goes on
_RIDER_AND_BIKE: Final = 78.0  # kg


def simulate_ride(start_ms: int) -> list[dict[str, Any]]:
    """Samples at 1 Hz from ``start_ms``: warm-up, intervals, coasting, a stop, a drop-out."""
    noise = np.random.default_rng(_SEED)
    power = _power(noise)
    cadence = np.where(power > 0, np.rint(88 + power / 60 + noise.normal(0, 2, SECONDS)), 0)
    speed = speed_of(power)
    speed[slice(*_STOP)] = 0
    distance = np.cumsum(speed)
    columns = {
        "power": power,
        "cadence": cadence,
        "heartrate": heartrate_of(power, noise),
        "speed": np.round(speed, 3),
        "distance": np.round(distance, 2),
        "altitude": np.round(120 + 15 * np.sin(distance / 900), 1),
        "lat": np.round(47.0 + 0.02 * np.sin(distance / 3000), 6),
        "lng": np.round(8.3 + 0.03 * np.cos(distance / 3000), 6),
        "temperature": np.rint(18 + 3 * np.arange(SECONDS) / SECONDS),
    }
    rows = [
        {"timestamp": start_ms + second * 1000, **{n: v[second].item() for n, v in columns.items()}}
        for second in range(SECONDS)
    ]
    for second in range(*_DROP_OUT):
        del rows[second]["power"]
    return rows[: _STOP[0]] + rows[_STOP[1] :]


def _power(noise: np.random.Generator) -> FloatArray:
    """Watts: ten minutes of warm-up, five times four minutes hard, an easy way home."""
    second = np.arange(SECONDS)
    target = np.where(second < 600, 110 + second / 8, 175.0)
    for interval in range(5):
        begin = 660 + interval * 420
        target[begin : begin + 240] = 285
    target[3000:] = 150
    watts = np.rint(np.maximum(target + noise.normal(0, 12, SECONDS), 40))
    watts[slice(*_COAST)] = 0
    watts[slice(*_STOP)] = 0
    return watts


def speed_of(power: FloatArray, slope: FloatArray | None = None) -> FloatArray:
    """Metres per second from power against rolling and air resistance, and a slope (0.05: 5 %)."""
    speed = np.zeros(len(power))
    weight = _RIDER_AND_BIKE * 9.81
    climb = np.zeros(len(power)) if slope is None else weight * slope
    for second in range(1, len(power)):
        now = speed[second - 1]
        push = power[second] / max(now, 2.0)
        drag = 0.2 * now * now + 0.004 * weight * (now > 0) + climb[second]
        speed[second] = max(now + (push - drag) / _RIDER_AND_BIKE, 0.0)
    return speed


def heartrate_of(power: FloatArray, noise: np.random.Generator) -> FloatArray:
    """Beats a minute, following power with a lag of about half a minute."""
    beats = np.empty(len(power))
    level = 85.0
    for second, watts in enumerate(power):
        level += (70 + 0.35 * watts - level) / 35
        beats[second] = level
    return np.rint(beats + noise.normal(0, 0.6, len(power)))
