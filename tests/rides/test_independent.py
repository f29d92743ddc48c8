"""Real rides by our definitions, against what others compute from the same samples."""

from pathlib import Path
from typing import Any

import pytest

from shared.critical_power import Effort, fit_critical_power
from tests.rides import published
from tests.rides.device_truth import independent_table, written
from tests.rides.independent import compare, rides_with_power

Manifest = dict[str, Any]


def test_every_ride_has_the_figures_that_golden_cheetah_gives_it(
    manifest: Manifest, rides_dir: Path, subtests: pytest.Subtests
) -> None:
    for name, ride in rides_with_power(rides_dir, manifest):
        with subtests.test(name):
            found = {(each.figure.split(",")[0], each.by): each for each in compare(ride)}
            for (figure, by), each in found.items():
                difference = each.difference()
                if figure == "xPower" or figure.startswith("best"):
                    assert difference == pytest.approx(0, abs=0.5), figure  # per cent
                elif by == "GoldenCheetah, differential":
                    assert difference == pytest.approx(0, abs=0.2), figure  # kJ


def test_without_gaps_decoupling_is_golden_cheetah_s(manifest: Manifest, rides_dir: Path) -> None:
    rides = dict(rides_with_power(rides_dir, manifest))
    for name in ("zwift_race", "zwift_innsbruck_power"):
        theirs = published.decoupling(rides[name].power, rides[name].heartrate)
        assert rides[name].summary.decoupling == pytest.approx(theirs, abs=0.001)


def test_the_document_has_every_comparison(manifest: Manifest, rides_dir: Path) -> None:
    made = independent_table(rides_dir, manifest)
    assert written("independent") == made, "make device-truth writes it"


def test_on_efforts_of_one_line_all_three_find_its_critical_power() -> None:
    # 260 W and 20 kJ: 426.7 W for two minutes, 326.7 for five, 276.7 for twenty.
    bests = {t: 260 + 20_000 / t for t in range(120, 1201, 10)}
    assert published.regression(bests) == pytest.approx((260, 20_000))
    assert published.envelope(bests) == pytest.approx((260, 20_000), rel=1e-3)
    days = [Effort(t, bests[t], 86_400 * t) for t in (120, 300, 480, 1200)]
    fit = fit_critical_power(days)
    assert (fit.critical_power, fit.w_prime) == pytest.approx((260, 20_000))


def test_an_effort_in_reserve_pulls_a_line_through_all_down_and_no_envelope() -> None:
    # The five minutes of 326.7 W were ridden at 240 W.
    bests = {t: 260 + 20_000 / t for t in range(120, 1201, 10)}
    bests |= dict.fromkeys(range(250, 351, 10), 240.0)
    assert published.envelope(bests) == pytest.approx((260, 20_000), rel=1e-3)
    assert published.regression(bests)[1] < 15_000


def test_what_golden_cheetah_makes_of_a_gap() -> None:
    # Two samples of 26 W, a minute between: 1 W, then 25/26 of it a second down to 0.0989 W.
    powers = [(25 / 26) ** n for n in range(60)]
    expected = ((sum(power**4 for power in powers) + (powers[-1] * 25 / 26 + 1) ** 4) / 61) ** 0.25
    assert published.x_power([(0, 26.0), (60, 26.0)]) == pytest.approx(expected)
    assert published.elapsed([(0, 200.0), (3, 200.0)]) == [200, 0, 0, 200]
    assert published.elapsed([(0, 200.0), (4000, 200.0)]) == [200, 0, 200]
    assert published.clock([(0, 200.0), (3, 100.0)]) == [200, 0, 50, 100]
    smart = [{"timestamp": 0, "power": 100.0}, {"timestamp": 4000, "power": 140.0}]
    assert published.imported(smart, "power") == [(0, 100), (1, 110), (2, 120), (3, 130), (4, 140)]


def test_w_prime_by_both_forms_on_an_effort_and_a_rest() -> None:
    # Five minutes of 60 W above spend 18 kJ; by the integral form some of it has come back by then.
    watts = [310.0] * 300 + [0.0] * 600
    assert published.w_prime_differential(watts, 250, 20_000) == pytest.approx(2000)
    kept = 2.718281828 ** (-1 / (546 * 2.718281828**-2.5 + 316))
    spent = 60 * (1 - kept**300) / (1 - kept)
    assert published.w_prime_integral(watts, 250, 20_000) == pytest.approx(20_000 - spent)
