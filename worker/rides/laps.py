"""Laps: where each begins, and its figures by the ride's definitions."""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from shared.laps import MOST_LAPS, Lap, LapFigures
from shared.samples.columns import FloatArray
from worker.metrics.cadence import average_cadence
from worker.metrics.elevation import elevation_gain_and_loss
from worker.metrics.heartrate import average_heartrate
from worker.metrics.power import average_power, max_power, normalized_power, total_energy
from worker.metrics.series import Series
from worker.rides.ride import Ride

_DECIMALS: Final = 3


def summarize_laps(
    laps: Sequence[Lap], ride: Ride, bounds: tuple[int | None, int | None] = (None, None)
) -> list[Lap]:
    """The laps in order of time, each with its start and its figures.

    One without a start begins where the one before it ends, the first with the ride. ``bounds``:
    from when and until when (ms) the ride counts; the figures are of what lies between.
    """
    if not len(ride.timestamps):
        return list(laps)
    start, found = int(ride.timestamps[0]), list[Lap]()
    for lap in sorted(laps, key=lambda each: each.end)[:MOST_LAPS]:
        implied = lap.implied or lap.start is None
        begin = start if implied or lap.start is None else lap.start
        begin = min(begin, lap.end)
        figures = figures_between(ride, *_within(begin, lap.end, bounds))
        found.append(msgspec.structs.replace(lap, start=begin, implied=implied, summary=figures))
        start = lap.end
    return found


def _within(start: int, end: int, bounds: tuple[int | None, int | None]) -> tuple[int, int]:
    """What counts of a lap; nothing of one that is cropped away."""
    first, last = bounds
    end = end if last is None else min(end, last)
    return min(start if first is None else max(start, first), end), end


def figures_between(ride: Ride, start: int, end: int) -> LapFigures:
    """The figures of the ride from one moment (ms) to before another."""
    within = slice(*np.searchsorted(ride.timestamps, [start, end]))
    times, samples = ride.timestamps[within], ride.samples.select(within)
    power, cadence = _cut(ride.power, start, end), _cut(ride.cadence, start, end)
    heartrate, elapsed = samples.channel("heartrate"), (end - start) / 1000
    gain = elevation_gain_and_loss(_cut(ride.altitude, start, end))
    metres = _metres(ride, start, end)
    return LapFigures(
        duration=round(elapsed, _DECIMALS),
        avg_power=_tidy(average_power(power)),
        max_power=_tidy(max_power(power)),
        normalized_power=_tidy(normalized_power(power)),
        total_energy=_tidy(total_energy(times, samples.channel("power"))),
        avg_heartrate=_tidy(average_heartrate(times, heartrate)),
        max_heartrate=_highest(heartrate),
        avg_cadence=_tidy(average_cadence(cadence)),
        max_cadence=_highest(samples.channel("cadence")),
        total_distance=_tidy(metres),
        avg_speed=_tidy(_speed(ride, metres, start, end)),
        total_elevation_gain=_tidy(gain[0] if gain else None),
    )


def _cut(series: Series, start: int, end: int) -> Series:
    """The seconds of the series from one moment (ms) to before another."""
    first, last = np.searchsorted(series.seconds, [math.ceil(start / 1000), math.ceil(end / 1000)])
    return series.select(slice(int(first), int(last)))


def _metres(ride: Ride, start: int, end: int) -> float | None:
    """By the way of the whole ride: a lap of its own would lack what lies between two readings.

    What the odometer says at the first reading belongs to the lap that the ride begins with.
    """
    if ride.way is None:
        return None
    before, after = np.interp([start / 1000, end / 1000], ride.way.times, ride.way.metres)
    return float(after - (before if start > ride.timestamps[0] else 0.0))


def _speed(ride: Ride, metres: float | None, start: int, end: int) -> float | None:
    """Metres by the seconds of the lap that were recorded."""
    firsts, lasts = ride.recorded
    begins, ends = np.maximum(firsts, start / 1000), np.minimum(lasts + 1, end / 1000)
    seconds = float(np.sum(np.maximum(ends - begins, 0)))
    return metres / seconds if metres is not None and seconds else None


def _highest(values: FloatArray) -> float | None:
    measured = values[~np.isnan(values)]
    return float(measured.max()) if len(measured) else None


def _tidy(value: float | None) -> float | None:
    """A figure without the noise of binary fractions."""
    return None if value is None else round(value, _DECIMALS)
