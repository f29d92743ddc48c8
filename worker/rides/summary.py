"""The summary of a ride: each figure of the table by its definition in worker.metrics."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from shared.figures import (
    MOST_LISTED,
    Gap,
    Parameters,
    Precise,
    Spike,
    StrayGroup,
    Summary,
    WattsPerKilogram,
    tidy,
)
from shared.samples.columns import FloatArray
from worker.metrics import cadence as cadences
from worker.metrics import coverage as coverages
from worker.metrics import heartrate as heartrates
from worker.metrics import motion
from worker.metrics import power as powers
from worker.metrics.decoupling import decoupling
from worker.metrics.elevation import elevation_gain_and_loss
from worker.metrics.intervals import find_intervals
from worker.metrics.series import Series
from worker.metrics.w_prime import w_prime_balance
from worker.metrics.zones import HEARTRATE_ZONES, POWER_ZONES, time_in_zones
from worker.rides.athlete import Athlete
from worker.rides.intervals import describe
from worker.rides.ride import Ride

# Raised whenever a definition changes, so that a stored figure tells how it was made.
METHOD_VERSION: Final = 2


def summarize(ride: Ride, athlete: Athlete, overwritten: int | None = None) -> Summary:
    """Every figure of a ride, finished or not, for an athlete with these figures on the day.

    ``overwritten``: how many timestamps got other values by a later sample; None if not counted.
    """
    precise = _precise(ride)
    average, normalized = precise.avg_power, precise.normalized_power
    intensity = powers.intensity_factor(normalized, athlete.ftp)
    stress = powers.training_stress_score(len(ride.power), intensity)
    x_power = powers.x_power(ride.power)
    gain, loss = elevation_gain_and_loss(ride.altitude) or (None, None)
    gaps = coverages.gaps(ride.timestamps, ride.recorded)
    intervals = find_intervals(ride.believed_power)
    return Summary(
        **{name: _round_half_up(value) for name, value in asdict(precise).items()},
        duration=_duration(ride),
        recorded_time=coverages.recorded_time(ride.recorded),
        moving_time=_moving_time(ride),
        x_power=tidy(x_power),
        watts_per_kilogram=_watts_per_kilogram(precise, x_power, athlete.weight),
        variability_index=tidy(powers.variability_index(normalized, average)),
        intensity_factor=tidy(intensity),
        training_stress_score=tidy(stress),
        w_prime_balance_min=tidy(_lowest_w_prime(ride.power, athlete)),
        decoupling=tidy(decoupling(ride.power, ride.heartrate)),
        total_distance=tidy(ride.way.total() if ride.way else None),
        avg_speed=tidy(_average_speed(ride)),
        max_speed=tidy(_highest(ride.speeds)),
        total_elevation_gain=tidy(gain),
        total_elevation_loss=tidy(loss),
        power_zones=_zone_times(ride.power, athlete.ftp, POWER_ZONES),
        heartrate_zones=_zone_times(ride.heartrate, athlete.threshold_heartrate, HEARTRATE_ZONES),
        coverage=_coverage(ride),
        gaps=tuple(Gap(start, end) for start, end in gaps[:MOST_LISTED]),
        gap_count=len(gaps),
        spikes=_spikes(ride),
        spike_count=int(np.count_nonzero(ride.spikes)),
        strays=tuple(StrayGroup(*each) for each in ride.strays[:MOST_LISTED]),
        stray_count=len(ride.strays),
        intervals=tuple(describe(each, ride, athlete.weight) for each in intervals[:MOST_LISTED]),
        interval_count=len(intervals),
        sample_count=len(ride.stored),
        overwritten_count=overwritten,
        recording_interval=tidy(coverages.recording_interval(ride.timestamps)),
        precise=precise,
        parameters=_parameters(athlete),
        method_version=METHOD_VERSION,
    )


def _precise(ride: Ride) -> Precise:
    """The figures that are whole numbers in the summary."""
    times, channel = ride.timestamps, ride.samples.channel
    return Precise(
        avg_power=powers.average_power(ride.power),
        max_power=powers.max_power(ride.power),
        normalized_power=powers.normalized_power(ride.power),
        total_energy=powers.total_energy(times, channel("power")),
        avg_heartrate=heartrates.average_heartrate(times, channel("heartrate")),
        max_heartrate=_highest(channel("heartrate")),
        avg_cadence=cadences.average_cadence(ride.cadence),
        avg_cadence_with_zeros=cadences.average_cadence_with_zeros(ride.cadence),
        max_cadence=_highest(channel("cadence")),
    )


def _watts_per_kilogram(
    precise: Precise, x_power: float | None, weight: float | None
) -> WattsPerKilogram | None:
    if weight is None:
        return None

    def over(power: float | None) -> float | None:
        return None if power is None else tidy(power / weight)

    return WattsPerKilogram(
        avg_power=over(precise.avg_power),
        max_power=over(precise.max_power),
        normalized_power=over(precise.normalized_power),
        x_power=over(x_power),
    )


def _duration(ride: Ride) -> int:
    times = ride.timestamps
    return round(float(times[-1] - times[0]) / 1000) if len(times) else 0


def _lowest_w_prime(power: Series, athlete: Athlete) -> float | None:
    """Kilojoules."""
    if not len(power) or athlete.critical_power is None or athlete.w_prime is None:
        return None
    balance = w_prime_balance(power, athlete.critical_power, athlete.w_prime)
    return float(balance.min()) / 1000


def _moving_time(ride: Ride) -> int | None:
    """By the places where speed is not known of all that was recorded."""
    unknown = coverages.unmeasured_seconds(ride.recorded, ride.speed)
    return motion.moving_time(ride.speed, ride.places_around(unknown))


def _average_speed(ride: Ride) -> float | None:
    if ride.way is None:
        return None
    metres, seconds = ride.way.recorded(ride.recorded), coverages.recorded_time(ride.recorded)
    return motion.average_speed(metres, seconds, _highest(ride.speeds))


def _zone_times(
    series: Series, threshold: float | None, bounds: Sequence[float]
) -> tuple[int, ...] | None:
    if threshold is None or not len(series):
        return None
    return tuple(time_in_zones(series, threshold, bounds))


def _coverage(ride: Ride) -> float:
    elapsed = coverages.elapsed_seconds(ride.timestamps)
    return round(coverages.coverage(ride.power, elapsed), 4)


def _spikes(ride: Ride) -> tuple[Spike, ...]:
    at = np.flatnonzero(ride.spikes)[:MOST_LISTED]
    times, power = ride.timestamps[at].tolist(), ride.samples.channel("power")[at].tolist()
    return tuple(Spike(time, watts) for time, watts in zip(times, power, strict=True))


def _parameters(athlete: Athlete) -> Parameters:
    """What of the athlete the figures were computed with."""
    return Parameters(
        ftp=_known(athlete.ftp),
        critical_power=_known(athlete.critical_power),
        w_prime=_known(athlete.w_prime),
        threshold_heartrate=_known(athlete.threshold_heartrate),
        weight=_known(athlete.weight),
        power_zones=UNSET if athlete.ftp is None else POWER_ZONES,
        heartrate_zones=UNSET if athlete.threshold_heartrate is None else HEARTRATE_ZONES,
    )


def _known(value: float | None) -> float | UnsetType:
    return UNSET if value is None else value


def _highest(values: FloatArray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmax(values))


def _round_half_up(value: float | None) -> int | None:
    return None if value is None else math.floor(value + 0.5)
