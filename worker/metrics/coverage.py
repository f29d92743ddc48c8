"""How much of the ride was recorded."""

from collections.abc import Iterable

import numpy as np

from worker.metrics.series import (
    BoolArray,
    FloatArray,
    IntArray,
    Series,
    sparse_fill_limit,
    stretches,
    whole_seconds,
)

Stretches = tuple[IntArray, IntArray]


def elapsed_seconds(timestamps: IntArray) -> int:
    """Whole seconds of the clock from the first sample to the last, both counted."""
    if not len(timestamps):
        return 0
    first, last = whole_seconds(timestamps[[0, -1]])
    return int(last - first + 1)


def recording_interval(timestamps: IntArray) -> float | None:
    """The usual time from one sample to the next (the median), in seconds; None below two."""
    return float(np.median(np.diff(timestamps))) / 1000 if len(timestamps) > 1 else None


def recorded_stretches(timestamps: IntArray, channels: Iterable[FloatArray] = ()) -> Stretches:
    """First and last second of each stretch in which some channel has a segment.

    ``timestamps``: (n,) ms, ascending, of all samples; ``channels``: (n,) each, NaN where not
    measured. The samples together count as a channel; each alone adds where it is recorded more
    sparsely than all of them, and its own fill limit is wider.
    """
    if not len(timestamps):
        return timestamps, timestamps
    found = stretches(_distinct_seconds(timestamps))
    if len(found[0]) == 1:
        return found
    shortest = int((found[0][1:] - found[1][:-1]).min()) - 1
    measured = [~np.isnan(values) for values in channels]
    sparse = [timestamps[each] for each in measured if _may_bridge(each, timestamps, shortest)]
    return _united([found, *(stretches(_distinct_seconds(each)) for each in sparse)])


def recorded_time(recorded: Stretches) -> int:
    """Seconds within the stretches, both ends of each counted."""
    firsts, lasts = recorded
    return int(np.sum(lasts - firsts + 1))


def unmeasured_seconds(recorded: Stretches, series: Series) -> IntArray:
    """The seconds of the stretches that a channel lacks; (n,) ascending."""
    firsts, lasts = recorded
    if len(series) >= recorded_time(recorded):
        return firsts[:0]
    lengths = lasts - firsts + 1
    seconds = np.arange(lengths.sum()) + np.repeat(firsts - np.cumsum(lengths) + lengths, lengths)
    at = np.searchsorted(series.seconds, seconds)
    return np.asarray(seconds[np.append(series.seconds, -1)[at] != seconds])


def coverage(power: Series, elapsed: int) -> float:
    """The share of the elapsed seconds that has power, 0 to 1."""
    return len(power) / elapsed if elapsed else 0.0


def gaps(timestamps: IntArray, recorded: Stretches) -> list[tuple[int, int]]:
    """The samples (ms) before and after each time between two recorded stretches."""
    seconds, (firsts, lasts) = whole_seconds(timestamps), recorded
    before = timestamps[np.searchsorted(seconds, lasts[:-1], side="right") - 1]
    after = timestamps[np.searchsorted(seconds, firsts[1:], side="left")]
    return list(zip(before.tolist(), after.tolist(), strict=True))


def _may_bridge(measured: BoolArray, timestamps: IntArray, missing: int) -> bool:
    """Whether a channel's fill limit can be so wide: most channels need no closer look.

    Half of its steps are as long as the median at least, so that their number bounds it.
    """
    readings = int(np.count_nonzero(measured))
    span = float(timestamps[-1] - timestamps[0]) / 1000
    return readings > 1 and sparse_fill_limit(2 * span / (readings - 1)) >= missing


def _distinct_seconds(timestamps: IntArray) -> IntArray:
    seconds = whole_seconds(timestamps)
    return np.asarray(seconds[np.append(True, np.diff(seconds) > 0)])


def _united(parts: list[Stretches]) -> Stretches:
    """Stretches that overlap or meet, as one."""
    firsts, lasts = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.argsort(firsts, kind="stable")
    firsts, reached = firsts[order], np.maximum.accumulate(lasts[order])
    begins = np.flatnonzero(np.append(True, firsts[1:] > reached[:-1]))
    return firsts[begins], reached[np.append(begins[1:], len(firsts)) - 1]
