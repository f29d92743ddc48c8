"""Rides that are there already, sent as files or live."""

from collections.abc import Callable
from typing import Any

from tests.api.answers import T0, eventually, seconds_of
from tests.api.files.ride_files import OCTETS, WAIT, fit, gpx, imported, post, send, tcx, zip_of
from tests.conftest import Rider

HOUR = 3600


def total_of(rider: Rider, **query: str) -> dict[str, Any]:
    """The sums over all rides of the one month that they are of."""
    asked = {"period": "month", **query}
    (month,) = rider.client.get("/api/stats", params=asked).json()["totals"]
    found: dict[str, Any] = month
    return found


def holders_of_records(rider: Rider, **query: str) -> set[str]:
    """The workouts that hold records of power."""
    asked = {"metric": "power", **query}
    found = rider.client.get("/api/records", params=asked).json()["records"]
    return {record["workoutId"] for record in found}


def workouts_of(rider: Rider) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rider.client.get("/api/workouts").json()["workouts"]
    return found


def test_the_same_bytes_are_answered_at_once_with_the_workout(rider: Rider) -> None:
    workout = imported(rider, gpx(60))
    problem = post(rider, gpx(60)).json()
    assert (problem["status"], problem["duplicateOf"]) == (409, workout)
    assert "this very file" in problem["detail"]


def test_the_same_bytes_of_another_user_are_no_duplicate(make_rider: Callable[[], Rider]) -> None:
    assert imported(make_rider(), gpx(60)) != imported(make_rider(), gpx(60))


def test_bytes_whose_workout_was_deleted_are_imported_again(rider: Rider) -> None:
    workout = imported(rider, gpx(60))
    assert rider.client.delete(f"/api/workouts/{workout}").status_code == 200
    assert imported(rider, gpx(60)) != workout


def test_a_file_whose_import_goes_on_is_the_same_upload(rider: Rider) -> None:
    """A client that has lost the answer sends the file again."""
    archive = zip_of(**{f"r{each}__gpx": gpx(600, T0 + each * 10**7) for each in range(20)})
    first, second = post(rider, archive), post(rider, archive)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["upload"]["id"] == second.json()["upload"]["id"]


def test_the_same_ride_in_another_file_is_a_duplicate_and_says_why(rider: Rider) -> None:
    workout = imported(rider, fit(HOUR))
    upload = send(rider, tcx(HOUR - 120, T0 + 60_000))
    assert (upload["status"], upload["duplicateOf"], upload["workoutIds"]) == (
        *("duplicate", workout),
        [],
    )
    assert "100% of it was recorded at the same time" in upload["reason"]
    assert len(workouts_of(rider)) == 1


def test_who_waits_for_a_duplicate_gets_409_with_the_workout(rider: Rider) -> None:
    workout = imported(rider, fit(HOUR))
    response = rider.client.post("/api/uploads", content=tcx(HOUR), headers={**OCTETS, **WAIT})
    assert (response.status_code, response.json()["duplicateOf"]) == (409, workout)
    assert response.json()["upload"]["status"] == "duplicate"


def test_two_rides_of_an_hour_that_merely_overlap_are_two(rider: Rider) -> None:
    """Half an hour of each is the other's: 50 % and not 90."""
    first = imported(rider, tcx(HOUR))
    assert imported(rider, tcx(HOUR, T0 + HOUR * 500, heartrate=130)) != first


def test_a_part_of_a_ride_is_not_the_ride(rider: Rider) -> None:
    """All of its ten minutes are within the hour, but they are a sixth of it."""
    whole = imported(rider, tcx(HOUR))
    assert imported(rider, tcx(600, T0 + 600_000, heartrate=130)) != whole


def test_a_run_within_the_time_of_a_ride_is_no_duplicate(rider: Rider) -> None:
    ride = imported(rider, fit(HOUR))
    run = imported(rider, tcx(HOUR, sport="Running"))
    assert run != ride
    assert rider.workout(run)["duplicateOf"] is None
    assert total_of(rider, sport="all")["workouts"] == 2


def test_a_ride_sent_live_is_no_duplicate_of_a_run(rider: Rider) -> None:
    imported(rider, tcx(600, sport="Running"))
    workout = rider.start(sport="road-cycling")
    rider.upload(workout, seconds_of(200, 600))
    assert rider.complete(workout)["duplicateOf"] is None


def test_replacing_puts_the_file_s_samples_under_the_same_workout(rider: Rider) -> None:
    workout = imported(rider, gpx(HOUR, name="Mine", power=200))
    assert imported(rider, fit(HOUR, power=250), onDuplicate="replace") == workout
    found = rider.workout(workout)
    assert (found["title"], found["summary"]["avgPower"]) == ("Mine", 250)
    assert found["summary"]["totalDistance"] is None  # the file has no places
    assert found["device"]["maker"] == "Garmin"
    records = rider.client.get("/api/records", params={"metric": "power"}).json()["records"]
    assert {record["value"] for record in records} == {250}


def test_merging_takes_each_channel_from_whichever_has_more_of_it(rider: Rider) -> None:
    """The places are the first recording's, power and heart rate the second one's."""
    workout = imported(rider, gpx(HOUR))
    distance = rider.workout(workout)["summary"]["totalDistance"]
    assert imported(rider, fit(HOUR, power=250), onDuplicate="merge") == workout
    summary = rider.workout(workout)["summary"]
    assert (summary["avgPower"], summary["avgHeartrate"]) == (250, 140)
    assert (summary["totalDistance"], summary["sampleCount"]) == (distance, HOUR)


def test_keeping_keeps_both_and_counts_the_pair_once(rider: Rider) -> None:
    first = imported(rider, fit(HOUR, power=200))
    second = imported(rider, fit(HOUR, power=250, laps=1), onDuplicate="keep")
    assert rider.workout(second)["duplicateOf"] == first
    assert total_of(rider)["workouts"] == 1
    assert total_of(rider)["totalEnergy"] == 720  # 3,600 s at 200 W
    assert holders_of_records(rider) == {first}


def test_the_rider_may_say_that_it_is_a_ride_of_its_own(rider: Rider) -> None:
    imported(rider, fit(HOUR, power=200))
    second = imported(rider, fit(HOUR, power=250, laps=1), onDuplicate="keep")
    changed = rider.client.patch(f"/api/workouts/{second}", json={"duplicateOf": None})
    assert changed.json()["workout"]["duplicateOf"] is None
    assert total_of(rider)["workouts"] == 2
    eventually(lambda: holders_of_records(rider) == {second})
    refused = rider.client.patch(f"/api/workouts/{second}", json={"duplicateOf": second})
    assert refused.status_code == 422


def test_when_the_one_that_counts_is_deleted_the_other_one_counts(rider: Rider) -> None:
    first = imported(rider, fit(HOUR, power=200))
    second = imported(rider, fit(HOUR, power=250, laps=1), onDuplicate="keep")
    rider.client.delete(f"/api/workouts/{first}")
    assert rider.workout(second)["duplicateOf"] is None
    assert total_of(rider)["totalEnergy"] == 900
    eventually(lambda: holders_of_records(rider) == {second})


def test_a_ride_sent_live_that_is_there_already_says_so_and_counts_once(rider: Rider) -> None:
    first = imported(rider, fit(600, power=250))
    workout = rider.start()
    rider.upload(workout, seconds_of(270, 600))
    found = rider.complete(workout)
    assert found["duplicateOf"] == first
    assert found["summary"]["avgPower"] == 270
    assert total_of(rider)["workouts"] == 1
    curve = rider.client.get("/api/power-curve").json()["powerCurve"]
    assert {point["power"] for point in curve} == {250}


def test_a_ride_sent_live_that_contradicts_the_other_one_is_a_ride_of_its_own(rider: Rider) -> None:
    """Nobody is asked: 300 W are no measurement of what another meter calls 200 W."""
    imported(rider, fit(600, power=200))
    workout = rider.start()
    rider.upload(workout, seconds_of(300, 600))
    assert rider.complete(workout)["duplicateOf"] is None
    assert total_of(rider)["workouts"] == 2


def test_a_file_of_a_ride_that_was_sent_live_is_a_duplicate(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(300, 600))
    rider.complete(workout)
    assert problem_of_waiting(rider, fit(600))["duplicateOf"] == workout


def problem_of_waiting(rider: Rider, data: bytes) -> dict[str, Any]:
    response = rider.client.post("/api/uploads", content=data, headers={**OCTETS, **WAIT})
    assert response.status_code == 409
    found: dict[str, Any] = response.json()
    return found


# Together with sports, and with what riders crop and remove.


def test_a_file_counts_for_its_sport_alone(rider: Rider) -> None:
    """An hour of e-bike at 300 W is no record of cycling."""
    assisted = gpx(HOUR, power=300).replace(b"<trk>", b"<trk><type>E-Bike</type>", 1)
    workout = imported(rider, assisted)
    assert rider.workout(workout)["sport"] == "e-bike"
    assert holders_of_records(rider) == set()
    assert holders_of_records(rider, sport="e-bike") == {workout}


def test_a_file_that_replaces_a_ride_gives_it_its_sport_in_the_records_too(rider: Rider) -> None:
    workout = imported(rider, fit(HOUR, power=200))
    assisted = gpx(HOUR, power=300).replace(b"<trk>", b"<trk><type>E-Bike</type>", 1)
    assert imported(rider, assisted, onDuplicate="replace") == workout
    assert holders_of_records(rider) == set()
    assert holders_of_records(rider, sport="e-bike") == {workout}


def test_the_sums_of_a_sport_count_a_pair_once(rider: Rider) -> None:
    imported(rider, fit(HOUR, power=200))
    imported(rider, fit(HOUR, power=250, laps=1), onDuplicate="keep")
    assert total_of(rider, sport="cycling")["workouts"] == 1
    curve = rider.client.get("/api/power-curve", params={"sport": "cycling"}).json()["powerCurve"]
    assert {point["power"] for point in curve} == {200}


def test_what_was_removed_stays_away_from_a_file_that_replaces_the_ride(rider: Rider) -> None:
    """The last ten minutes were removed: 3,000 s at 250 W are 750 kJ, and at 300 W 900 kJ."""
    workout = imported(rider, fit(HOUR, power=200))
    minutes = {"from": T0 + 3_000_000}
    rider.client.delete(f"/api/workouts/{workout}/telemetry", params=minutes)
    eventually(lambda: summary_of(rider, workout)["sampleCount"] == 3000)
    for how, power, energy in (("replace", 250, 750), ("merge", 300, 900)):
        again = fit(HOUR, power=power, laps=3)
        assert imported(rider, again, onDuplicate=how) == workout
        summary = summary_of(rider, workout)
        assert (summary["sampleCount"], summary["totalEnergy"]) == (3000, energy)


def test_a_ride_stays_cropped_when_a_file_replaces_it(rider: Rider) -> None:
    """Its first half hour counts: 1,800 s at 250 W are 450 kJ."""
    workout = imported(rider, fit(HOUR, power=200))
    rider.client.post(f"/api/workouts/{workout}/crop", json={"to": T0 + HOUR * 500})
    eventually(lambda: summary_of(rider, workout)["totalEnergy"] == 360)
    assert imported(rider, fit(HOUR, power=250, laps=1), onDuplicate="replace") == workout
    assert summary_of(rider, workout)["totalEnergy"] == 450
    rider.client.delete(f"/api/workouts/{workout}/crop")
    eventually(lambda: summary_of(rider, workout)["totalEnergy"] == 900)


def test_a_cropped_ride_is_found_whole_and_as_it_counts(rider: Rider) -> None:
    """A watch that was stopped in time, and the file of the head unit that was not."""
    workout = imported(rider, fit(HOUR, power=200))
    rider.client.post(f"/api/workouts/{workout}/crop", json={"to": T0 + HOUR * 500})
    eventually(lambda: summary_of(rider, workout)["totalEnergy"] == 360)
    for seconds in (HOUR // 2, HOUR):
        assert problem_of_waiting(rider, tcx(seconds))["duplicateOf"] == workout


def test_the_rider_may_change_everything_of_a_duplicate_at_once(rider: Rider) -> None:
    imported(rider, fit(HOUR, power=200))
    second = imported(rider, fit(HOUR, power=250, laps=1), onDuplicate="keep")
    wanted = {"title": "Mine", "description": "D", "sport": "e-bike", "duplicateOf": None}
    refused = {**wanted, "startTime": "2023-11-14T00:00:00Z"}  # its samples say otherwise
    assert rider.client.patch(f"/api/workouts/{second}", json=refused).status_code == 409
    before = rider.workout(second)
    assert (before["sport"], before["duplicateOf"] is None) == ("cycling", False)
    start = before["startTime"]
    changed = rider.client.patch(f"/api/workouts/{second}", json={**wanted, "startTime": start})
    assert {name: changed.json()["workout"][name] for name in wanted} == wanted
    eventually(lambda: holders_of_records(rider, sport="e-bike") == {second})
    assert total_of(rider, sport="e-bike")["totalEnergy"] == 900


def summary_of(rider: Rider, workout: str) -> dict[str, Any]:
    found: dict[str, Any] = rider.workout(workout)["summary"]
    return found
