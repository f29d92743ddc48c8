"""Fitness, fatigue and form as pages show them."""

from collections.abc import Sequence
from typing import Any, Final

from api.pages.figures import ShownFigure
from api.pages.formats import Formats
from api.season.totals import FATIGUE_DAYS, FITNESS_DAYS, FitnessDay

_DEFINITIONS: Final = (
    ("Fitness", f"CTL: the TSS of a day, averaged over about {FITNESS_DAYS} days."),
    ("Fatigue", f"ATL: the TSS of a day, averaged over about {FATIGUE_DAYS} days."),
    ("Form", "TSB: fitness minus fatigue, as they were on the evening before."),
)
# What form means to most riders, by Friel: above each bound, as words.
_WORDS: Final = (
    (25, "rested, and losing fitness"),
    (5, "fresh, good for a race"),
    (-10, "in balance"),
    (-30, "building fitness"),
)
_TIRED: Final = "very tired: rest soon"
_FEWEST: Final = 8  # days of a chart
_SEEN: Final = 1  # of fitness: what is left of it after half a year is none
_NEEDS: Final = "It needs rides with TSS: power, and an FTP that held on the day."


def form_figures(days: Sequence[FitnessDay], formats: Formats) -> list[ShownFigure]:
    """The three figures of the last day; without any, what they need."""
    last = days[-1] if days else None
    values = (last.ctl, last.atl, last.tsb) if last else (None, None, None)
    return [
        _figure(name, value, definition, formats)
        for (name, definition), value in zip(_DEFINITIONS, values, strict=True)
    ]


def _figure(name: str, value: float | None, definition: str, formats: Formats) -> ShownFigure:
    needs = _NEEDS if value is None else None
    return ShownFigure(name.lower(), name, formats.number(value), "", definition, needs=needs)


def word_for(form: float) -> str:
    """How most riders feel at a form."""
    return next((word for bound, word in _WORDS if form > bound), _TIRED)


def fitness_data(days: Sequence[FitnessDay]) -> dict[str, list[Any]]:
    """What `fitness.js` draws: columns by day, from the one before the first ride on.

    A week at least; nothing where there is no fitness at all.
    """
    days = _from_first_ride(days)
    return {
        "dates": [str(day.date) for day in days],
        "stress": [day.training_stress_score for day in days],
        "fitness": [day.ctl for day in days],
        "fatigue": [day.atl for day in days],
        "form": [day.tsb for day in days],
    }


def _from_first_ride(days: Sequence[FitnessDay]) -> Sequence[FitnessDay]:
    """Before it there would be a long line at zero."""
    ridden = (at for at, day in enumerate(days) if day.ctl >= _SEEN or day.training_stress_score)
    first = next(ridden, None)
    return [] if first is None else days[max(min(first - 1, len(days) - _FEWEST), 0) :]
