"""Figures as people read them."""

import pytest

from api.pages.formats import Formats


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (226.5, 0, "227"),  # as the browser and the API round
        (227.5, 0, "228"),
        (1.005, 2, "1.01"),
        (-0.4, 0, "0"),
        (-12.5, 0, "−13"),
        (1_234_567.25, 1, "1\u2009234\u2009567.3"),
        (None, 1, "–"),
        (0, 1, "0.0"),
    ],
)
def test_a_number_is_rounded_as_taught_at_school(
    value: float | None, digits: int, shown: str
) -> None:
    assert Formats().number(value, digits) == shown


@pytest.mark.parametrize(
    ("language", "shown"),
    [("de", "1\u2009234,5"), ("de-ch", "1\u2009234.5"), ("en", "1\u2009234.5")],
)
def test_the_decimal_mark_is_that_of_the_language(language: str, shown: str) -> None:
    assert Formats(language).number(1234.5, 1) == shown
