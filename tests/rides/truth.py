"""Real rides from the manifest, and what their devices made of them."""

import gzip
import json
import math
from pathlib import Path
from typing import Any, Final, NamedTuple

Entry = dict[str, Any]  # of the manifest
_FEWEST_METRES: Final = 100  # of ascent that is compared


class Figure(NamedTuple):
    """A member of the precise summary, the device's value, and how far apart they may be."""

    member: str
    device: float
    tolerance: float


def samples_of(rides_dir: Path, entry: Entry) -> list[dict[str, float]]:
    """A ride's samples in the order of its file, ready to upload."""
    with gzip.open(rides_dir / (entry.get("ndjson") or entry["file"]), "rt") as lines:
        return [json.loads(line) for line in lines]


def device_figures(entry: Entry) -> list[Figure]:
    """What a head unit's session says, as far as the manifest holds it to be comparable."""
    truth, allowed = entry["device_truth"], entry["suggested_tolerance"]
    zeros = "WITH zeros" in allowed.get("avg_cadence", "")
    cadence = "avgCadenceWithZeros" if zeros else "avgCadence"
    candidates = [
        ("normalizedPower", "normalized_power", _percent(allowed, "np_pct_strict")),
        ("avgPower", "avg_power", _percent(allowed, "avg_power_pct")),
        ("maxPower", "max_power", 0.0 if allowed.get("max_power_equals_records") else None),
        ("totalEnergy", "total_work", _percent(allowed, "energy_pct")),
        ("totalDistance", "total_distance", _percent(allowed, "distance_pct")),
        ("avgHeartrate", "avg_heart_rate", allowed.get("avg_hr_bpm")),
        ("maxHeartrate", "max_heart_rate", allowed.get("max_hr_bpm")),
        (cadence, "avg_cadence", 2.0),
        ("totalElevationGain", "total_ascent", _any_error(truth.get("total_ascent"))),
    ]
    return [
        _figure(member, truth[name], tolerance)
        for member, name, tolerance in candidates
        if tolerance is not None and truth.get(name) is not None
    ]


def lap_figures(entry: Entry) -> list[Figure]:
    """What the laps of a TCX file add up to; its first reading may be some metres into them."""
    laps = entry["device_truth_laps"]
    metres = sum(lap["DistanceMeters"] for lap in laps)
    figures = [Figure("totalDistance", metres, max(0.001 * metres, 10))]
    if len(laps) == 1 and "AvgWatts" in laps[0]:
        figures.append(Figure("avgPower", laps[0]["AvgWatts"], 0.5))  # rounded
    if all("AverageHeartRateBpm" in lap for lap in laps):
        seconds = sum(lap["TotalTimeSeconds"] for lap in laps)
        beats = sum(lap["AverageHeartRateBpm"] * lap["TotalTimeSeconds"] for lap in laps)
        figures.append(Figure("avgHeartrate", beats / seconds, 1.5))
        highest = max(lap["MaximumHeartRateBpm"] for lap in laps)
        figures.append(Figure("maxHeartrate", highest, 0))
    if all("MaxWatts" in lap for lap in laps):
        figures.append(Figure("maxPower", max(lap["MaxWatts"] for lap in laps), 0))
    return figures


def disagreements(figures: list[Figure], summary: dict[str, Any]) -> list[str]:
    """The figures that are further from the device's than they may be."""
    found = {**summary, **summary["precise"]}
    return [
        f"{member}: {found[member]}, by the device {device:.6g} ± {tolerance:.3g}"
        for member, device, tolerance in figures
        if found[member] is None or abs(found[member] - device) > tolerance
    ]


def _any_error(ascent: float | None) -> float | None:
    """Each device smooths heights in a way of its own: rides are held to their mean error alone."""
    return math.inf if ascent and ascent > _FEWEST_METRES else None


def _percent(allowed: dict[str, float], name: str) -> float | None:
    percent = allowed.get(name)
    return None if percent is None else percent / 100


def _figure(member: str, device: float, tolerance: float) -> Figure:
    if member == "totalEnergy":
        device /= 1000
    relative = member in ("normalizedPower", "avgPower", "totalEnergy", "totalDistance")
    return Figure(member, device, tolerance * device if relative else tolerance)
