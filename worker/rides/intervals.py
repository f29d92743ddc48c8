"""The intervals of a ride, with what was measured in each."""

from shared import figures
from shared.figures import tidy
from worker.metrics.cadence import average_cadence
from worker.metrics.intervals import Interval
from worker.metrics.series import Series
from worker.rides.ride import Ride


def describe(interval: Interval, ride: Ride, weight: float | None) -> figures.Interval:
    """An interval as the summary lists it, with the means of the other channels.

    ``weight``: the athlete's, in kg.
    """
    return figures.Interval(
        start=interval.started * 1000,
        duration=interval.duration,
        avg_power=round(interval.power, 3),
        watts_per_kilogram=tidy(interval.power / weight if weight else None),
        avg_heartrate=tidy(_mean(interval.of(ride.heartrate))),
        avg_cadence=tidy(average_cadence(interval.of(ride.cadence))),
        avg_speed=tidy(_mean(interval.of(ride.speed))),
    )


def _mean(series: Series) -> float | None:
    return float(series.values.sum()) / len(series) if len(series) else None
