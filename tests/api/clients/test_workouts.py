"""Rides and the streams that feed them, as the contract with existing clients has them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.connections import Redis, open_redis
from shared.redis_keys import notes_key
from shared.settings import read_settings
from tests.api.answers import T0, problem_of, seconds_of
from tests.api.clients.rides import a_ride
from tests.api.clients.talking import Phone
from tests.api.live.streams import live, watching
from tests.conftest import Rider


def as_rider(phone: Phone) -> Rider:
    """The same user by our own API."""
    return Rider(phone.account, phone.client)


def test_a_ride_names_the_stream_that_feeds_it(phone: Phone, name: str) -> None:
    response = phone.client.post(
        "/api/workouts", json={"streamName": f" {name} ", "title": "Home", "sport": "cycling"}
    )
    assert response.status_code == 201
    assert response.json()["success"] is True
    workout = response.json()["workout"]
    assert (workout["streamName"], workout["title"]) == (name, "Home")
    found = phone.call("GET", f"/api/workouts/by-stream/{name}")
    assert (found["id"], found["status"], found["streamName"]) == (workout["id"], "ACTIVE", name)
    assert "workout" not in found


@pytest.mark.parametrize("name", ["telemetry", "chart", "complete"])
def test_a_stream_may_have_the_name_of_a_part_of_a_ride(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    assert phone.call("GET", f"/api/workouts/by-stream/{name}")["id"] == workout


def test_a_stream_without_a_ride_under_way_has_none(
    phone: Phone, make_phone: Callable[[], Phone], name: str
) -> None:
    problem_of(phone.client.get(f"/api/workouts/by-stream/{name}"), 404)
    problem_of(phone.client.get("/api/workouts/by-stream/bad!"), 404)
    workout = phone.start(name)
    problem_of(make_phone().client.get(f"/api/workouts/by-stream/{name}"), 404)
    phone.complete(workout["id"])
    problem_of(phone.client.get(f"/api/workouts/by-stream/{name}"), 404)


@pytest.mark.parametrize("wrong", ["a b", "", "a" * 65, 5])
def test_a_bad_name_of_a_stream_is_refused(phone: Phone, wrong: Any) -> None:
    response = phone.client.post("/api/workouts", json={"streamName": wrong})
    problem = problem_of(response, 400)
    assert "alphanumeric" in problem["error"]
    assert [fault["member"] for fault in problem["errors"]] == ["streamName"]


def test_starting_again_by_the_same_stream_is_the_same_ride(phone: Phone, name: str) -> None:
    first = phone.start(name, title="Home", sport="cycling")
    assert phone.start(name, title="Home")["id"] == first["id"]


def test_another_ride_of_the_same_stream_is_fed_from_then_on(phone: Phone, name: str) -> None:
    first = phone.start(name, title="Home")["id"]
    phone.send(name, {"timestamp": T0, "power": 100})
    second = phone.start(name, title="Away", sport="running")["id"]
    phone.send(name, {"timestamp": T0 + 1000, "power": 300})
    assert phone.call("GET", f"/api/workouts/by-stream/{name}")["id"] == second != first
    done = [phone.complete(each) for each in (first, second)]
    assert [each["workout"]["summary"]["avgPower"] for each in done] == [100, 300]
    assert [each["archivedMessages"] for each in done] == [1, 1]


@pytest.mark.parametrize("sport", [None, ""])
def test_a_sport_that_is_none_is_the_usual_one(phone: Phone, name: str, sport: str | None) -> None:
    assert phone.start(name, sport=sport)["sport"] == "cycling"
    own = problem_of(phone.client.post("/api/workouts", json={"sport": sport}), 422)
    assert own["errors"][0]["member"] == "sport"


def test_samples_that_arrive_at_once_are_each_of_a_moment(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda watts: phone.send(name, {"power": watts}), range(100, 200)))
    assert all(each["data"].keys() == {"message", "timestamp"} for each in phone.messages(name))
    assert phone.complete(workout)["workout"]["summary"]["sampleCount"] == 100


def test_a_ride_under_way_is_bare_and_wrapped(phone: Phone, name: str) -> None:
    workout = phone.start(name)
    answer = phone.call("GET", f"/api/workouts/{workout['id']}")
    wrapped = answer.pop("workout")
    assert answer == wrapped
    assert answer["id"] == workout["id"]


def test_telemetry_comes_along_bare_and_wrapped(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    phone.send(name, {"timestamp": T0, "power": 200})
    phone.send(name, {"timestamp": T0 + 1000, "power": 210, "heartrate": 120})
    path = f"/api/workouts/{workout}"
    answer = phone.call("GET", path, params={"includeTelemetry": "true"})
    wrapped = answer.pop("workout")
    assert answer == wrapped
    assert answer["telemetry"] == [
        {"timestamp": T0, "power": 200},
        {"timestamp": T0 + 1000, "power": 210, "heartrate": 120},
    ]


def test_a_ride_sent_sample_by_sample_has_the_summary_of_one_sent_in_batches(
    phone: Phone, make_rider: Callable[[], Rider], name: str
) -> None:
    ride, batches = a_ride(120), make_rider()
    workout = batches.start()
    for at in range(0, len(ride), 30):
        assert batches.upload(workout, ride[at : at + 30]).status_code == 202
    expected = batches.complete(workout)["summary"]

    phone.create(name)
    started = phone.start(name)
    for sample in ride:
        phone.send(name, sample)
    summary = phone.complete(started["id"])["workout"]["summary"]
    assert summary.pop("powerCurve")[0] == {"duration": 1, "watts": expected["maxPower"]}
    assert summary.pop("trainingLoad") == expected["trainingStressScore"]
    assert summary == expected
    assert summary["sampleCount"] == 120


@pytest.mark.parametrize("order", ["before", "after", "between"])
def test_no_sample_is_lost_whenever_the_ride_starts(phone: Phone, name: str, order: str) -> None:
    ride = a_ride(12)
    start_at = {"before": 0, "between": 6, "after": 12}[order]
    for at, sample in enumerate(ride):
        if at == start_at:
            workout = phone.start(name)
        phone.send(name, sample)
    if order == "after":
        workout = phone.start(name)
    done = phone.complete(workout["id"])
    assert done["archivedMessages"] == 12
    assert done["workout"]["summary"]["sampleCount"] == 12


def test_no_sample_is_lost_while_the_ride_starts(phone: Phone, name: str) -> None:
    """In whichever order requests and the start are served."""
    ride = a_ride(40)
    with ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(phone.send, name, sample) for sample in ride[:20]]
        workout = threads.submit(phone.start, name)
        sent += [threads.submit(phone.send, name, sample) for sample in ride[20:]]
        for each in sent:
            each.result()
    done = phone.complete(workout.result()["id"])
    assert done["workout"]["summary"]["sampleCount"] == 40


def test_what_redis_has_forgotten_of_a_stream_is_found_in_its_row(
    phone: Phone, name: str, urls: dict[str, str]
) -> None:
    """As after a process was killed between the row of the ride and the note of it."""
    workout = phone.start(name)
    with open_redis(read_settings(urls)) as client:
        forget(client, phone)
    phone.send(name, {"timestamp": T0, "power": 200})
    with open_redis(read_settings(urls)) as client:
        forget(client, phone)
    assert phone.complete(workout["id"])["workout"]["summary"]["sampleCount"] == 1


def forget(client: Redis, phone: Phone) -> None:
    client.delete(notes_key(UUID(phone.account.user_id)))


def test_samples_are_seen_live_as_they_are_sent(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    with watching(phone.client, live(workout)) as stream:
        stream.await_id()
        phone.send(name, {"timestamp": T0, "power": 222})
        stream.watch_until(T0)
    assert stream.seen[T0]["power"] == 222


def test_a_sample_without_a_timestamp_is_of_the_moment_it_arrived(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    phone.send(name, '{"power": 200, "timestamp": "soon"}')
    [listed] = phone.messages(name)
    answer = phone.call("GET", f"/api/workouts/{workout}", params={"includeTelemetry": "true"})
    assert answer["telemetry"] == [{"timestamp": int(listed["data"]["timestamp"]), "power": 200}]


def test_what_is_no_sample_is_only_told(phone: Phone, name: str) -> None:
    workout = phone.start(name)
    for message in ("hello", {"type": "lap"}, {"power": "hard"}, {"power": -1}, [{"power": 1}], 5):
        phone.send(name, message)
    done = phone.complete(workout["id"])
    assert (done["archivedMessages"], done["workout"]["summary"]["sampleCount"]) == (0, 0)


def test_a_value_that_no_sensor_measures_is_as_missing(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    phone.send(name, {"timestamp": T0, "power": 65_535, "heartrate": "120", "cadence": True})
    answer = phone.call("GET", f"/api/workouts/{workout}", params={"includeTelemetry": "true"})
    assert answer["telemetry"] == [{"timestamp": T0, "heartrate": 120}]


def test_a_ride_is_completed_once_and_its_stream_goes_along(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    phone.send(name, {"timestamp": T0, "power": 200})
    done = phone.complete(workout)
    assert done.keys() == {"success", "workout", "archivedMessages"}
    assert (done["success"], done["archivedMessages"]) == (True, 1)
    assert (done["workout"]["status"], done["workout"]["streamName"]) == ("COMPLETED", None)
    assert name not in phone.streams()
    again = phone.client.post(f"/api/workouts/{workout}/complete")
    problem = problem_of(again, 400)
    assert (problem["error"], problem["type"]) == ("Workout is not active", "/problems/not-active")
    assert phone.call("GET", f"/api/workouts/{workout}")["streamName"] is None


def test_a_stream_that_is_not_archived_stays_and_feeds_the_next_ride(
    phone: Phone, name: str
) -> None:
    first = phone.start(name)["id"]
    phone.send(name, {"timestamp": T0, "power": 200})
    done = phone.complete(first, archiveTelemetry=False)
    assert (done["archivedMessages"], done["workout"]["streamName"]) == (0, None)
    assert len(phone.texts(name)) == 1
    phone.send(name, {"timestamp": T0 + 5000, "power": 300})
    second = phone.start(name)["id"]
    assert second != first
    assert phone.complete(second)["workout"]["summary"]["avgPower"] == 300


def test_a_ride_may_be_completed_whose_stream_was_never_created(phone: Phone, name: str) -> None:
    done = phone.complete(phone.start(name)["id"], archiveTelemetry=True)
    assert done["workout"]["status"] == "COMPLETED"
    assert done["archivedMessages"] == 0


def test_a_body_that_is_no_json_completes_nothing(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    path = f"/api/workouts/{workout}/complete"
    response = phone.client.post(path, content=b"{", headers={"Content-Type": "application/json"})
    problem_of(response, 400)
    assert phone.call("GET", f"/api/workouts/{workout}")["status"] == "ACTIVE"


def test_a_ride_of_our_own_is_completed_as_ever(phone: Phone) -> None:
    rider = as_rider(phone)
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 30))
    path = f"/api/workouts/{workout}/complete"
    assert phone.client.post(path).status_code == 202
    again = phone.client.post(path, headers={"Prefer": "wait=30"})
    assert again.status_code == 200
    assert again.json().keys() == {"success", "workout", "epoch"}


@pytest.mark.parametrize(
    ("content", "kind"), [(b"a=b", "application/x-www-form-urlencoded"), (b"done", "text/plain")]
)
def test_a_ride_of_our_own_is_completed_whatever_is_sent_that_is_no_object(
    phone: Phone, content: bytes, kind: str
) -> None:
    path = f"/api/workouts/{as_rider(phone).start()}/complete"
    sent = phone.client.post(path, content=content, headers={"Content-Type": kind})
    assert sent.status_code == 202


def test_a_deleted_stream_leaves_the_ride_which_goes_on(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    phone.send(name, {"timestamp": T0, "power": 200})
    phone.call("DELETE", f"/api/streams/{name}")
    phone.send(name, {"timestamp": T0 + 1000, "power": 210})
    assert phone.complete(workout)["workout"]["summary"]["sampleCount"] == 2


def test_a_deleted_ride_takes_its_stream_along(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    phone.send(name, {"timestamp": T0, "power": 200})
    deleted = phone.call("DELETE", f"/api/workouts/{workout}")
    assert deleted.keys() == {"success", "message"}
    assert name not in phone.streams()
    problem_of(phone.client.get(f"/api/workouts/{workout}"), 404)


def test_a_ride_is_changed(phone: Phone, name: str) -> None:
    workout = phone.start(name)["id"]
    changed = phone.call("PATCH", f"/api/workouts/{workout}", json={"title": "Evening"})
    assert changed.keys() == {"success", "workout"}
    assert (changed["success"], changed["workout"]["title"]) == (True, "Evening")


def test_what_these_clients_send_besides_is_ignored_and_of_our_own_refused(
    phone: Phone, name: str
) -> None:
    workout = phone.start(name, titel="x", device={"model": "y"})["id"]
    path = f"/api/workouts/{workout}"
    wanted = {"title": "Evening", "status": "COMPLETED", "notes": "z"}
    changed = phone.call("PATCH", path, json=wanted)["workout"]
    assert (changed["title"], changed["status"]) == ("Evening", "ACTIVE")
    phone.call("GET", f"/api/workouts/by-stream/{name}", params={"t": "1"})
    phone.call("GET", f"/api/streams/{name}/messages", params={"count": "1", "t": "1"})
    phone.call("POST", f"{path}/complete", json={"archiveTelemetry": True, "reason": "home"})
    phone.call("PATCH", path, json={"title": "Night", "notes": "z"})
    problem_of(phone.client.post("/api/workouts", json={"titel": "x"}), 422)
    own = phone.call("POST", "/api/workouts", json={})["workout"]["id"]
    problem_of(phone.client.patch(f"/api/workouts/{own}", json={"notes": "z"}), 422)


def test_a_start_that_is_repeated_with_its_key_is_the_same_ride(phone: Phone, name: str) -> None:
    wanted, key = {"streamName": name}, {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
    first, again = (
        phone.client.post("/api/workouts", json=wanted, headers=key).json() for _ in range(2)
    )
    assert first == again
    phone.send(name, {"timestamp": T0, "power": 200})
    ended = phone.complete(first["workout"]["id"])
    assert ended["workout"]["summary"]["sampleCount"] == 1


def test_rides_are_listed_a_thousand_at_a_time_by_what_these_clients_know(
    phone: Phone, make_phone: Callable[[], Phone], name: str
) -> None:
    done = phone.start(f"{name}-1", sport="running")["id"]
    phone.complete(done)
    active = phone.start(f"{name}-2")["id"]
    today = datetime.now(UTC)

    def found(**query: Any) -> list[str]:
        answer = phone.call("GET", "/api/workouts", params=query)
        assert answer["pagination"].items() >= {"page": 1}.items()
        return [each["id"] for each in answer["workouts"]]

    assert found(limit=1000, page=1) == [active, done]
    assert phone.client.get("/api/workouts", params={"limit": 1001}).status_code == 422
    assert found(status="COMPLETED") == [done]
    assert found(sport="running") == [done]
    assert found(userId=phone.account.user_id) == found(userId="me") == [active, done]
    assert found(userId=make_phone().account.user_id) == []
    assert found(startDate=today.isoformat()[:10]) == [active, done]
    assert found(endDate=today.isoformat()[:10]) == [active, done]
    assert found(endDate=(today - timedelta(days=1)).isoformat()[:10]) == []
    assert found(startDate=(today + timedelta(hours=1)).isoformat()) == []
    wrong = phone.client.get("/api/workouts", params={"startDate": "x"})
    assert problem_of(wrong, 422)["errors"][0]["member"] == "startDate"
    for two in ({"from": "2024-01-01", "startDate": "2024-01-02"}, {"to": "1", "endDate": "2"}):
        problem = problem_of(phone.client.get("/api/workouts", params=two), 422)
        assert [each["member"] for each in problem["errors"]] == list(two)


def test_the_history_has_a_curve_and_a_load(phone: Phone, name: str) -> None:
    phone.call("PUT", "/api/users/me/ftp", json={"ftp": 200})
    workout = phone.start(name)["id"]
    start = time.time_ns() // 1_000_000 - 60_000  # an FTP holds from the day on that it is given
    for sample in seconds_of(200, 31, start):
        phone.send(name, sample)
    phone.complete(workout)
    answer = phone.call("GET", "/api/workouts")
    summary = answer["workouts"][0]["summary"]
    assert summary["powerCurve"] == [
        {"duration": duration, "watts": 200} for duration in (1, 5, 10, 30)
    ]
    # 31 s at an hour's power is 31/36 of a point.
    assert summary["trainingLoad"] == pytest.approx(31 / 36, abs=0.001)
    assert phone.call("GET", f"/api/workouts/{workout}")["summary"] == summary
    changed = phone.call("PATCH", f"/api/workouts/{workout}", json={"title": "Evening"})
    assert changed["workout"]["summary"] == summary
