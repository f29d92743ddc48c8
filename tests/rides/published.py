"""What others compute from the same samples, in plain loops after their published definitions.

GoldenCheetah's xPower, W′ balance, aerobic decoupling, mean-maximal power and critical power;
Skiba's integral W′ balance (Med Sci Sports Exerc 2012); TrainingPeaks' Pw:Hr. None of it shares
code with the worker or with the oracles of our own definitions.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

Point = tuple[int, float]  # a second, and the watts or beats of its sample
Sample = Mapping[str, float]
_SMART = 30  # seconds
_DOUBTFUL = 3600  # seconds: longer gaps are no part of a ride to GoldenCheetah's mean-maximal


def imported(samples: Iterable[Sample], channel: str) -> list[Point]:
    """The points of a ride as GoldenCheetah has them after import; (second, value) in order.

    A point a second; what a sample lacks is 0. Seconds missing between samples up to 30 s apart
    lie on a line, as its setting for smart recording has it unless it is switched off.
    """
    found: dict[int, float] = {}
    for sample in sorted(samples, key=lambda each: each["timestamp"]):
        second = math.floor(sample["timestamp"] / 1000 + 0.5)
        if channel in sample or second not in found:
            found[second] = sample.get(channel, 0.0)
    points = list(found.items())[:1]
    for (before, low), (after, high) in pairwise(found.items()):
        steps = after - before if after - before <= _SMART else 1
        points += [(after - steps + n, low + (high - low) * n / steps) for n in range(1, steps + 1)]
    return points


def x_power(points: Sequence[Point]) -> float:
    """Skiba's weighted mean: 25 s, from zero; in a gap it decays while it is over 0.1 W."""
    level, powers = 0.0, []
    before = points[0][0] - 1
    for second, watts in points:
        while level > 0.1 and before + 1 < second:
            level -= level / 26
            before += 1
            powers.append(level**4)
        level += (watts - level) / 26
        before = second
        powers.append(level**4)
    return math.pow(sum(powers) / len(powers), 0.25)


def clock(points: Sequence[Point]) -> list[float]:
    """Watts of every second, 0 in gaps; the last missing second lies between its neighbours."""
    watts = [points[0][1]]
    for (before, _), (after, power) in pairwise(points):
        missing = after - before - 1
        if missing > 0:
            watts += [0.0] * (missing - 1)
            watts.append((watts[-1] + power) / 2)
        watts.append(power)
    return watts


def w_prime_differential(watts: Sequence[float], cp: float, w_prime: float) -> float:
    """The lowest balance in joules, by Froncioni and Clarke, in whole watts."""
    left = lowest = w_prime
    for power in map(int, watts):
        rate = 1.0 if power >= cp else (w_prime - left) / w_prime
        left += (cp - power) * rate
        lowest = min(lowest, left)
    return lowest


def w_prime_integral(watts: Sequence[float], cp: float, w_prime: float) -> float:
    """The lowest balance in joules, by Skiba: what is spent comes back with a time constant.

    Of 546·e^(−0.01·D) + 316 s, D being how far the mean of the power below CP is below it.
    """
    below = [power for power in watts if power < cp]
    deficit = cp - sum(below) / len(below) if below else cp
    kept = math.exp(-1 / (546 * math.exp(-0.01 * deficit) + 316))
    spent = most = 0.0
    for power in watts:
        spent = spent * kept + max(power - cp, 0.0)
        most = max(most, spent)
    return w_prime - most


def decoupling(power: Sequence[Point], beats: Sequence[Point]) -> float | None:
    """Percent, of the halves of all points; those without a heartbeat count for nothing.

    None if a half has none.
    """
    half = (len(power) - 1) // 2
    ratios = []
    for part in (slice(None, half), slice(half, None)):
        pairs = [(w, b) for (_, w), (_, b) in zip(power[part], beats[part], strict=True) if b > 0]
        if not pairs:
            return None
        ratios.append(sum(watts for watts, _ in pairs) / sum(rate for _, rate in pairs))
    return (ratios[0] - ratios[1]) / ratios[0] * 100


def pw_hr(power: Sequence[Point], beats: Sequence[Point]) -> float | None:
    """As ``decoupling``, but with normalized power, as TrainingPeaks has it."""
    half = (len(power) - 1) // 2
    ratios = []
    for part in (slice(None, half), slice(half, None)):
        rates = [rate for _, rate in beats[part] if rate > 0]
        if not rates:
            return None
        mean = sum(rates) / len(rates)
        ratios.append(_normalized([watts for _, watts in power[part]]) / mean)
    return (ratios[0] - ratios[1]) / ratios[0] * 100


def _normalized(watts: Sequence[float]) -> float:
    means = [sum(watts[at - 30 : at]) / 30 for at in range(30, len(watts) + 1)]
    return math.pow(sum(mean**4 for mean in means) / len(means), 0.25)


def elapsed(points: Sequence[Point]) -> list[float]:
    """Watts of every second, 0 in all that are missing, but one second for gaps over an hour."""
    watts = [points[0][1]]
    for (before, _), (after, power) in pairwise(points):
        missing = after - before - 1
        watts += [0.0] * (missing if missing <= _DOUBTFUL else 1)
        watts.append(power)
    return watts


def mean_maximal(watts: Sequence[float], seconds: int) -> float | None:
    """The highest mean of so many seconds, window by window."""
    if seconds > len(watts):
        return None
    total = best = math.fsum(watts[:seconds])
    for at in range(seconds, len(watts)):
        total += watts[at] - watts[at - seconds]
        best = max(best, total)
    return best / seconds


def regression(bests: Mapping[int, float]) -> tuple[float, float]:
    """Critical power and W′ by the line of work over time through all bests of 2 to 20 minutes."""
    points = [(t, t * watts) for t, watts in bests.items() if 120 < t <= 1200]
    time = sum(t for t, _ in points) / len(points)
    work = sum(joules for _, joules in points) / len(points)
    slope = sum((t - time) * (joules - work) for t, joules in points)
    slope /= sum((t - time) ** 2 for t, _ in points)
    return slope, work - slope * time


def envelope(bests: Mapping[int, float]) -> tuple[float, float]:
    """The lowest curve CP + W′/t over the bests: it touches one of 120–200 s and one of 720–1200 s.

    In turns, until neither moves: the CP that the long bests need with this W′/CP, and the W′/CP
    that the short ones need with this CP.
    """
    ratio, former = 60.0, 0.0
    while abs(ratio - former) > 0.001:
        former = ratio
        cp = max(bests[t] / (1 + ratio / t) for t in bests if 720 <= t <= 1200)
        ratio = max(30.0, *((bests[t] / cp - 1) * t for t in bests if 120 <= t <= 200))
    return cp, cp * ratio


def all_bests(watts: Sequence[float], step: int = 10) -> dict[int, float]:
    """The mean-maximal power of 2 to 20 minutes."""
    found = {t: mean_maximal(watts, t) for t in range(120, 1201, step)}
    return {t: value for t, value in found.items() if value is not None}
