"""What a file tells, in the terms of a workout."""

import pytest

from shared.files.recording import Recording
from tests.worker.readings import steady
from worker.files.telling import told_by


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("A\0B\x1b[2J\x7f\u202eC", "AB[2JC"),  # what moves cursors, or turns text around
        ("  Morning\r\n\tride\xa0home ", "Morning ride home"),  # in one line
        ("half of a character: \ud83d", "half of a character:"),
        ("x" * 1_000_000, "x" * 200),
        ("\0", "Ride"),
    ],
)
def test_a_title_is_one_line_of_what_people_see(title: str, shown: str) -> None:
    assert told_by(Recording(steady(1, power=1), title=title), "en").title == shown


def test_a_description_keeps_its_lines_within_bounds() -> None:
    told = told_by(Recording(steady(1, power=1), description="a\nb\0" + "c" * 20_000), "en")
    assert told.description == ("a\nb" + "c" * 20_000)[:10_000]
