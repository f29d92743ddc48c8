"""The channels of FIT records, as columns."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

import numpy as np

from shared.files.fit_messages import Message
from shared.samples.columns import FloatArray, IntArray

_SEMICIRCLE: Final = 180 / 2**31  # degrees
_LEGS: Final = 0x7F  # per cent of one leg
_RIGHT: Final = 0x80  # set: it is the right one

# Channel → the fields that hold it, the better first, and what one unit of them is of ours.
_FIELDS: Final[dict[str, tuple[tuple[str, ...], float]]] = {
    "power": (("power",), 1),
    "cadence": (("cadence",), 1),
    "heartrate": (("heart_rate",), 1),
    "speed": (("speed", "enhanced_speed"), 1),
    "distance": (("distance",), 1),
    "altitude": (("altitude", "enhanced_altitude"), 1),
    "lat": (("position_lat",), _SEMICIRCLE),
    "lng": (("position_long",), _SEMICIRCLE),
    "temperature": (("temperature",), 1),
}
# Developer fields: the number of the record's own field that they stand for, or their name.
_NATIVE: Final = {2: "altitude", 3: "heartrate", 4: "cadence", 6: "speed", 7: "power"}
_POWER_NAMES: Final = {"power", "running power", "run power", "stryd power", "rp_power"}
_RECORD: Final = {20, "record", None}  # the message whose native field is meant
_NO_VALUE: Final = {
    0: 0xFF,
    1: 0x7F,
    2: 0xFF,
    131: 0x7FFF,
    132: 0xFFFF,
    133: 0x7FFFFFFF,
    134: 0xFFFFFFFF,
}  # by the id of a developer field's type; the decoders leave these marks in


def times_of(records: list[Message]) -> IntArray:
    """Each record's time, in ms since the Unix epoch; all of them have one."""
    written = [record["timestamp"] for record in records]
    return np.array(written, "datetime64[ms]").astype(np.int64)


def columns_of(records: list[Message], descriptions: list[Message]) -> dict[str, FloatArray]:
    """A column a channel, NaN where a record has no value."""
    fields = _Fields(records)
    columns = {name: _channel(fields, *sources) for name, sources in _FIELDS.items()}
    columns["balance"] = _left_share(fields.column("left_right_balance"))
    for name, values in _developer_columns(records, descriptions):
        if np.isnan(columns[name]).all():
            columns[name] = values
    return columns


def column(messages: list[Message], name: str) -> FloatArray:
    """A field's values; NaN where it is absent or no number."""
    return _numbers([message.get(name) for message in messages])


class _Fields:
    """Columns of the records, where those that every record has are collected in one pass.

    That takes half as long as a pass for each: the records of a ride are more than a cache holds.
    """

    def __init__(self, records: list[Message]) -> None:
        self._records = records
        self._collected = _collect(records, [sources[0] for sources, _ in _FIELDS.values()])

    def column(self, name: str) -> FloatArray:
        """A field's values; NaN where it is absent or no number."""
        if name in self._collected:
            return _numbers(self._collected[name])
        return column(self._records, name)


def _collect(records: list[Message], names: list[str]) -> dict[str, Sequence[Any]]:
    """The values of those fields that every record has."""
    while len(names) > 1:
        try:
            columns = zip(*map(itemgetter(*names), records), strict=True)
            return dict(zip(names, columns, strict=False))
        except KeyError as missing:
            names = [name for name in names if name != missing.args[0]]
    return {}


def _numbers(values: Sequence[Any]) -> FloatArray:
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):  # a list or a name among the numbers
        numbers = np.empty((0, 0))
    if numbers.ndim == 1:
        return numbers
    return np.array([number(value) for value in values], np.float64)  # lists of one length


def number(value: Any) -> float:
    """A field's value as a number; NaN where it is none."""
    return float(value) if isinstance(value, int | float) else np.nan


def _channel(fields: _Fields, names: tuple[str, ...], unit: float) -> FloatArray:
    values = fields.column(names[0])
    for name in names[1:]:
        if np.isnan(values).any():
            values = np.where(np.isnan(values), fields.column(name), values)
    return values * unit


def _left_share(values: FloatArray) -> FloatArray:
    """The left leg's per cent. A value that names no leg is the left one's, as in GoldenCheetah.

    Meters of one leg say 0 or 100: that is no measurement of balance.
    """
    bits = np.where(np.isnan(values) | (values < 0) | (values > 255), _LEGS, values).astype(int)
    share = (bits & _LEGS).astype(np.float64)
    left = np.where(bits & _RIGHT, 100 - share, share)
    return np.where((left > 0) & (left < 100), left, np.nan)


def _developer_columns(
    records: list[Message], descriptions: list[Message]
) -> Iterator[tuple[str, FloatArray]]:
    """Channels among the developer fields, such as running power.

    A field's number is all that a record says of it: one that two applications use is left out.
    """
    described = [one for one in descriptions if _first(one.get("native_mesg_num")) in _RECORD]
    numbers = [_first(one.get("field_definition_number")) for one in described]
    for description, field in zip(described, numbers, strict=True):
        name = _channel_of(description)
        if name is None or numbers.count(field) > 1:
            continue
        values = column(records, f"developer_field_{field}")
        mark = _NO_VALUE.get(_first(description.get("fit_base_type_id")), np.nan)
        scale = number(_first(description.get("scale")))
        offset = number(_first(description.get("offset")))
        measured = np.where(values == mark, np.nan, values)
        yield name, measured / (scale if scale > 0 else 1) - (0 if np.isnan(offset) else offset)


def _channel_of(description: Message) -> str | None:
    native = _first(description.get("native_field_num"))
    if native in _NATIVE:
        return _NATIVE[native]
    name = str(_first(description.get("field_name"))).strip("\0 ").casefold()
    return "power" if name in _POWER_NAMES else None


def _first(value: Any) -> Any:
    """Some decoders give a list even of one; what cannot be looked up is no value."""
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    return value if isinstance(value, int | float | str) else None
