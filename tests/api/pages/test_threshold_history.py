"""How the FTP went, as the account draws it. Without a browser."""

from datetime import date

from api.pages.account import Step, history_of
from api.pages.formats import Formats
from api.season.store import Thresholds

TODAY = date(2026, 4, 11)


def test_an_ftp_holds_until_the_next_one_and_the_last_until_today() -> None:
    """1 January to 11 April are 100 days."""
    given = [
        Thresholds("cycling", date(2026, 3, 2), ftp=260),
        Thresholds("running", date(2026, 2, 10), ftp=400),
        Thresholds("cycling", date(2026, 1, 21), ftp=245),
        Thresholds("cycling", date(2026, 1, 1), ftp=240),
    ]
    assert history_of(given, TODAY, Formats()) == [
        Step("240", date(2026, 1, 1), 0, 20, 0),
        Step("245", date(2026, 1, 21), 20, 60, 25),
        Step("260", date(2026, 3, 2), 60, 100, 100),
    ]


def test_one_that_never_changed_is_not_drawn() -> None:
    same = [Thresholds("cycling", date(2026, month, 1), ftp=250) for month in (3, 1)]
    assert history_of(same, TODAY, Formats()) == []
    assert history_of([], TODAY, Formats()) == []
