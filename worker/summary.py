"""The summary of a ride, as it is stored: every figure by its definition in worker.metrics."""

import math
from typing import Any, Final

import numpy as np

from shared.telemetry import FloatArray, Samples
from worker.metrics import cadence as cadences
from worker.metrics import coverage as coverages
from worker.metrics import heartrate as heartrates
from worker.metrics import motion
from worker.metrics import power as powers
from worker.metrics.series import resample

# Raised whenever a definition changes, so that a stored figure tells how it was made.
METHOD_VERSION: Final = 1
# Shown as whole numbers, as the original service does; kept unrounded under `precise`.
_WHOLE: Final = (
    "avgPower",
    "maxPower",
    "normalizedPower",
    "totalEnergy",
    "avgHeartrate",
    "maxHeartrate",
    "avgCadence",
    "avgCadenceWithZeros",
    "maxCadence",
)


def summarize(samples: Samples) -> dict[str, Any]:
    """Every figure of a ride, finished or not. ``samples`` are in order of time."""
    precise = {
        **_power(samples),
        **_heartrate(samples),
        **_cadence(samples),
        **_motion(samples),
    }
    whole = {name: _round_half_up(precise[name]) for name in _WHOLE}
    return {
        **{name: _tidy(value) for name, value in precise.items()},
        **whole,
        **_extent(samples),
        "precise": {name: precise[name] for name in _WHOLE},
        "methodVersion": METHOD_VERSION,
        "parameters": {},
    }


def _power(samples: Samples) -> dict[str, float | None]:
    power = samples.channel("power")
    series = resample(samples.timestamps, power)
    return {
        "avgPower": powers.average_power(series),
        "maxPower": powers.max_power(series),
        "normalizedPower": powers.normalized_power(series),
        "totalEnergy": powers.total_energy(samples.timestamps, power),
    }


def _heartrate(samples: Samples) -> dict[str, float | None]:
    heartrate = heartrates.without_contact_missing(samples.channel("heartrate"))
    return {
        "avgHeartrate": heartrates.average_heartrate(samples.timestamps, heartrate),
        "maxHeartrate": _highest(heartrate),
    }


def _cadence(samples: Samples) -> dict[str, float | None]:
    cadence = samples.channel("cadence")
    series = resample(samples.timestamps, cadence)
    return {
        "avgCadence": cadences.average_cadence(series),
        "avgCadenceWithZeros": cadences.average_cadence_with_zeros(series),
        "maxCadence": _highest(cadence),
    }


def _motion(samples: Samples) -> dict[str, float | None]:
    distance = motion.recorded_distance(samples.channel("distance"))
    if distance is None:
        distance = motion.travelled_distance(samples.channel("lat"), samples.channel("lng"))
    recorded = _recorded_time(samples)
    return {
        "totalDistance": distance,
        "avgSpeed": distance / recorded if distance is not None and recorded else None,
        "maxSpeed": _highest(samples.channel("speed")),
    }


def _extent(samples: Samples) -> dict[str, Any]:
    times = samples.timestamps
    power = resample(times, samples.channel("power"))
    return {
        "sampleCount": len(samples),
        "duration": round(float(times[-1] - times[0]) / 1000) if len(times) else 0,
        "recordedTime": _recorded_time(samples),
        "movingTime": motion.moving_time(resample(times, samples.channel("speed"))),
        "coverage": round(coverages.coverage(power, coverages.elapsed_seconds(times)), 4),
        "gaps": [{"from": start, "to": end} for start, end in coverages.gaps(times)],
    }


def _recorded_time(samples: Samples) -> int:
    """Seconds within segments, whatever was measured in them."""
    return len(resample(samples.timestamps, np.zeros(len(samples))))


def _highest(values: FloatArray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmax(values))


def _round_half_up(value: float | None) -> int | None:
    return None if value is None else math.floor(value + 0.5)


def _tidy(value: float | None) -> float | None:
    """A figure without the noise of binary fractions."""
    return None if value is None else round(value, 3)
