"""The moments that dates and times without an offset stand for."""

from datetime import UTC, datetime

import pytest

from api.identity.local_days import in_zone


@pytest.mark.parametrize(
    ("local", "zone", "moment"),
    [
        ("2026-06-01", "Australia/Brisbane", "2026-05-31T14:00Z"),
        ("2026-06-01T06:30", "Asia/Kolkata", "2026-06-01T01:00Z"),
        ("2026-03-29", "Europe/Zurich", "2026-03-28T23:00Z"),  # a day of 23 hours
        ("2026-03-30", "Europe/Zurich", "2026-03-29T22:00Z"),
        ("2026-10-25", "Europe/Zurich", "2026-10-24T22:00Z"),  # one of 25
        ("2026-10-26", "Europe/Zurich", "2026-10-25T23:00Z"),
        ("2026-10-25T02:30", "Europe/Zurich", "2026-10-25T00:30Z"),  # comes twice: the first
        ("2026-03-29T02:30", "Europe/Zurich", "2026-03-29T01:30Z"),  # never comes: half an hour on
        ("2023-04-28", "Africa/Cairo", "2023-04-27T22:00Z"),  # begins at one o'clock
        ("2023-11-05", "America/Havana", "2023-11-05T04:00Z"),  # its midnight comes twice
    ],
)
def test_a_local_time_is_that_of_the_zone(local: str, zone: str, moment: str) -> None:
    given = in_zone(datetime.fromisoformat(local), zone)
    assert given
    assert given.astimezone(UTC) == datetime.fromisoformat(moment)


def test_a_time_with_an_offset_is_that_moment() -> None:
    moment = datetime(2026, 6, 1, tzinfo=UTC)
    assert in_zone(moment, "Australia/Brisbane") is moment
    assert in_zone(None, "Australia/Brisbane") is None
