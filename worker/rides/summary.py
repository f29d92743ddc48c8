"""The summary of a ride, as it is stored: every figure by its definition in worker.metrics."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from shared.samples.columns import FloatArray
from worker.metrics import cadence as cadences
from worker.metrics import coverage as coverages
from worker.metrics import heartrate as heartrates
from worker.metrics import motion
from worker.metrics import power as powers
from worker.metrics.decoupling import decoupling
from worker.metrics.elevation import elevation_gain_and_loss
from worker.metrics.series import Series
from worker.metrics.w_prime import w_prime_balance
from worker.metrics.zones import HEARTRATE_ZONES, POWER_ZONES, time_in_zones
from worker.rides.athlete import Athlete
from worker.rides.ride import Ride

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

Figures = dict[str, float | None]


def summarize(ride: Ride, athlete: Athlete) -> dict[str, Any]:
    """Every figure of a ride, finished or not, for a rider with these figures on the day."""
    precise = {
        **_power(ride, athlete),
        **_heartrate(ride),
        **_cadence(ride),
        **_motion(ride),
    }
    whole = {name: _round_half_up(precise[name]) for name in _WHOLE}
    return {
        **{name: _tidy(value) for name, value in precise.items()},
        **whole,
        **_extent(ride),
        **_zones(ride, athlete),
        "spikes": _spikes(ride),
        "precise": {name: precise[name] for name in _WHOLE},
        "methodVersion": METHOD_VERSION,
        "parameters": _parameters(athlete),
    }


def _power(ride: Ride, athlete: Athlete) -> Figures:
    average = powers.average_power(ride.power)
    normalized = powers.normalized_power(ride.power)
    intensity = powers.intensity_factor(normalized, athlete.ftp)
    return {
        "avgPower": average,
        "maxPower": powers.max_power(ride.power),
        "normalizedPower": normalized,
        "totalEnergy": powers.total_energy(ride.timestamps, ride.samples.channel("power")),
        "xPower": powers.x_power(ride.power),
        "variabilityIndex": powers.variability_index(normalized, average),
        "intensityFactor": intensity,
        "trainingStressScore": powers.training_stress_score(ride.recorded_time, intensity),
        "wPrimeBalanceMin": _lowest_w_prime(ride.power, athlete),
        "decoupling": decoupling(ride.power, ride.heartrate),
    }


def _lowest_w_prime(power: Series, athlete: Athlete) -> float | None:
    """Kilojoules."""
    if not len(power) or athlete.critical_power is None or athlete.w_prime is None:
        return None
    balance = w_prime_balance(power, athlete.critical_power, athlete.w_prime)
    return float(balance.min()) / 1000


def _heartrate(ride: Ride) -> Figures:
    return {
        "avgHeartrate": heartrates.average_heartrate(ride.timestamps, ride.beats),
        "maxHeartrate": _highest(ride.beats),
    }


def _cadence(ride: Ride) -> Figures:
    return {
        "avgCadence": cadences.average_cadence(ride.cadence),
        "avgCadenceWithZeros": cadences.average_cadence_with_zeros(ride.cadence),
        "maxCadence": _highest(ride.samples.channel("cadence")),
    }


def _motion(ride: Ride) -> Figures:
    channel = ride.samples.channel
    distance = motion.recorded_distance(channel("distance"))
    if distance is None:
        distance = motion.travelled_distance(channel("lat"), channel("lng"))
    recorded = ride.recorded_time
    gain, loss = elevation_gain_and_loss(ride.altitude) or (None, None)
    return {
        "totalDistance": distance,
        "avgSpeed": distance / recorded if distance is not None and recorded else None,
        "maxSpeed": _highest(channel("speed")),
        "totalElevationGain": gain,
        "totalElevationLoss": loss,
    }


def _extent(ride: Ride) -> dict[str, Any]:
    times = ride.timestamps
    elapsed = coverages.elapsed_seconds(times)
    return {
        "sampleCount": len(times),
        "duration": round(float(times[-1] - times[0]) / 1000) if len(times) else 0,
        "recordedTime": ride.recorded_time,
        "movingTime": motion.moving_time(ride.speed),
        "coverage": round(coverages.coverage(ride.power, elapsed), 4),
        "gaps": [{"from": start, "to": end} for start, end in coverages.gaps(times)],
    }


def _zones(ride: Ride, athlete: Athlete) -> dict[str, list[int] | None]:
    return {
        "powerZones": _zone_times(ride.power, athlete.ftp, POWER_ZONES),
        "heartrateZones": _zone_times(ride.heartrate, athlete.threshold_heartrate, HEARTRATE_ZONES),
    }


def _zone_times(
    series: Series, threshold: float | None, bounds: Sequence[float]
) -> list[int] | None:
    if threshold is None or not len(series):
        return None
    return time_in_zones(series, threshold, bounds)


def _spikes(ride: Ride) -> list[dict[str, float]]:
    at = np.flatnonzero(ride.spikes)
    times, power = ride.timestamps[at].tolist(), ride.samples.channel("power")[at].tolist()
    return [{"timestamp": time, "power": watts} for time, watts in zip(times, power, strict=True)]


def _parameters(athlete: Athlete) -> dict[str, Any]:
    """What of the rider the figures were computed with; absent where unknown."""
    names = {"ftp": "ftp", "critical_power": "criticalPower", "w_prime": "wPrime"}
    names["threshold_heartrate"] = "thresholdHeartrate"
    known = {names[name]: value for name, value in asdict(athlete).items() if name in names}
    parameters: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
    if athlete.ftp is not None:
        parameters["powerZones"] = list(POWER_ZONES)
    if athlete.threshold_heartrate is not None:
        parameters["heartrateZones"] = list(HEARTRATE_ZONES)
    return parameters


def _highest(values: FloatArray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmax(values))


def _round_half_up(value: float | None) -> int | None:
    return None if value is None else math.floor(value + 0.5)


def _tidy(value: float | None) -> float | None:
    """A figure without the noise of binary fractions."""
    return None if value is None else round(value, 3)
