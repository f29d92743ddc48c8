from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec import Struct

from api.web.problems import Unprocessable
from api.web.query import (
    LONGEST_WAIT,
    is_lenient,
    preferences,
    read_moment,
    read_query,
    time_zone_of,
    wait_of,
)
from api.web.state import Request


def request(prefer: Sequence[str] = (), query: str = "") -> Request[Any]:
    headers = [(b"prefer", header.encode()) for header in prefer]
    return Request(
        {"type": "http", "headers": headers, "query_string": query.encode(), "path": "/"}
    )


def test_preferences_come_from_every_header_and_the_first_wins() -> None:
    asked = request(['Wait = "5" ; x=y, respond-async', "handling=lenient, wait=9"])
    assert preferences(asked) == {"wait": "5", "respond-async": "", "handling": "lenient"}


@pytest.mark.parametrize("header", ["handling=lenient", "Handling=LENIENT", 'handling="lenient"'])
def test_handling_may_be_lenient(header: str) -> None:
    assert is_lenient(request([header]))


@pytest.mark.parametrize("header", ["handling=strict", "lenient", "handling", ""])
def test_handling_is_strict_by_default(header: str) -> None:
    assert not is_lenient(request([header]))


@pytest.mark.parametrize(
    ("prefer", "query", "seconds"),
    [
        ([], "", 0),
        (["wait=5"], "", 5),
        ([], "wait=0.5", 0.5),
        (["wait=5"], "wait=7", 7),
        (["wait=9999"], "", LONGEST_WAIT),
        ([], "wait=inf", LONGEST_WAIT),
        (["wait=abc"], "", 0),
        (["wait=-3"], "", 0),
    ],
)
def test_a_wait_is_some_seconds_within_bounds(
    prefer: list[str], query: str, seconds: float
) -> None:
    assert wait_of(request(prefer, query)) == seconds


@pytest.mark.parametrize("query", ["wait=abc", "wait=1s", "wait=-3", "wait=nan"])
def test_a_wait_that_is_no_number_is_unprocessable(query: str) -> None:
    with pytest.raises(Unprocessable, match=r"^wait: "):
        wait_of(request(query=query))


def test_a_time_zone_is_one_of_the_iana_database() -> None:
    assert time_zone_of("Europe/Zurich", "timeZone") == "Europe/Zurich"


@pytest.mark.parametrize("text", ["", "Europe", "Mars/Base", "../UTC", "localtime", "+02:00"])
def test_any_other_time_zone_is_unprocessable_and_named(text: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        time_zone_of(text, "timeZone")
    assert caught.value.errors[0].member == "timeZone"


TWO_HOURS = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1700000000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("-1000", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2023-11-14T22:13:20Z", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14T22:13:20+02:00", datetime(2023, 11, 14, 22, 13, 20, tzinfo=TWO_HOURS)),
        ("2023-11-14", datetime(2023, 11, 14)),
        ("2023-11-14T22:13", datetime(2023, 11, 14, 22, 13)),
    ],
)
def test_a_moment_is_milliseconds_rfc_3339_or_a_date(text: str, moment: datetime) -> None:
    """Only what names its time zone has one."""
    assert read_moment(text, "from") == moment


def test_no_moment_is_none() -> None:
    assert read_moment(None, "from") is None


@pytest.mark.parametrize("text", ["", "now", "1e3", "²", "--1", "9" * 20, "9" * 5000, "22:13"])
def test_any_other_moment_is_unprocessable_and_named(text: str) -> None:
    with pytest.raises(Unprocessable, match=r"^from="):
        read_moment(text, "from")


class Asked(Struct, rename="camel"):
    most_watts: int | None = None
    words: str | None = None


@pytest.mark.parametrize("text", ["null", "NULL"])
def test_null_is_no_number_that_was_left_out_and_a_word_like_any_other(text: str) -> None:
    with pytest.raises(Unprocessable, match=f"mostWatts='{text}' is no value"):
        read_query(request(query=f"mostWatts={text}"), Asked)
    assert read_query(request(query=f"words={text}"), Asked) == Asked(words=text)
