"""The definitions once more, in plain loops: slow, and sharing no code with the worker."""

import math
from itertools import pairwise
from statistics import median

from tests.worker.readings import Readings

Position = tuple[float, float]
_TURN = 2 - 1e-6  # metres


def per_second(readings: Readings) -> dict[int, float]:
    """Mean reading of each whole second; half a second belongs to the next."""
    found: dict[int, list[float]] = {}
    for time, value in readings:
        if value is not None:
            second, rest = divmod(time, 1000)
            found.setdefault(second + (1 if rest >= 500 else 0), []).append(value)
    return {second: sum(values) / len(values) for second, values in found.items()}


def fill_limit(steps: list[float]) -> float:
    """Ten seconds, or three times the middle one of the steps between readings, up to ninety."""
    if len(steps) < 3:
        return 10
    return min(max(3 * median(steps), 10), 90)


def segments(readings: Readings) -> list[list[float]]:
    """Missing seconds up to the fill limit lie on a line; more begin a segment."""
    return [[value for _, value in segment] for segment in timed_segments(readings)]


def timed_segments(readings: Readings) -> list[list[tuple[int, float]]]:
    """As ``segments``, each value with its second."""
    result: list[list[tuple[int, float]]] = []
    known = sorted(per_second(readings).items())
    limit = fill_limit([b - a for (a, _), (b, _) in pairwise(known)])
    for position, (second, value) in enumerate(known):
        before = known[position - 1] if position else None
        if before is None or second - before[0] - 1 > limit:
            result.append([(second, value)])
            continue
        steps = second - before[0]
        for step in range(1, steps):
            filled = before[1] + (value - before[1]) * step / steps
            result[-1].append((before[0] + step, filled))
        result[-1].append((second, value))
    return result


def recorded(channels: list[Readings]) -> set[int]:
    """The seconds in segments of any channel."""
    return {
        second
        for readings in channels
        for segment in timed_segments(readings)
        for second, _ in segment
    }


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


def held(readings: Readings, least: float) -> list[tuple[float, float]]:
    """Each measured value with the seconds to the next one: up to the fill limit, or ``least``."""
    known = [(time, value) for time, value in readings if value is not None]
    steps = [(b - a) / 1000 for (a, _), (b, _) in pairwise(known)]
    limit = max(fill_limit(steps), least)
    return [(value, min(step, limit)) for (_, value), step in zip(known, [*steps, 1], strict=False)]


def energy(readings: Readings) -> float | None:
    """Kilojoules: each reading of power holds until the next, at most for the fill limit."""
    pairs = held(readings, 0)
    return sum(power * step for power, step in pairs) / 1000 if pairs else None


def average_heartrate(readings: Readings) -> float | None:
    """Each beat weighs as long as it holds, fifteen seconds at most where readings are dense."""
    pairs = held(readings, 15)
    weight = sum(step for _, step in pairs)
    return sum(rate * step for rate, step in pairs) / weight if pairs else None


def gaps(channels: list[Readings]) -> list[tuple[int, int]]:
    """The samples around seconds that no channel recorded; all channels have all timestamps."""
    known = recorded([*channels, [(time, 0.0) for time, _ in channels[0]]])
    found = []
    for (before, _), (after, _) in pairwise(channels[0]):
        between = range(math.floor(before / 1000 + 0.5), math.floor(after / 1000 + 0.5))
        if any(second not in known for second in between):
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


def elapsed(readings: Readings, first: int, last: int) -> list[float]:
    """The value of each second from the first to the last, zero where nothing was recorded."""
    known = {second: value for part in timed_segments(readings) for second, value in part}
    return [known.get(second, 0.0) for second in range(first, last + 1)]


def bests(parts: list[list[float]], durations: list[int]) -> dict[int, float]:
    """The highest mean of every window of every part, each summed anew."""
    found = {}
    for duration in durations:
        means = [
            sum(part[start : start + duration]) / duration
            for part in parts
            for start in range(len(part) - duration + 1)
        ]
        if means:
            found[duration] = max(means)
    return found


def lowest_w_prime(watts: list[float], critical_power: float, w_prime: float) -> float:
    """Second by second of the clock: spent above critical power, recovered below it."""
    left = lowest = w_prime
    for power in watts:
        if power > critical_power:
            left -= power - critical_power
        else:
            left += (critical_power - power) * (w_prime - left) / w_prime
        lowest = min(lowest, left)
    return lowest


def x_power(readings: Readings) -> float | None:
    """Skiba's weighting, point by point at a second each, as GoldenCheetah does it.

    From zero; in a gap it decays second by second while more than a tenth of a watt is left, and
    those seconds count.
    """
    level, last, powers = 0.0, None, []
    for segment in timed_segments(readings):
        for second, power in segment:
            while last is not None and level > 0.1 and second > last + 1:
                level *= 25 / 26
                last += 1
                powers.append(level**4)
            level = level * 25 / 26 + power / 26
            last = second
            powers.append(level**4)
    return (sum(powers) / len(powers)) ** 0.25 if powers else None


def decoupling(power: list[float], beats: list[float]) -> float | None:
    """Percent that power per beat falls from the first half of the seconds to the second."""
    half = len(power) // 2
    if not half or not sum(power[:half]):
        return None
    rates = []
    for part in (slice(None, half), slice(half, None)):
        watts, rate = power[part], beats[part]
        rates.append((sum(watts) / len(watts)) / (sum(rate) / len(rate)))
    return (rates[0] - rates[1]) / rates[0] * 100


def climbs(parts: list[list[float]]) -> tuple[float, float]:
    """Smoothed over ten seconds; a way ends where 2 m the other way follow it."""
    heights = []
    for part in parts:
        for at in range(len(part)):
            around = part[max(at - 4, 0) : at + 6]
            heights.append(sum(around) / len(around))
    ways, sign, start, best = {1: 0.0, -1: 0.0}, 0, heights[0], heights[0]
    for at, height in enumerate(heights):
        low, high = min(heights[: at + 1]), max(heights[: at + 1])
        if not sign and high - low >= _TURN:
            sign, best = (1, height) if height == high else (-1, height)
            start = low if sign > 0 else high
        elif sign * (height - best) > 0:
            best = height
        elif sign and sign * (best - height) >= _TURN:
            ways[sign] += abs(best - start)
            start, best, sign = best, height, -sign
    if sign:
        ways[sign] += abs(best - start)
    return ways[1], ways[-1]


def zone_times(values: list[float], threshold: float, bounds: tuple[float, ...]) -> list[int]:
    """How many values lie in each zone, its upper bound included."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        zone = 0
        while zone < len(bounds) and value > bounds[zone] * threshold:
            zone += 1
        counts[zone] += 1
    return counts
