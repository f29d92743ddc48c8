"""A rider's figures are of one sport each, through HTTP and a worker."""

from typing import Any

import pytest

from tests.api.answers import eventually, problem_of
from tests.conftest import Rider

JUNE = 1_780_272_000_000  # 2026-06-01T00:00:00Z
DAY = 86_400_000
THRESHOLDS = "/api/users/me/thresholds"
FROM_JANUARY = {"effectiveFrom": "2026-01-01"}


def ride(rider: Rider, sport: str, day: int = 0, seconds: int = 1800, **readings: float) -> str:
    """A completed even ride of half an hour, so many days after the first of June."""
    workout = rider.start(sport=sport)
    start = JUNE + day * DAY
    rider.upload(workout, [{"timestamp": start + 1000 * n, **readings} for n in range(seconds)])
    rider.complete(workout)
    return workout


def answer(rider: Rider, path: str, **query: str) -> dict[str, Any]:
    response = rider.client.get(path, params=query)
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    return content


def record(rider: Rider, metric: str, **query: str) -> dict[str, Any] | None:
    """The one of 20 minutes."""
    records = answer(rider, "/api/records", metric=metric, **query)["records"]
    return next((each for each in records if each["duration"] == 1200), None)


def put(rider: Rider, **figures: object) -> dict[str, Any]:
    response = rider.client.put(THRESHOLDS, json={**FROM_JANUARY, **figures})
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    return content


def await_recompute(rider: Rider) -> None:
    eventually(lambda: answer(rider, "/api/users/me/recompute")["pending"] == 0)


def summary_of(rider: Rider, workout: str) -> dict[str, Any]:
    await_recompute(rider)
    summary: dict[str, Any] = rider.workout(workout)["summary"]
    return summary


@pytest.fixture
def mixed(rider: Rider) -> dict[str, str]:
    """A run with a foot pod, an e-bike at 45 km/h, and a ride; with an FTP of cycling."""
    put(rider, ftp=200)
    return {
        "running": ride(rider, "running", 0, power=320, speed=3.5),
        "e-bike": ride(rider, "EBikeRide", 1, power=100, speed=12.5),
        "cycling": ride(rider, "Road_biking", 2, power=180, speed=9),
    }


@pytest.mark.parametrize(
    ("sport", "power", "speed"), [("cycling", 180, 9), ("running", 320, 3.5), ("e-bike", 100, 12.5)]
)
def test_each_sport_has_records_of_its_own(
    rider: Rider, mixed: dict[str, str], sport: str, power: float, speed: float
) -> None:
    for metric, value in (("power", power), ("speed", speed)):
        held = record(rider, metric, sport=sport)
        assert held
        assert (held["value"], held["workoutId"], held["sport"]) == (value, mixed[sport], sport)


def test_records_are_of_cycling_unless_asked_otherwise(rider: Rider, mixed: dict[str, str]) -> None:
    power, speed = record(rider, "power"), record(rider, "speed")
    assert power
    assert speed
    assert (power["value"], speed["value"]) == (180, 9)
    assert answer(rider, "/api/records")["sport"] == "cycling"
    everything = answer(rider, "/api/records", sport="all", metric="power")
    twenty = [each for each in everything["records"] if each["duration"] == 1200]
    assert [(each["sport"], each["value"]) for each in twenty] == [
        ("cycling", 180),
        ("e-bike", 100),
        ("running", 320),
    ]


def test_a_run_takes_no_ftp_of_cycling(rider: Rider, mixed: dict[str, str]) -> None:
    for sport in ("running", "e-bike"):
        summary = summary_of(rider, mixed[sport])
        assert summary["trainingStressScore"] is summary["intensityFactor"] is None
        assert summary["powerZones"] is None
        assert "ftp" not in summary["parameters"]
    # 100 · ½ h · (180 W / 200 W)²
    assert summary_of(rider, mixed["cycling"])["trainingStressScore"] == pytest.approx(40.5)


@pytest.mark.parametrize(
    ("sport", "power"), [("cycling", 180), ("VirtualRide", 180), ("TrailRun", 320), ("all", 320)]
)
def test_the_curve_is_of_one_sport_by_any_of_its_names(
    rider: Rider, mixed: dict[str, str], sport: str, power: float
) -> None:
    curve = answer(rider, "/api/power-curve", sport=sport)["powerCurve"]
    assert {point["power"] for point in curve} == {power}
    assert len({point["workoutId"] for point in curve}) == 1


def test_critical_power_is_fitted_to_efforts_of_one_sport(rider: Rider) -> None:
    """Of cycling 250 W and 15 kJ, of running 300 W and 6 kJ; nobody does both at once."""
    for number, seconds in enumerate((120, 300, 600, 1200)):
        ride(rider, "road", number, seconds, power=250 + 15_000 / seconds)
        ride(rider, "running", 10 + number, seconds, power=300 + 6_000 / seconds)
    for sport, critical_power, w_prime in (("cycling", 250, 15_000), ("run", 300, 6_000)):
        fit = answer(rider, "/api/critical-power", sport=sport)
        assert fit["criticalPower"] == pytest.approx(critical_power)
        assert fit["wPrime"] == pytest.approx(w_prime)
    assert answer(rider, "/api/critical-power")["criticalPower"] == pytest.approx(250)


def test_totals_are_of_cycling_or_of_all(rider: Rider, mixed: dict[str, str]) -> None:
    workouts = {
        sport: [each["workouts"] for each in answer(rider, "/api/stats", **query)["totals"]]
        for sport, query in {
            "by default": {},
            "mountain_biking": {"sport": "mountain_biking"},
            "running": {"sport": "running"},
            "all": {"sport": "all"},
        }.items()
    }
    assert workouts == {"by default": [1], "mountain_biking": [1], "running": [1], "all": [3]}


def test_fitness_adds_the_stress_of_every_sport(rider: Rider) -> None:
    put(rider, ftp=200)
    put(rider, sport="running", ftp=320)
    ride(rider, "running", power=320)
    ride(rider, "cycling", power=200)
    day = {"from": "2026-06-01", "to": "2026-06-02"}
    for sport, stress in (("all", 100), ("cycling", 50), ("TrailRun", 50)):
        (first,) = answer(rider, "/api/fitness", sport=sport, **day)["fitness"]
        assert first["trainingStressScore"] == stress
    both = answer(rider, "/api/fitness", **day)
    assert (both["sport"], both["fitness"][0]["trainingStressScore"]) == ("all", 100)


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ("/api/records", "records"),
        ("/api/power-curve", "powerCurve"),
        ("/api/critical-power", "bests"),
        ("/api/stats", "totals"),
        (THRESHOLDS, "thresholds"),
    ],
)
def test_a_sport_that_nobody_does_has_no_figures(
    rider: Rider, mixed: dict[str, str], path: str, member: str
) -> None:
    content = answer(rider, path, sport="Über Polo")
    assert (content["sport"], content[member]) == ("überpolo", [])
    assert answer(rider, path)["sport"] == "cycling"
    assert answer(rider, path)[member] != []
    problem_of(rider.client.get(path, params={"sport": "x" * 51}), 422)


def test_another_sport_takes_records_curve_and_thresholds_with_it(rider: Rider) -> None:
    """A run that was uploaded as a ride."""
    put(rider, ftp=200)
    put(rider, sport="running", ftp=320)
    second = ride(rider, "cycling", 0, power=180)
    run = ride(rider, "cycling", 1, power=320)
    assert answer(rider, "/api/power-curve")["powerCurve"][0]["power"] == 320
    response = rider.client.patch(f"/api/workouts/{run}", json={"sport": "TrailRun"})
    assert response.json()["workout"]["sport"] == "TrailRun"
    held, ran = record(rider, "power"), record(rider, "power", sport="running")
    assert held
    assert ran
    assert (held["value"], held["workoutId"]) == (180, second)
    assert (ran["value"], ran["workoutId"]) == (320, run)
    assert answer(rider, "/api/power-curve")["powerCurve"][0]["power"] == 180
    assert answer(rider, "/api/power-curve", sport="running")["powerCurve"][0]["power"] == 320
    summary = summary_of(rider, run)
    assert summary["parameters"]["ftp"] == 320
    assert summary["trainingStressScore"] == 50
    ranked = rider.client.get(f"/api/workouts/{run}/power-curve").json()["bests"]
    assert {best["sport"] for best in ranked} == {"running"}


def test_a_change_of_the_title_computes_nothing_anew(rider: Rider) -> None:
    workout = ride(rider, "cycling", power=180, seconds=60)
    rider.client.patch(f"/api/workouts/{workout}", json={"title": "A", "sport": "cycling"})
    assert answer(rider, "/api/users/me/recompute")["pending"] == 0


def test_thresholds_are_of_a_sport_and_recompute_its_rides_alone(rider: Rider) -> None:
    rode, ran = ride(rider, "gravel", power=200), ride(rider, "TrailRun", power=320)
    change = put(rider, sport="Run", ftp=320, thresholdHeartrate=170)
    assert change["recompute"] == {"pending": 1, "workouts": 2}
    assert (change["thresholds"]["sport"], change["thresholds"]["ftp"]) == ("running", 320)
    assert summary_of(rider, ran)["intensityFactor"] == 1
    assert summary_of(rider, rode)["intensityFactor"] is None
    assert put(rider, ftp=200)["recompute"]["pending"] == 1
    assert summary_of(rider, rode)["parameters"]["ftp"] == 200
    assert summary_of(rider, ran)["parameters"]["ftp"] == 320


def test_the_weight_is_the_same_in_every_sport(rider: Rider) -> None:
    put(rider, ftp=200, weight=72)
    ride(rider, "gravel", power=200, seconds=60)
    ride(rider, "TrailRun", power=320, seconds=60)
    change = put(rider, sport="running", weight=70, maxHeartrate=190)
    assert change["recompute"]["pending"] == 2
    assert (change["thresholds"]["sport"], change["thresholds"]["weight"]) == ("running", 70)
    ridden, run = (
        answer(rider, THRESHOLDS, sport=sport)["thresholds"] for sport in ("cycling", "running")
    )
    assert [(each["ftp"], each["weight"], each["maxHeartrate"]) for each in ridden] == [
        (200, 70, 190)
    ]
    assert [(each["ftp"], each["weight"], each["maxHeartrate"]) for each in run] == [
        (None, 70, 190)
    ]


def test_figures_of_a_sport_can_be_taken_back(rider: Rider) -> None:
    put(rider, ftp=200)
    put(rider, sport="running", ftp=320, source="lab")
    put(rider, sport="running", wPrime=9_000)
    problem_of(rider.client.put(THRESHOLDS, json={**FROM_JANUARY, "sport": "all", "ftp": 250}), 422)
    both = answer(rider, THRESHOLDS, sport="all")["thresholds"]
    assert [(each["sport"], each["ftp"], each["wPrime"]) for each in both] == [
        ("cycling", 200, None),
        ("running", 320, 9_000),
    ]
    put(rider, sport="running", ftp=None, wPrime=None)
    left = answer(rider, THRESHOLDS, sport="all")["thresholds"]
    assert [each["sport"] for each in left] == ["cycling"]
    put(rider, sport="running", weight=70)
    put(rider, sport="running", weight=None)
    assert answer(rider, THRESHOLDS, sport="all")["thresholds"] == left


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"ftp": 200},
        {"ftp": 200, "source": "a guess"},
        {"sport": "running"},
        {"sport": "running", "ftp": 320, "weight": 70},
        {"maxHeartrate": None},
    ],
)
def test_figures_that_are_put_as_they_were_have_nothing_computed_anew(
    rider: Rider, same: dict[str, object]
) -> None:
    put(rider, ftp=200, weight=70)
    put(rider, sport="running", ftp=320)
    rider.start()
    await_recompute(rider)
    assert put(rider, **same)["recompute"]["pending"] == 0
    assert put(rider, ftp=201)["thresholds"]["ftp"] == 201
