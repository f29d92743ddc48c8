"""Real rides from the manifest, and what their devices made of them."""

import gzip
import json
import math
from pathlib import Path
from typing import Any, Final, NamedTuple

Entry = dict[str, Any]  # of the manifest
Sample = dict[str, float]
_RELATIVE: Final = (
    "normalizedPower",
    "avgPower",
    "totalEnergy",
    "totalDistance",
    "trainingStressScore",
)
_FEWEST_METRES: Final = 100  # of ascent that is compared


class Figure(NamedTuple):
    """A member of the precise summary, the device's value, and how far apart they may be.

    ``name``: the member's, if the device calls what it has by another.
    """

    member: str
    device: float
    tolerance: float
    name: str = ""


def samples_of(rides_dir: Path, entry: Entry) -> list[Sample]:
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
        ("trainingStressScore", "training_stress_score", _stress_error(entry)),
    ]
    figures = [
        _figure(member, truth[name], tolerance)
        for member, name, tolerance in candidates
        if tolerance is not None and truth.get(name) is not None
    ]
    interval = Figure("recordingInterval", _usual_interval(entry), 0.0)
    return [
        *figures,
        Figure("totalEnergy", truth["total_calories"], math.inf, "calories"),
        interval,
    ]


def thresholds_of(entry: Entry) -> dict[str, Any] | None:
    """The FTP that the device had on the day, as the API takes it; None if it had none."""
    truth = entry["device_truth"]
    if "threshold_power" not in truth:
        return None
    return {"effectiveFrom": truth["start_time"][:10], "ftp": truth["threshold_power"]}


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
        for member, device, tolerance, _ in figures
        if tolerance < math.inf
        and (found[member] is None or abs(found[member] - device) > tolerance)
    ]


def _any_error(ascent: float | None) -> float | None:
    """Each device smooths heights in a way of its own: rides are held to their mean error alone."""
    return math.inf if ascent and ascent > _FEWEST_METRES else None


def _stress_error(entry: Entry) -> float | None:
    """Twice that of its normalized power, which is squared, and half a minute.

    Garmin's devices count the hours from their first full window on.
    """
    allowed = _percent(entry["suggested_tolerance"], "np_pct_strict")
    if allowed is None or "training_stress_score" not in entry["device_truth"]:
        return None
    seconds: float = entry["device_truth"]["total_timer_time"]
    return 2 * allowed + 30 / seconds


def _usual_interval(entry: Entry) -> float:
    """The median of the steps between the records of the file."""
    steps = entry["records"]["interval_hist_s"]
    passed, half = 0, sum(steps.values()) / 2
    for step, count in steps.items():  # ascending
        passed += count
        if passed > half:
            return float(step)
    raise ValueError(f"no steps in {entry['file']}")


def _percent(allowed: dict[str, float], name: str) -> float | None:
    percent = allowed.get(name)
    return None if percent is None else percent / 100


def _figure(member: str, device: float, tolerance: float) -> Figure:
    if member == "totalEnergy":
        device /= 1000
    relative = member in _RELATIVE
    return Figure(member, device, tolerance * device if relative else tolerance)
