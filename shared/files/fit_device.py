"""What a FIT file says of its device, and what the device computed."""

import re
from collections.abc import Mapping
from typing import Any, Final

import fitdecode.profile
import numpy as np

from shared.files.fit_fields import number
from shared.files.fit_messages import Message
from shared.files.recording import Device, Figures
from shared.samples.columns import Samples

# Our figure → the field of a session or lap, and what one unit of it is of ours.
_FIELDS: Final[dict[str, tuple[str, float]]] = {
    "elapsed_time": ("total_elapsed_time", 1),
    "timer_time": ("total_timer_time", 1),
    "total_distance": ("total_distance", 1),
    "avg_speed": ("avg_speed", 1),
    "max_speed": ("max_speed", 1),
    "avg_power": ("avg_power", 1),
    "max_power": ("max_power", 1),
    "normalized_power": ("normalized_power", 1),
    "total_energy": ("total_work", 0.001),
    "training_stress_score": ("training_stress_score", 1),
    "intensity_factor": ("intensity_factor", 1),
    "threshold_power": ("threshold_power", 1),
    "avg_heartrate": ("avg_heart_rate", 1),
    "max_heartrate": ("max_heart_rate", 1),
    "avg_cadence": ("avg_cadence", 1),
    "max_cadence": ("max_cadence", 1),
    "total_elevation_gain": ("total_ascent", 1),
    "total_elevation_loss": ("total_descent", 1),
    "calories": ("total_calories", 1),
}
_OF_POWER: Final = (
    "avg_power",
    "max_power",
    "normalized_power",
    "total_energy",
    "training_stress_score",
    "intensity_factor",
)
_GARMIN: Final = {"garmin", "dynastream", "dynastream_oem", "tacx"}  # share a list of products
_NO_SERIAL: Final = {0, 2**31 - 1, 2**32 - 1}


def figures_of(message: Message, samples: Samples | None = None) -> Figures:
    """The figures of a session or lap, as stored.

    A device without a power meter stores 0 for all that comes of power: not measured.
    """
    found = {name: _figure(message, name) for name in _FIELDS}
    found["total_energy"] = _kilojoules(found)
    metered = found["max_power"] if samples is None else "power" in samples.channels
    if not metered:
        found |= {name: found[name] or None for name in _OF_POWER}
    return Figures(**found)


def device_of(file_ids: list[Message], infos: list[Message]) -> Device:
    """The device that made the file."""
    creator = next((one for one in infos if one.get("device_index") in ("creator", 0)), {})
    told: Message = {**creator, **(file_ids[0] if file_ids else {})}
    name = creator.get("product_name") or told.get("product_name")
    serial = told.get("serial_number")
    return Device(
        maker=_titled(told.get("manufacturer")),
        product=_text(name) or _product(told),
        serial=str(serial) if isinstance(serial, int) and serial not in _NO_SERIAL else None,
    )


def _kilojoules(found: Mapping[str, float | None]) -> float | None:
    """The work, which some devices store in kilojoules where FIT has joules, as of laps.

    That is so where it is a thousandth of mean power over time. Means that leave zeros out, and
    times with pauses, change it by half at most.
    """
    work, power = found["total_energy"], found["avg_power"]
    seconds = found["timer_time"] or found["elapsed_time"]
    if not (work and power and seconds):
        return work
    share = work * 1000 / (power * seconds)
    return round(work * 1000, 3) if 0.0005 < share < 0.002 else work


def _figure(message: Message, name: str) -> float | None:
    field, unit = _FIELDS[name]
    value = number(message.get(field, message.get(f"enhanced_{field}"))) * unit
    return round(value, 3) if np.isfinite(value) else None


def _product(told: Message) -> str | None:
    product = told.get("product")
    if told.get("manufacturer") in _GARMIN and isinstance(product, int):
        product = fitdecode.profile.FIELD_TYPES["garmin_product"].enum.get(product, product)
    return _titled(product) if isinstance(product, str) else _text(product or None)


def _titled(name: Any) -> str | None:
    """``edge_530`` and ``edge800`` as people write them."""
    if not isinstance(name, str):
        return None
    words = re.sub(r"(?<=[a-z])(?=\d)", " ", name.replace("_", " ")).split()
    return " ".join("Forerunner" if word == "fr" else word.capitalize() for word in words) or None


def _text(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    return str(value).strip("\0 ") or None if isinstance(value, str | int) else None
