"""A ride of eight seconds with a pause, two laps and a tunnel, to be written in every format."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from shared.files.recording import Device, Figures, Lap, Pause, Recording
from shared.samples.columns import Samples

T0: Final = 1_700_000_000_000  # 2023-11-14T22:13:20Z
RECEIVED: Final = T0 + 86_400_000
NAN: Final = np.nan
# Four seconds, a pause of a minute, four seconds more.
SECONDS: Final = (0, 1, 2, 3, 63, 64, 65, 66)
CHANNELS: Final = {
    "power": [200, 210, NAN, 0, 250.4, 251, 252, 253],
    "cadence": [90, 91, NAN, 0, 80, 81, 82, 83],
    "heartrate": [140, NAN, 142, 143, 120, 0, 122, 123],
    "speed": [8.123, 8.2, 8.3, NAN, 7.1, 7.2, 7.3, 7.4],
    "distance": [0, 8.2, 16.5, 24.9, 25.3, 32.5, 39.8, 47.25],
    "altitude": [400.2, 400.4, NAN, 400.8, 401, 401.2, 401.4, 401.6],
    "lat": [47.1234567, 47.1235, NAN, NAN, 47.1237, 47.1238, 47.1239, 47.124],
    "lng": [8.7654321, 8.7655, NAN, NAN, 8.7657, 8.7658, 8.7659, -8.766],
    "temperature": [21, 21, 21, NAN, 20, 20, -3, 20],
    "balance": [49, 51, NAN, 100, 50, 50, 99.8, 50],
}
FIGURES: Final = Figures(
    elapsed_time=66.0,
    timer_time=6.0,
    total_distance=47.25,
    avg_power=202.0,
    max_power=253.0,
    normalized_power=240.0,
    total_energy=1.417,
    training_stress_score=12.3,
    intensity_factor=0.96,
    threshold_power=250.0,
    avg_heartrate=132.0,
    max_heartrate=143.0,
    avg_cadence=72.0,
    max_cadence=91.0,
    total_elevation_gain=1.0,
    total_elevation_loss=0.0,
    calories=2.0,
    avg_speed=7.875,
    max_speed=8.3,
)


def samples(**columns: list[float]) -> Samples:
    """The ride's samples; a channel that is named has these values instead."""
    times = T0 + 1000 * np.array(SECONDS, np.int64)
    chosen = columns or CHANNELS
    return Samples(times, {name: np.array(values, float) for name, values in chosen.items()})


RIDE: Final = Recording(
    samples(),
    sport="gravel-cycling",
    title="Over the hill & <back>",
    description='With "Ana" \x01 and rain',
    laps=(
        Lap(T0, T0 + 3000, Figures(elapsed_time=3.0, total_distance=24.9, avg_power=137.0)),
        Lap(T0 + 3000, T0 + 66_000, Figures(elapsed_time=63.0, calories=1.0)),
    ),
    pauses=(Pause(T0 + 3000, T0 + 63_000),),
    device=Device("Garmin", "Edge 810", "12345"),
    figures=FIGURES,
    utc_offset=3600,
)


def ride(**said: Any) -> Recording:
    """The whole ride; ``said`` replaces what is said of it."""
    return replace(RIDE, **said)
