"""Dated figures, recomputation, totals, critical power and fitness."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest

from api.season.thresholds import MOST_DAYS
from api.season.totals import fitness
from shared.connections import Database
from tests.api.answers import eventually, problem_of, seconds_of
from tests.conftest import Rider

JUNE = 1_780_272_000_000  # 2026-06-01T00:00:00Z
DAY = 86_400_000


def ride_at(rider: Rider, power: float, start: int, seconds: int = 1800) -> str:
    workout = rider.start()
    rider.upload(workout, seconds_of(power, seconds, start))
    rider.complete(workout)
    return workout


def put(rider: Rider, day: str, **figures: float | None) -> dict[str, Any]:
    answer = rider.client.put("/api/users/me/thresholds", json={"effectiveFrom": day, **figures})
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def summary_of(rider: Rider, workout: str) -> dict[str, Any]:
    summary: dict[str, Any] = rider.workout(workout)["summary"]
    return summary


def recomputed(rider: Rider) -> bool:
    pending: int = rider.client.get("/api/users/me/recompute").json()["pending"]
    return pending == 0


def test_a_ride_takes_the_figures_of_its_day(rider: Rider) -> None:
    put(rider, "2026-06-01", ftp=200)
    put(rider, "2026-06-03", ftp=250, criticalPower=240, wPrime=20_000)
    before = ride_at(rider, 200, JUNE + DAY)
    after = ride_at(rider, 250, JUNE + 2 * DAY)
    assert summary_of(rider, before)["intensityFactor"] == 1
    assert summary_of(rider, before)["wPrimeBalanceMin"] is None
    summary = summary_of(rider, after)
    assert summary["intensityFactor"] == 1
    assert summary["trainingStressScore"] == 50  # half an hour at threshold
    assert summary["wPrimeBalanceMin"] == pytest.approx(2)  # 20 kJ less 1800 s · 10 W
    assert summary["parameters"]["ftp"] == 250


def test_a_ride_before_any_figure_has_no_intensity(rider: Rider) -> None:
    put(rider, "2026-06-03", ftp=250)
    summary = summary_of(rider, ride_at(rider, 200, JUNE))
    assert summary["intensityFactor"] is summary["trainingStressScore"] is None
    assert summary["powerZones"] is summary["heartrateZones"] is None


def test_a_new_figure_recomputes_the_rides_from_its_day_on(rider: Rider) -> None:
    put(rider, "2026-05-01", ftp=400)
    early, late = ride_at(rider, 200, JUNE), ride_at(rider, 200, JUNE + 5 * DAY)
    change = put(rider, "2026-06-02", ftp=200)
    assert change["recompute"] == {"pending": 1, "workouts": 2}
    eventually(lambda: recomputed(rider))
    assert summary_of(rider, early)["intensityFactor"] == 0.5
    assert summary_of(rider, late)["intensityFactor"] == 1


def test_the_history_is_kept_and_a_day_can_be_taken_back(rider: Rider) -> None:
    put(rider, "2026-01-01", ftp=240, weight=72.5)
    put(rider, "2026-02-01", ftp=250)
    listed = rider.client.get("/api/users/me/thresholds").json()["thresholds"]
    assert [(each["effectiveFrom"], each["ftp"]) for each in listed] == [
        ("2026-02-01", 250),
        ("2026-01-01", 240),
    ]
    put(rider, "2026-02-01", ftp=None)
    listed = rider.client.get("/api/users/me/thresholds").json()["thresholds"]
    assert [each["effectiveFrom"] for each in listed] == ["2026-01-01"]


def test_a_figure_that_was_not_given_stays(rider: Rider) -> None:
    put(rider, "2026-01-01", ftp=240)
    change = put(rider, "2026-01-01", weight=72)
    assert (change["thresholds"]["ftp"], change["thresholds"]["weight"]) == (240, 72)


@pytest.mark.parametrize(
    "figures", [{"ftp": 1e-160}, {"ftp": 0}, {"ftp": -5}, {"wPrime": 1e9}, {"ftp": "high"}]
)
def test_figures_out_of_bounds_are_refused(rider: Rider, figures: dict[str, object]) -> None:
    body = {"effectiveFrom": "2026-01-01", **figures}
    problem = problem_of(rider.client.put("/api/users/me/thresholds", json=body), 422)
    assert problem["errors"][0]["member"] in figures


def test_the_rider_s_time_zone_says_which_day_it_was(rider: Rider) -> None:
    """22:30 in UTC is half past midnight of the next day in Zurich."""
    answer = rider.client.patch("/api/users/me", json={"timeZone": "Europe/Zurich"})
    assert answer.json()["user"]["timeZone"] == "Europe/Zurich"
    put(rider, "2026-06-02", ftp=200)
    workout = ride_at(rider, 200, JUNE + DAY - 5_400_000)
    assert summary_of(rider, workout)["intensityFactor"] == 1
    totals = rider.client.get("/api/stats", params={"period": "day"}).json()["totals"]
    assert [each["start"] for each in totals] == ["2026-06-02"]
    utc = rider.client.get("/api/stats", params={"period": "day", "timeZone": "UTC"}).json()
    assert [each["start"] for each in utc["totals"]] == ["2026-06-01"]


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", ""])
def test_an_unknown_time_zone_is_refused(rider: Rider, zone: str) -> None:
    answer = rider.client.patch("/api/users/me", json={"timeZone": zone})
    problem_of(answer, 422)


def test_totals_are_summed_by_week_month_and_year(rider: Rider) -> None:
    # 2026-06-01 is a Monday; 200 W for half an hour are 360 kJ.
    for day in (0, 6, 7):
        ride_at(rider, 200, JUNE + day * DAY)
    by = {
        period: rider.client.get("/api/stats", params={"period": period}).json()["totals"]
        for period in ("week", "month", "year")
    }
    assert [(each["start"], each["workouts"]) for each in by["week"]] == [
        ("2026-06-08", 1),
        ("2026-06-01", 2),
    ]
    assert [(each["start"], each["totalEnergy"]) for each in by["month"]] == [("2026-06-01", 1080)]
    assert [(each["start"], each["recordedTime"]) for each in by["year"]] == [("2026-01-01", 5400)]


def test_critical_power_is_fitted_to_the_bests(rider: Rider) -> None:
    """Efforts that lie on the line exactly: 250 W and 15 kJ."""
    for number, seconds in enumerate((120, 300, 600, 1200)):
        ride_at(rider, 250 + 15_000 / seconds, JUNE + number * DAY, seconds)
    # The bests of the durations between lie below the line: they are parts of longer rides.
    fit = rider.client.get("/api/critical-power").json()
    points = {best["duration"]: best["power"] for best in fit["bests"]}
    assert points == pytest.approx({120: 375, 300: 300, 600: 275, 1200: 262.5})
    assert fit["criticalPower"] == pytest.approx(250)
    assert fit["wPrime"] == pytest.approx(15_000)
    assert fit["reason"] is None


def test_critical_power_needs_three_maximal_efforts(rider: Rider) -> None:
    """A line through both would give -8 W."""
    ride_at(rider, 600, JUNE, seconds=180)
    ride_at(rider, 80, JUNE + DAY, seconds=1200)
    fit = rider.client.get("/api/critical-power").json()
    assert fit["criticalPower"] is fit["wPrime"] is fit["r2"] is None
    assert fit["reason"].startswith("it takes 3 maximal efforts from 2 to 20 minutes")
    assert fit["reason"].endswith("here are 1")
    assert [best["power"] for best in fit["bests"]] == [600]


def test_a_steady_ride_tells_no_critical_power(rider: Rider) -> None:
    """A line through its bests would give a W′ of zero."""
    ride_at(rider, 200, JUNE)
    fit = rider.client.get("/api/critical-power").json()
    assert fit["criticalPower"] is fit["wPrime"] is None
    assert fit["reason"]


def test_fitness_follows_the_stress_of_each_day() -> None:
    day = date(2026, 6, 1)
    first, second = fitness({day: 100.0}, day + timedelta(days=1))
    ctl, atl = 100 * (1 - math.exp(-1 / 42)), 100 * (1 - math.exp(-1 / 7))
    assert (first.ctl, first.atl, first.tsb) == (round(ctl, 2), round(atl, 2), 0)
    assert second.ctl == round(ctl * math.exp(-1 / 42), 2)
    assert second.atl == round(atl * math.exp(-1 / 7), 2)
    assert second.tsb == round(ctl - atl, 2)


def test_a_day_of_rides_without_stress_is_no_day_of_rest() -> None:
    """It opens no season, and is told from a day without a ride."""
    day = date(2026, 6, 1)
    stress = {day: None, day + timedelta(days=1): 100.0, day + timedelta(days=2): None}
    days = fitness(stress, day + timedelta(days=3))
    assert [each.training_stress_score for each in days] == [100, None, 0]
    ctl = 100 * (1 - math.exp(-1 / 42))
    assert days[1].ctl == round(ctl * math.exp(-1 / 42), 2)
    assert days[2].ctl == round(ctl * math.exp(-2 / 42), 2)
    assert fitness({day: None}, day) == fitness({}, day) == []


def test_a_season_of_the_same_stress_approaches_it() -> None:
    day = date(2026, 1, 1)
    stress = {day + timedelta(days=n): 80.0 for n in range(400)}
    last = fitness(stress, max(stress))[-1]
    assert last.ctl == pytest.approx(80, abs=0.1)
    assert last.tsb == pytest.approx(0, abs=0.1)


def test_fitness_is_served_by_day(rider: Rider) -> None:
    put(rider, "2026-01-01", ftp=200)
    ride_at(rider, 200, JUNE)
    query = {"from": "2026-05-30", "to": "2026-06-03"}
    days = rider.client.get("/api/fitness", params=query).json()["fitness"]
    assert [each["date"] for each in days] == ["2026-06-01", "2026-06-02"]
    assert days[0]["trainingStressScore"] == 50
    backwards = {"from": "2026-06-02", "to": "2026-05-30"}
    problem_of(rider.client.get("/api/fitness", params=backwards), 422)


def test_fitness_is_of_the_days_where_the_rider_lives(rider: Rider) -> None:
    rider.client.patch("/api/users/me", json={"timeZone": "Australia/Brisbane"})
    put(rider, "2026-01-01", ftp=200)
    ride_at(rider, 200, JUNE - 4 * 3_600_000)  # Monday 06:00 over there
    for query, served in (
        ({"from": "2026-06-01", "to": "2026-06-02"}, [("2026-06-01", 50)]),
        ({"from": "2026-05-30", "to": "2026-06-01"}, []),
        ({"from": "2026-06-01", "to": "2026-06-01"}, []),
        ({"from": "2026-05-31", "to": "2026-06-01", "timeZone": "UTC"}, [("2026-05-31", 50)]),
    ):
        days = rider.client.get("/api/fitness", params=query).json()["fitness"]
        assert [(each["date"], each["trainingStressScore"]) for each in days] == served, query


def test_fitness_is_asked_for_ten_years_at_a_time(rider: Rider) -> None:
    answers = [
        rider.client.get("/api/fitness", params={"from": "2090-01-01", "to": to})
        for to in ("2099-12-31", "2100-01-09", "2100-01-01")  # 3652 days to the last
    ]
    assert [each.status_code for each in answers] == [200, 422, 200]
    most = {"from": "2089-12-24", "to": "2100-01-01"}
    assert rider.client.get("/api/fitness", params=most).status_code == 200
    too_many = {"from": "2089-12-23", "to": "2100-01-01"}
    detail = problem_of(rider.client.get("/api/fitness", params=too_many), 422)["detail"]
    assert detail == "`from` and `to` may be 3660 days apart: ask in parts"


def test_stress_of_long_ago_still_opens_the_days_and_adds_nothing(
    rider: Rider, database: Database
) -> None:
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO workouts (user_id, status, start_time, summary) VALUES"
            """ (%s, 'COMPLETED', '2010-06-01T12:00Z', '{"trainingStressScore": 1000}')""",
            [rider.account.user_id],
        )
    query = {"from": "2020-01-01", "to": "2020-01-03"}
    days = rider.client.get("/api/fitness", params=query).json()["fitness"]
    assert [(each["date"], each["ctl"]) for each in days] == [("2020-01-01", 0), ("2020-01-02", 0)]
    query = {"from": "2010-06-01", "to": "2010-06-02"}
    days = rider.client.get("/api/fitness", params=query).json()["fitness"]
    assert days[0]["ctl"] == round(1000 * (1 - math.exp(-1 / 42)), 2)


def test_of_the_days_of_a_life_the_newest_3660_are_listed(rider: Rider, database: Database) -> None:
    with database.connection() as connection:
        connection.execute(
            "INSERT INTO workouts (user_id, status, start_time)"
            " SELECT %s, 'COMPLETED', timestamptz '2012-01-01T12:00Z' + n * interval '1 day'"
            " FROM generate_series(0, 3999) AS n",
            [rider.account.user_id],
        )
    totals = rider.client.get("/api/stats", params={"period": "day"}).json()["totals"]
    assert len(totals) == 3660
    assert totals[0]["start"] == "2022-12-13"  # 2012-01-01 and 3,999 days
    older = {"period": "day", "to": totals[-1]["start"]}
    rest = rider.client.get("/api/stats", params=older).json()["totals"]
    assert (len(rest), rest[-1]["start"]) == (340, "2012-01-01")


def test_dates_are_those_of_the_rider_s_time_zone(rider: Rider) -> None:
    rider.client.patch("/api/users/me", json={"timeZone": "America/New_York"})
    ride_at(rider, 200, JUNE + 3 * 3_600_000)  # 23:00 on May 31 over there
    june, may = {"from": "2026-06-01"}, {"from": "2026-05-31", "to": "2026-06-01"}
    for path in ("/api/stats", "/api/power-curve", "/api/critical-power"):
        of_june, of_may = (rider.client.get(path, params=query).json() for query in (june, may))
        member = {"/api/stats": "totals", "/api/power-curve": "powerCurve"}.get(path, "bests")
        assert of_june[member] == []
        assert of_may[member] != []


def test_what_no_ride_of_a_period_has_measured_is_null(rider: Rider) -> None:
    """Half an hour of power without an FTP, and in another week a pulse alone."""
    ride_at(rider, 200, JUNE)
    pulse = rider.start()
    start = JUNE + 7 * DAY
    samples = [{"timestamp": start + 1000 * n, "heartrate": 120} for n in range(60)]
    rider.upload(pulse, samples)
    rider.complete(pulse)
    later, first = rider.client.get("/api/stats").json()["totals"]
    assert first["recordedTime"] == 1800
    assert first["totalEnergy"] == pytest.approx(360)
    figures = ("totalDistance", "totalElevationGain", "trainingStressScore")
    assert [first[each] for each in figures] == [None] * 3
    assert later["recordedTime"] == 60
    assert [later[each] for each in ("totalEnergy", *figures)] == [None] * 4
    query = {"from": "2026-06-01", "to": "2026-06-30"}
    days = rider.client.get("/api/fitness", params=query).json()["fitness"]
    assert days == []


def test_a_season_sums_what_was_measured_zero_too(rider: Rider) -> None:
    put(rider, "2026-06-02", ftp=200)
    ride_at(rider, 200, JUNE)  # before the FTP
    ride_at(rider, 200, JUNE + DAY)
    flat = rider.start()
    climbed = {"altitude": 400, "distance": 100}
    start = JUNE + 2 * DAY
    rider.upload(flat, [{"timestamp": start + 1000 * n, **climbed} for n in range(60)])
    rider.complete(flat)
    [week] = rider.client.get("/api/stats").json()["totals"]
    assert week["trainingStressScore"] == 50
    assert week["totalElevationGain"] == week["totalDistance"] == 0
    query = {"from": "2026-06-01", "to": "2026-06-05"}
    days = rider.client.get("/api/fitness", params=query).json()["fitness"]
    assert [(each["date"], each["trainingStressScore"]) for each in days] == [
        ("2026-06-02", 50),
        ("2026-06-03", None),
        ("2026-06-04", 0),
    ]


def test_sums_and_records_have_no_noise_of_binary_fractions(rider: Rider) -> None:
    """By thirds and tenths: 0.1 + 0.2 is 0.30000000000000004."""
    put(rider, "2026-06-01", ftp=201)
    for day in range(3):
        workout = rider.start()
        powers = [200 + second % 7 for second in range(61)]
        samples = [
            {"timestamp": JUNE + day * DAY + 1000 * t, "power": power, "distance": 1.1 * t}
            for t, power in enumerate(powers)
        ]
        rider.upload(workout, samples)
        rider.complete(workout)
    totals = rider.client.get("/api/stats", params={"period": "month"}).json()["totals"]
    records = rider.client.get("/api/records").json()["records"]
    for value in (*totals[0].values(), *(each["value"] for each in records)):
        assert not isinstance(value, float) or value == round(value, 3)


def test_energy_is_summed_before_it_is_rounded(rider: Rider) -> None:
    for day in range(4):
        ride_at(rider, 90, JUNE + day * DAY, seconds=5)  # 0.45 kJ
    totals = rider.client.get("/api/stats", params={"period": "year"}).json()["totals"]
    assert totals[0]["totalEnergy"] == pytest.approx(1.8)


def test_a_change_of_time_zone_locks_rides_before_their_rider_as_folds_do(
    rider: Rider, database: Database
) -> None:
    """The other way round, each would hold what the other waits for."""
    workout = ride_at(rider, 200, JUNE, seconds=60)
    zone = {"timeZone": "Europe/Zurich"}
    with ThreadPoolExecutor(1) as pool:
        with database.connection() as fold:
            fold.execute("SET LOCAL lock_timeout = '5s'")
            fold.execute("SELECT FROM workouts WHERE id = %s FOR NO KEY UPDATE", [workout])
            answer = pool.submit(rider.client.patch, "/api/users/me", json=zone)
            eventually(lambda: waits_for(database, fold.info.backend_pid))
            user_id = [rider.account.user_id]
            fold.execute("SELECT FROM users WHERE id = %s FOR NO KEY UPDATE", user_id)
        assert answer.result().json()["user"]["timeZone"] == "Europe/Zurich"


def waits_for(database: Database, pid: int) -> bool:
    """Whether somebody waits for a lock that this backend holds."""
    with database.connection() as connection:
        row = connection.execute(
            "SELECT FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))", [pid]
        ).fetchone()
    return row is not None


def test_days_with_figures_are_bounded(rider: Rider, database: Database) -> None:
    with database.connection() as connection:
        connection.execute(
            """INSERT INTO athlete_thresholds (user_id, effective_from, ftp)
               SELECT %s, date '2020-01-01' + n, 250 FROM generate_series(1, %s) AS n""",
            [rider.account.user_id, MOST_DAYS],
        )
    path, figures = "/api/users/me/thresholds", {"ftp": 260}
    refused = rider.client.put(path, json={"effectiveFrom": "2019-01-01", **figures})
    assert problem_of(refused, 409)["detail"] == (
        "there are figures for 2000 days already: take back those of one"
    )
    known = {"effectiveFrom": "2020-01-02"}
    assert rider.client.put(path, json={**known, **figures}).status_code == 200
    assert rider.client.put(path, json={**known, "ftp": None}).status_code == 200
    after = rider.client.put(path, json={"effectiveFrom": "2019-01-01", **figures})
    assert after.status_code == 200
