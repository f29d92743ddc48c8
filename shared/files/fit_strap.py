"""Heart rates that a strap kept while it had no contact to the watch, as under water."""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np

from shared.files.fit_messages import Message, has_time
from shared.samples.columns import FloatArray, IntArray

_TICKS: Final = 1024  # a second
_TURN: Final = 1 << 12  # ticks until the short form begins anew
_NEAR: Final = 1_000  # ms between a reading and the heart rate that is taken for it


class _Beat(NamedTuple):
    ms: float
    bpm: float


def fill_heartrates(times: IntArray, heartrate: FloatArray, hr: list[Message]) -> FloatArray:
    """``heartrate`` with the strap's own in place of what is missing, up to a second away."""
    beats = sorted(_beats(hr))
    if not beats or not len(times):
        return heartrate
    at = np.array([beat.ms for beat in beats])
    later = np.clip(np.searchsorted(at, times), 1, len(at) - 1) if len(at) > 1 else 0 * times
    earlier = np.maximum(later - 1, 0)
    nearest = np.where(np.abs(at[later] - times) < np.abs(at[earlier] - times), later, earlier)
    bpm = np.array([beat.bpm for beat in beats])[nearest]
    wanted = np.isnan(heartrate) & (np.abs(at[nearest] - times) <= _NEAR)
    return np.where(wanted, bpm, heartrate)


def _beats(messages: Iterable[Message]) -> Iterator[_Beat]:
    """Times count in ticks of the strap; one of each run is also said in the watch's time."""
    offset = ticks = None
    for message in messages:
        rates = _listed(message.get("filtered_bpm"))
        short = "event_timestamp_12" in message  # one decoder expands it, and keeps the last only
        whole = [] if short else _listed(message.get("event_timestamp"))
        if whole and has_time(message):
            ticks = int(whole[0] * _TICKS)
            offset = _ms(message) - ticks * 1000 / _TICKS
        elif whole:
            ticks = int(whole[0] * _TICKS)
        if offset is None or ticks is None:
            continue
        counts = [ticks] if whole else list(_following(message, ticks))
        for count, rate in zip(counts, rates, strict=False):
            yield _Beat(offset + count * 1000 / _TICKS, rate)
        ticks = counts[-1] if counts else ticks


def _following(message: Message, ticks: int) -> Iterator[int]:
    """The ticks of the short form: twelve bits each, two in three bytes, each after the last."""
    packed = [int(one) & 255 for one in _listed(message.get("event_timestamp_12"))]
    for first, middle, last in zip(packed[::3], packed[1::3], packed[2::3], strict=False):
        for short in (first | (middle & 15) << 8, middle >> 4 | last << 4):
            ticks += (short - ticks) % _TURN
            yield ticks


def _listed(value: Any) -> list[float]:
    values = value if isinstance(value, list | tuple) else [value]
    return [float(one) for one in values if isinstance(one, int | float) and math.isfinite(one)]


def _ms(message: Message) -> float:
    moment = datetime.fromisoformat(message["timestamp"]).replace(tzinfo=UTC)
    fraction = message.get("fractional_timestamp")
    seconds = fraction if isinstance(fraction, int | float) else 0
    return (moment.timestamp() + seconds) * 1000
