"""Which dates of a season are looked at. Without a browser."""

from datetime import date, timedelta

import pytest

from api.pages.form import fitness_data, word_for
from api.pages.formats import Formats
from api.pages.season_dates import Span, Spans, beside_of, spans_of
from api.season.totals import FitnessDay
from api.web.problems import Unprocessable

TODAY = date(2026, 11, 28)
TOMORROW = date(2026, 11, 29)
NO_DAYS = (None, None)


def test_ninety_days_end_today_and_are_compared_with_the_year_before() -> None:
    assert spans_of("90-days", "year-before", NO_DAYS, NO_DAYS, TODAY) == Spans(
        (date(2026, 8, 31), TOMORROW), (date(2025, 8, 31), date(2025, 11, 29))
    )


def test_a_year_begins_in_january() -> None:
    assert spans_of("this-year", "last-year", NO_DAYS, NO_DAYS, TODAY) == Spans(
        (date(2026, 1, 1), TOMORROW), (date(2025, 1, 1), date(2026, 1, 1))
    )


def test_days_of_one_s_own_choice_include_the_last() -> None:
    spans = spans_of("days", "all", (date(2026, 5, 1), date(2026, 5, 31)), NO_DAYS, TODAY)
    assert spans.chosen == (date(2026, 5, 1), date(2026, 6, 1))


def test_any_days_are_compared_with_any_others() -> None:
    may, june = (date(2026, 5, 1), date(2026, 5, 31)), (date(2025, 6, 1), None)
    assert spans_of("days", "days", may, june, TODAY) == Spans(
        (date(2026, 5, 1), date(2026, 6, 1)), (date(2025, 6, 1), TOMORROW)
    )


def test_there_is_no_year_before_the_first_there_may_be() -> None:
    assert spans_of("all", "year-before", NO_DAYS, NO_DAYS, TODAY).other[0] == date(2000, 1, 1)


@pytest.mark.parametrize(
    ("dates", "wanted", "beside"),
    [
        ("all", "year-before", "365-days"),
        ("last-year", "last-year", "year-before"),
        ("365-days", "all", "all"),
        ("days", "days", "days"),
    ],
)
def test_dates_are_compared_with_others(dates: Span, wanted: Span, beside: Span) -> None:
    assert beside_of(dates, wanted) == beside


def test_days_that_end_before_they_begin_are_refused() -> None:
    with pytest.raises(Unprocessable, match="first must not be after last"):
        spans_of("days", "all", (date(2026, 5, 2), date(2026, 5, 1)), NO_DAYS, TODAY)


@pytest.mark.parametrize(
    ("form", "word"),
    [(26, "rested, and losing fitness"), (0, "in balance"), (-31, "very tired: rest soon")],
)
def test_form_is_said_in_words(form: float, word: str) -> None:
    assert word_for(form) == word


def test_fitness_begins_with_the_first_ride_and_has_a_week_at_least() -> None:
    def day(at: int, stress: float | None, ctl: float) -> FitnessDay:
        return FitnessDay(TODAY + timedelta(days=at), stress, ctl, ctl, 0)

    rest = [day(at, None, 0.4) for at in range(-20, -10)]
    ridden = [day(-10, 50, 1.2), *(day(at, None, 1) for at in range(-9, 1))]
    assert fitness_data([*rest, *ridden])["dates"][0] == "2026-11-17"  # the day before
    assert len(fitness_data([*rest, day(0, 50, 1.2)])["dates"]) == 8
    assert fitness_data(rest)["dates"] == []


def test_numbers_have_the_decimal_mark_of_the_language() -> None:
    assert Formats("de").number(1234.5, 1) == "1\u2009234,5"
    assert Formats("de-ch").number(1234.5, 1) == "1\u2009234.5"
    assert Formats("de").distance(1_234_500) == ("1\u2009234,5", "km")


def test_hours_are_written_without_seconds() -> None:
    assert [Formats.hours(each) for each in (0, 1500, 39_450, None)] == [
        "0:00",
        "0:25",
        "10:58",
        "–",
    ]
