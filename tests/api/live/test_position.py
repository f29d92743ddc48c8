"""What an id says of how far a viewer has got."""

from typing import Any

import numpy as np
import pytest

from api.live.position import START, Position

T = 1_700_000_000_000


def times(*seconds: int) -> Any:
    return np.array([T + 1000 * each for each in seconds], np.int64)


@pytest.mark.parametrize(
    "position",
    [
        Position("1700000000000-3", T, 60),
        Position("1700000000000-3", T, None),
        Position(START, None, 0),
    ],
    ids=str,
)
def test_an_id_is_read_back_as_it_was_written(position: Position) -> None:
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text",
    [
        *("", "end", "1-2", "1-2.3", "x-1.2.3", "1-2.3.4.5", "1-2.3.4\n"),
        *(f"{10**20 - 1}-0.1.1", f"1-{10**20 - 1}.1.1", f"1-0.{10**19 - 1}.1"),
    ],
)
def test_what_is_no_id_is_the_beginning(text: str) -> None:
    assert Position.parse(text) == Position(START, None, None)


@pytest.mark.parametrize(
    "text", [f"{2**64}-0.1.1", f"1-{'9' * 20}.1.1", f"1-2.{'9' * 19}.1", f"1-2.{2**53 + 1}.1"]
)
def test_what_no_entry_or_sample_can_have_is_the_beginning(text: str) -> None:
    """Redis would refuse such an entry each time that the viewer comes again."""
    assert Position.parse(text) == Position(START, None, None)


def test_the_last_entry_that_there_can_be_is_one() -> None:
    last = Position(f"{2**64 - 1}-{2**64 - 1}", 2**53, 1)
    assert Position.parse(str(last)) == last


def test_a_count_goes_on_while_samples_come_in_order() -> None:
    seen = Position.after_all("1-0", times(0, 1, 2)).after("2-0", times(4, 3, 3))
    assert seen == Position("2-0", T + 4000, 5)


def test_a_count_is_not_known_after_samples_that_may_have_been_there() -> None:
    seen = Position.after_all("1-0", times(0, 1, 2)).after("2-0", times(2, 3))
    assert seen == Position("2-0", T + 3000, None)


def test_later_samples_are_new_where_none_came_late() -> None:
    seen = Position.after_all("1-0", times(0, 1, 4))
    assert seen.first_unseen(times(0, 1, 4, 5)) == T + 4001
    assert seen.first_unseen(times(0, 1, 3, 4, 5)) is None
    assert seen.first_unseen(times(0, 4)) is None  # the rider has removed one


def test_entries_are_in_the_order_of_their_numbers() -> None:
    seen = Position("9-10", None, None)
    assert seen.is_before(b"10-0")
    assert seen.is_before(b"9-11")
    assert not seen.is_before(b"9-10")
    assert not seen.is_before(b"9-9")
