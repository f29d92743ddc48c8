"""From the columns of a file to samples: what no device can have measured is left out, and said."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from shared.samples.channels import CHANNEL, EARLIEST_TIMESTAMP, MAX_CLOCK_LEAD
from shared.samples.columns import FloatArray, IntArray, Samples

# Devices without the sensor write 0 all along. A bicycle that is ridden without a watt, or a rider
# without a heartbeat, is not measured.
_SENSORS: Final = {
    "power": "power meter",
    "cadence": "cadence sensor",
    "heartrate": "heart rate monitor",
}


class Readings(NamedTuple):
    """Samples in order of time, and what had to be left out or put right."""

    samples: Samples
    warnings: tuple[str, ...]


def readings(times: IntArray, columns: Mapping[str, FloatArray], received: int) -> Readings:
    """Samples of a file that arrived at ``received`` (ms).

    Values beyond their channel's bounds are missing, and so is a sensor that says 0 all along.
    Samples before 2000 or after tomorrow are left out: a clock that was not set. What remains is
    put into order of time; where times are equal the order of the file stays.
    """
    warnings: list[str] = []
    dated = (times >= EARLIEST_TIMESTAMP) & (times <= received + MAX_CLOCK_LEAD)
    if not dated.all():
        warnings.append(f"{_counted(~dated)} with an impossible date left out")
    measured = {
        name: kept
        for name in CHANNEL
        if name in columns
        and (kept := _plausible(name, columns[name][dated], warnings)) is not None
    }
    return Readings(_in_order(Samples(times[dated], measured), warnings), tuple(warnings))


def reason_without(times: IntArray, received: int) -> str:
    """Why nothing is left of readings at these times, in words for the rider."""
    if not len(times):
        return "the readings of this file have no times"
    early, late = times < EARLIEST_TIMESTAMP, times > received + MAX_CLOCK_LEAD
    if late.all():
        return "every reading of this file is dated in the future: the device's clock was wrong"
    if early.all():
        return "every reading of this file is dated before the year 2000: the clock was not set"
    if (early | late).all():
        return "the readings of this file are dated before the year 2000 or in the future"
    return "the readings of this file have times, but no values that can be"


def _plausible(name: str, values: FloatArray, warnings: list[str]) -> FloatArray | None:
    """The channel's values, rounded as devices send them; None where it was never measured."""
    channel = CHANNEL[name]
    with np.errstate(invalid="ignore"):
        beyond = (values < channel.minimum) | (values > channel.maximum)
    if beyond.any():
        values = np.where(beyond, np.nan, values)
        warnings.append(f"{_counted(beyond)} of impossible {name} left out")
    measured = ~np.isnan(values)
    if not measured.any():
        return None
    if name in _SENSORS and not values[measured].any():
        warnings.append(f"{name} is 0 throughout: taken for no {_SENSORS[name]}")
        return None
    return np.round(values, channel.decimals) + 0.0  # no negative zeros


def _in_order(samples: Samples, warnings: list[str]) -> Samples:
    falls = int(np.count_nonzero(np.diff(samples.timestamps) < 0))
    if not falls:
        return samples
    once = "once" if falls == 1 else f"{falls} times"
    warnings.append(f"the device's clock went back {once}: readings put into order of time")
    return samples.select(np.argsort(samples.timestamps, kind="stable"))


def _counted(which: np.ndarray) -> str:
    count = int(np.count_nonzero(which))
    return "1 reading" if count == 1 else f"{count} readings"
