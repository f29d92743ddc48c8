import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.samples.decimals import from_whole, to_whole

finite = st.lists(st.floats(allow_nan=False, allow_infinity=False))


@given(finite, finite, st.integers(0, 7))
def test_whole_numbers_give_the_same_floats_back_or_are_refused(
    one: list[float], other: list[float], decimals: int
) -> None:
    length = min(len(one), len(other))
    rows = np.array([one[:length], other[:length]], np.float64)
    whole, exact = to_whole(rows, decimals)
    for row, numbers, same in zip(rows, whole, exact, strict=True):
        assert (from_whole(numbers, decimals).tobytes() == row.tobytes()) or not same


@given(st.lists(st.integers(-(10**9), 10**9)), st.integers(0, 7))
def test_decimals_are_held_as_whole_numbers(digits: list[int], decimals: int) -> None:
    values = np.array([[whole / 10**decimals for whole in digits]], np.float64)
    whole, exact = to_whole(values, decimals)
    assert exact == [True]
    assert whole[0].tolist() == digits


def test_each_row_has_its_own_decimals() -> None:
    rows = np.array([[8.186, 0.0, 12.5], [210.0, 0.0, 90.5]])
    whole, exact = to_whole(rows, np.array([[3], [1]]))
    assert exact == [True, True]
    assert whole.tolist() == [[8186, 0, 12500], [2100, 0, 905]]


@pytest.mark.parametrize("value", [0.05, 1e300, 2.0**53, -0.0, 1 / 3])
def test_a_value_that_would_change_is_refused_and_no_other_row(value: float) -> None:
    whole, exact = to_whole(np.array([[1.5, value], [1.5, 2.5]]), 1)
    assert exact == [False, True]
    assert whole[1].tolist() == [15, 25]
