import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.critical_power import Effort, fit_critical_power

DAY = 86_400


def on_days(watts: dict[int, float]) -> list[Effort]:
    """Durations in minutes and their power, each on a day of its own."""
    return [
        Effort(60 * minutes, power, DAY * day) for day, (minutes, power) in enumerate(watts.items())
    ]


def of_rider(cp: float, w_prime: float, *minutes: int) -> list[Effort]:
    return on_days({each: cp + w_prime / (60 * each) for each in minutes})


def test_three_maximal_efforts_give_critical_power_and_w_prime() -> None:
    # 3 min at 380 W, 6 at 320 and 12 at 290: 260 W, and 21.6 kJ above it.
    fit = fit_critical_power(on_days({3: 380, 6: 320, 12: 290}))
    assert (fit.critical_power, fit.w_prime, fit.r2) == pytest.approx((260, 21_600, 1))
    assert fit.reason is None


def test_one_hard_effort_and_an_easy_ride_are_no_maximum() -> None:
    # The line through all of them has a critical power of -8 W.
    hard = [Effort(60 * minutes, 600.0, 0) for minutes in (2, 3)]
    easy = [Effort(60 * minutes, 200.0, DAY) for minutes in (5, 8, 10, 12, 15, 20)]
    fit = fit_critical_power([*hard, *easy])
    assert fit.critical_power is fit.w_prime is fit.r2 is None
    assert fit.reason is not None
    assert "it takes 3" in fit.reason


def test_two_hard_efforts_and_an_easy_ride_are_no_line() -> None:
    fit = fit_critical_power(on_days({2: 610, 3: 600, 20: 200}))
    assert fit.critical_power is None
    assert fit.reason is not None
    assert "line" in fit.reason


def test_the_bests_of_one_steady_ride_are_parts_of_one_another() -> None:
    steady = [Effort(60 * minutes, 200.0, 0) for minutes in (2, 3, 5, 8, 10, 12, 15, 20)]
    fit = fit_critical_power(steady)
    assert fit.critical_power is None
    assert fit.reason is not None
    assert fit.reason.startswith("it takes 3 maximal efforts from 2 to 20 minutes")
    assert fit.reason.endswith("here are 1")


def test_steady_rides_of_several_days_are_no_maximum_either() -> None:
    fit = fit_critical_power(on_days({2: 200.4, 3: 200.3, 5: 200.2, 12: 200.1, 20: 200}))
    assert fit.critical_power is None
    assert fit.reason is not None
    assert "not maximal" in fit.reason


def test_the_longest_effort_takes_three_times_the_shortest() -> None:
    assert fit_critical_power(of_rider(260, 20_000, 3, 5, 8)).critical_power is None
    fit = fit_critical_power(of_rider(260, 20_000, 3, 5, 9))
    assert fit.critical_power == pytest.approx(260)


def test_an_easy_effort_between_maximal_ones_is_left_out() -> None:
    efforts = of_rider(260, 20_000, 3, 6, 20)
    easy = Effort(600, 220, 10 * DAY)
    fit = fit_critical_power([*efforts, easy])
    assert fit.critical_power == pytest.approx(260)
    assert easy not in fit.efforts


def test_parts_of_a_longer_effort_are_left_out() -> None:
    efforts = of_rider(260, 20_000, 3, 6, 20)
    part = Effort(300, efforts[2].power * 1.02, efforts[2].started + 100)
    fit = fit_critical_power([*efforts, part])
    assert fit.efforts == tuple(efforts)


def test_the_best_two_minutes_of_three_all_out_are_no_maximum() -> None:
    # 3 min at 361 W, 8 at 292 and 20 at 267, as 250 W and 20 kJ have it: of the first, every ride
    # has a best of 2 minutes too, with 6.7 kJ less than two minutes all out.
    efforts = of_rider(250, 20_000, 3, 8, 20)
    part = Effort(120, efforts[0].power, efforts[0].started)
    fit = fit_critical_power([part, *efforts])
    assert fit.efforts == tuple(efforts)
    assert (fit.critical_power, fit.w_prime) == pytest.approx((250, 20_000))


def test_parts_do_not_make_the_spread_of_efforts_wider() -> None:
    efforts = of_rider(250, 20_000, 3, 5, 8)
    parts = [Effort(120, each.power, each.started) for each in efforts]
    fit = fit_critical_power([*parts, *efforts])
    assert fit.critical_power is None
    assert fit.reason is not None
    assert "3 times" in fit.reason


def test_efforts_of_less_than_two_minutes_or_more_than_twenty_are_not_asked() -> None:
    others = [Effort(60, 900, 50 * DAY), Effort(3600, 250, 60 * DAY)]
    fit = fit_critical_power([*of_rider(260, 20_000, 3, 6, 20), *others])
    assert fit.critical_power == pytest.approx(260)


def test_no_efforts_give_nothing_but_the_reason() -> None:
    fit = fit_critical_power([])
    assert fit.efforts == ()
    assert fit.reason is not None


@given(st.floats(100, 400), st.floats(5_000, 40_000), st.lists(st.integers(2, 20), unique=True))
def test_who_rides_by_the_model_gets_its_figures(
    cp: float, w_prime: float, minutes: list[int]
) -> None:
    fit = fit_critical_power(of_rider(cp, w_prime, *minutes))
    if len(minutes) >= 3 and max(minutes) >= 3 * min(minutes) and len(minutes) <= 12:
        assert fit.critical_power == pytest.approx(cp)
        assert fit.w_prime == pytest.approx(w_prime, rel=1e-3)
    else:
        assert fit.critical_power is None or len(minutes) > 12


@given(st.lists(st.builds(Effort, st.integers(120, 1200), st.floats(1, 800), st.floats(0, 1e6))))
def test_a_fit_is_never_impossible(efforts: list[Effort]) -> None:
    fit = fit_critical_power(efforts)
    if fit.critical_power is None:
        assert fit.reason
    else:
        assert fit.critical_power > 0
        assert fit.w_prime is not None
        assert fit.w_prime > 0
        assert fit.r2 is not None
        assert fit.r2 >= 0.95
