"""Works out expressions of PromQL over scrapes, as far as our alerts and dashboard need it.

Prometheus itself is no package of Python; its grammar is (promql_parser), and what expressions give
is worked out here: selectors with offsets, rates without extrapolation, aggregations, comparisons,
and and or.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import promql_parser
from promql_parser import MatchOp

from tests.shared.monitoring.scraping import Reading

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Result = Vector | float
_AGGREGATIONS: Final[dict[str, Callable[[list[float]], float]]] = {
    "sum": sum,
    "max": max,
    "min": min,
}
_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else math.nan,
}
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}


@dataclass(frozen=True)
class Scrape:
    """What was read, at which second."""

    at: float
    readings: list[Reading]


class History:
    """Scrapes in order, as Prometheus would keep them."""

    def __init__(self, *scrapes: Scrape) -> None:
        self._scrapes = scrapes

    @property
    def newest(self) -> Scrape:
        return self._scrapes[-1]

    def held(self, expression: str, seconds: float) -> bool:
        """Whether it gave something at each scrape of the last so many seconds, all known."""
        begun = self.newest.at - seconds
        counts = [k for k, each in enumerate(self._scrapes, 1) if each.at >= begun]
        return self._scrapes[0].at <= begun and all(
            History(*self._scrapes[:count]).evaluate(expression) for count in counts
        )

    def evaluate(self, expression: str) -> Result:
        """What it gives at the time of the last scrape. Raises ValueError for what is no PromQL."""
        return self._of(promql_parser.parse(expression), self._scrapes[-1].at)

    def _of(self, node: Any, now: float) -> Result:
        evaluate: Callable[[Any, float], Result] = getattr(self, f"_{type(node).__name__}")
        return evaluate(node, now)

    def _NumberLiteral(self, node: Any, _: float) -> float:  # noqa: N802
        return float(node.val)

    def _ParenExpr(self, node: Any, now: float) -> Result:  # noqa: N802
        return self._of(node.expr, now)

    def _VectorSelector(self, node: Any, now: float) -> Vector:  # noqa: N802
        at = now - (node.offset.total_seconds() if node.offset else 0)
        return next((_select(node, each) for each in self._scrapes[::-1] if each.at <= at), {})

    def _Call(self, node: Any, now: float) -> Result:  # noqa: N802
        if node.func.name == "time":
            return now
        if node.func.name == "absent":
            return {} if self._of(node.args[0], now) else {frozenset(): 1.0}
        if node.func.name == "histogram_quantile":
            share, buckets = (self._of(each, now) for each in node.args)
            return _quantile(share, buckets)
        return self._gained(node.args[0], now, per_second=node.func.name == "rate")

    def _gained(self, node: Any, now: float, *, per_second: bool) -> Vector:
        span = node.range.total_seconds()
        first, *_, last = [each for each in self._scrapes if now - span <= each.at <= now]
        before, after = _select(node.vector_selector, first), _select(node.vector_selector, last)
        by = (last.at - first.at) if per_second else 1
        return {labels: (value - before.get(labels, 0)) / by for labels, value in after.items()}

    def _AggregateExpr(self, node: Any, now: float) -> Vector:  # noqa: N802
        found: Any = self._of(node.expr, now)
        if str(node.op) == "topk":
            ranked = sorted(found.items(), key=lambda item: -item[1])
            return dict(ranked[: int(node.param.val)])
        kept = set(node.modifier.labels) if node.modifier else set()
        groups: dict[Labels, list[float]] = {}
        for labels, value in found.items():
            group = frozenset(pair for pair in labels if pair[0] in kept)
            groups.setdefault(group, []).append(value)
        return {group: _AGGREGATIONS[str(node.op)](each) for group, each in groups.items()}

    def _BinaryExpr(self, node: Any, now: float) -> Result:  # noqa: N802
        left, right, sign = self._of(node.lhs, now), self._of(node.rhs, now), str(node.op)
        if sign in ("and", "or"):
            assert isinstance(left, dict)
            assert isinstance(right, dict)
            both = {labels: left[labels] for labels in left if labels in right}
            return both if sign == "and" else {**right, **left}
        pairs = _pairs(left, right)
        if sign in _COMPARISONS:
            return {on: a for on, a, b in pairs if _COMPARISONS[sign](a, b)}
        worked = {on: _ARITHMETIC[sign](a, b) for on, a, b in pairs}
        is_number = isinstance(left, float) and isinstance(right, float)
        return worked[frozenset()] if is_number else worked


def selectors_of(expression: str) -> list[Any]:
    """Every selector in it. Raises ValueError for what is no PromQL."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), partial(_collect, found))
    return found


def _collect(found: list[Any], node: Any) -> bool:
    if type(node).__name__ == "VectorSelector":
        found.append(node)
    return True


def _select(node: Any, scrape: Scrape) -> Vector:
    return {
        frozenset(each.labels.items()): each.value
        for each in scrape.readings
        if each.name == node.name and _matches(node, each)
    }


def _matches(node: Any, reading: Reading) -> bool:
    for matcher in node.matchers.matchers:
        value = reading.labels.get(matcher.name, "")
        if matcher.op == MatchOp.Equal and value != matcher.value:
            return False
        if matcher.op == MatchOp.Re and not value.startswith(matcher.value.rstrip(".")):
            return False
    return True


def _pairs(left: Result, right: Result) -> Iterable[tuple[Labels, float, float]]:
    if isinstance(left, float):
        if isinstance(right, float):
            return [(frozenset(), left, right)]
        return [(on, left, value) for on, value in right.items()]
    if isinstance(right, float):
        return [(on, value, right) for on, value in left.items()]
    return [(on, left[on], right[on]) for on in left if on in right]


def _quantile(share: Result, buckets: Result) -> Vector:
    """By the bound of the bucket that it is in, which is all that the tests need to know."""
    assert isinstance(share, float)
    assert isinstance(buckets, dict)
    bounds = sorted((float(dict(labels)["le"]), count) for labels, count in buckets.items())
    if not bounds or not bounds[-1][1]:
        return {}
    wanted = share * bounds[-1][1]
    return {frozenset(): next(bound for bound, count in bounds if count >= wanted)}
