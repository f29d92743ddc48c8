"""Rides of which every position can be worked out."""

import numpy as np

from shared.samples.columns import FloatArray, Samples

T0 = 1_700_000_000_000
HOME = (47.0, 8.5)
METRE = 1 / 111_194.93  # degrees of latitude: of a sphere of 6,371 km
SALT = b"s" * 32


def northward(metres: FloatArray, begin: int = 0) -> Samples:
    """A second-by-second ride that is so far north of home, with an odometer from 1 km on."""
    seconds = np.arange(begin, begin + len(metres))
    return Samples(
        T0 + 1000 * seconds,
        {
            "power": np.full(len(metres), 200.0),
            "speed": np.full(len(metres), 10.0),
            "distance": np.linspace(1000.0, 990.0 + 10 * len(metres), len(metres)),
            "lat": HOME[0] + metres * METRE,
            "lng": np.full(len(metres), HOME[1]),
        },
    )


def straight(metres: int, begin: int = 0) -> Samples:
    """From home to there, at 10 m/s."""
    return northward(np.arange(0.0, metres + 1, 10), begin)


def shown_metres(samples: Samples) -> FloatArray:
    """How far north of home the positions that are shown are."""
    lat = samples.channel("lat")
    return np.round((lat[~np.isnan(lat)] - HOME[0]) / METRE)
