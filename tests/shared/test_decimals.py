import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decimals import from_whole, to_whole

finite = st.lists(st.floats(allow_nan=False, allow_infinity=False))


@given(finite, st.integers(0, 7))
def test_whole_numbers_give_the_same_floats_back_or_are_refused(
    values: list[float], decimals: int
) -> None:
    whole = to_whole(np.array(values, np.float64), decimals)
    if whole is not None:
        assert from_whole(whole, decimals).tobytes() == np.array(values, np.float64).tobytes()


@given(st.lists(st.integers(-(10**9), 10**9)), st.integers(0, 7))
def test_decimals_are_held_as_whole_numbers(digits: list[int], decimals: int) -> None:
    values = np.array([whole / 10**decimals for whole in digits], np.float64)
    whole = to_whole(values, decimals)
    assert whole is not None
    assert whole.tolist() == digits


def test_metres_per_second_become_millimetres() -> None:
    whole = to_whole(np.array([8.186, 0.0, 12.5]), 3)
    assert whole is not None
    assert whole.tolist() == [8186, 0, 12500]


@pytest.mark.parametrize("value", [0.05, 1e300, 2.0**53, -0.0, 1 / 3])
def test_a_value_that_would_change_is_refused(value: float) -> None:
    assert to_whole(np.array([1.5, value]), 1) is None
