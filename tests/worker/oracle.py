"""The definitions once more, in plain loops: slow, and sharing no code with the worker."""

import math
from itertools import pairwise

from tests.worker.readings import Readings

Position = tuple[float, float]


def per_second(readings: Readings) -> dict[int, float]:
    """Mean reading of each whole second; half a second belongs to the next."""
    found: dict[int, list[float]] = {}
    for time, value in readings:
        if value is not None:
            second, rest = divmod(time, 1000)
            found.setdefault(second + (1 if rest >= 500 else 0), []).append(value)
    return {second: sum(values) / len(values) for second, values in found.items()}


def segments(readings: Readings) -> list[list[float]]:
    """Up to ten missing seconds lie on a line between their neighbours; more begin a segment."""
    result: list[list[float]] = []
    known = sorted(per_second(readings).items())
    for position, (second, value) in enumerate(known):
        before = known[position - 1] if position else None
        if before is None or second - before[0] - 1 > 10:
            result.append([value])
            continue
        steps = second - before[0]
        for step in range(1, steps):
            result[-1].append(before[1] + (value - before[1]) * step / steps)
        result[-1].append(value)
    return result


def seconds(readings: Readings) -> list[float]:
    """The value of every second of every segment."""
    return [value for segment in segments(readings) for value in segment]


def average(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def normalized_power(readings: Readings) -> float | None:
    """Every full window of 30 s of every segment, summed anew."""
    powers = []
    for segment in segments(readings):
        for start in range(len(segment) - 29):
            mean = sum(segment[start : start + 30]) / 30
            powers.append(mean * mean * mean * mean)
    return math.sqrt(math.sqrt(sum(powers) / len(powers))) if powers else None


def held(readings: Readings, cap: float) -> list[tuple[float, float]]:
    """Each measured value with the seconds that it holds, the last one for a second."""
    pairs = []
    for position, (time, value) in enumerate(readings):
        last = position == len(readings) - 1
        step = 1.0 if last else (readings[position + 1][0] - time) / 1000
        if value is not None:
            pairs.append((value, min(step, cap)))
    return pairs


def energy(readings: Readings) -> float | None:
    """Kilojoules: each reading of power holds until the next, for ten seconds at most.

    Where the next is further away, it holds until the next sample of whatever kind.
    """
    joules = []
    for position, (time, power) in enumerate(readings):
        if power is None:
            continue
        later = readings[position + 1 :]
        next_reading = next((at for at, value in later if value is not None), time + 1000)
        next_sample = later[0][0] if later else time + 1000
        step = (next_reading - time) / 1000
        joules.append(power * (step if step <= 10 else min((next_sample - time) / 1000, 10)))
    return sum(joules) / 1000 if joules else None


def average_heartrate(readings: Readings) -> float | None:
    """Each beat weighs as long as it holds, fifteen seconds at most; 0 was no contact."""
    pairs = [(rate, step) for rate, step in held(readings, 15) if rate]
    weight = sum(step for _, step in pairs)
    return sum(rate * step for rate, step in pairs) / weight if pairs else None


def gaps(readings: Readings) -> list[tuple[int, int]]:
    """The samples around more than ten missing seconds."""
    found = []
    for (before, _), (after, _) in pairwise(readings):
        missing = math.floor(after / 1000 + 0.5) - math.floor(before / 1000 + 0.5) - 1
        if missing > 10:
            found.append((before, after))
    return found


def great_circle(start: Position, end: Position) -> float:
    """Metres between two positions in degrees, by the angle between their vectors."""
    a, b = _vector(*start), _vector(*end)
    cross = (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )
    dot = sum(p * q for p, q in zip(a, b, strict=True))
    return 6_371_008.8 * math.atan2(math.hypot(*cross), dot)


def _vector(lat: float, lng: float) -> tuple[float, float, float]:
    north, east = math.radians(lat), math.radians(lng)
    return (
        math.cos(north) * math.cos(east),
        math.cos(north) * math.sin(east),
        math.sin(north),
    )


def bests(parts: list[list[float]], durations: list[int]) -> dict[int, float]:
    """Every window of every segment, summed anew; a longer effort counts for a shorter one."""
    found = {}
    for duration in durations:
        means = [
            sum(part[start : start + duration]) / duration
            for part in parts
            for start in range(len(part) - duration + 1)
        ]
        if means:
            found[duration] = max(means)
    return {
        duration: max(value for longer, value in found.items() if longer >= duration)
        for duration in found
    }


def lowest_w_prime(watts: list[float], critical_power: float, w_prime: float) -> float:
    """Second by second: spent above critical power, recovered below it."""
    left = lowest = w_prime
    for power in watts:
        if power > critical_power:
            left -= power - critical_power
        else:
            left += (critical_power - power) * (w_prime - left) / w_prime
        lowest = min(lowest, left)
    return lowest


def x_power(parts: list[list[float]]) -> float | None:
    """The weighted mean carried along each segment, from its first reading."""
    weight = 1 - math.exp(-1 / 25)
    smooth = []
    for part in parts:
        mean = part[0]
        for power in part:
            mean += (power - mean) * weight
            smooth.append(mean)
    return (sum(mean**4 for mean in smooth) / len(smooth)) ** 0.25 if smooth else None


def climbs(parts: list[list[float]]) -> tuple[float, float]:
    """Smoothed over ten seconds; a way of 3 m or more between turning points counts."""
    smooth = []
    for part in parts:
        for at in range(len(part)):
            around = part[max(at - 4, 0) : at + 6]
            smooth.append(sum(around) / len(around))
    heights = [smooth[0]]
    for at in range(1, len(smooth) - 1):
        before = next((s for s in smooth[at - 1 :: -1] if s != smooth[at]), smooth[at])
        after = smooth[at + 1]
        if (smooth[at] - before) * (after - smooth[at]) < 0:
            heights.append(smooth[at])
    heights.append(smooth[-1])
    gain, loss, counted = 0.0, 0.0, heights[0]
    for height in heights:
        if height - counted >= 3:
            gain, counted = gain + height - counted, height
        elif counted - height >= 3:
            loss, counted = loss + counted - height, height
    return gain, loss


def zone_times(values: list[float], threshold: float, bounds: tuple[float, ...]) -> list[int]:
    """How many values lie in each zone, its upper bound included."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        zone = 0
        while zone < len(bounds) and value > bounds[zone] * threshold:
            zone += 1
        counts[zone] += 1
    return counts
