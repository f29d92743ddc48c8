"""Every operation is published with an example: a request that is taken, and its real answer.

A rider's day is played against the service, each request with the example that the document has.
What was answered is published as recorded in api/web/examples.json; RECORD_EXAMPLES=1 does it anew.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import count
from secrets import token_hex
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from openapi_schema_validator import OAS31Validator

from api.app import OPERATIONS, SUBJECTS
from api.web.body import JSON
from api.web.examples import PROBLEM
from api.web.openapi import document
from api.web.routing import Operation
from tests.api.answers import T0
from tests.api.apps.flows import App, Ask
from tests.api.files.ride_files import OCTETS, gpx
from tests.api.pages.browsing import Visitor
from tests.conftest import ROOT, forget_attempts

FILE = ROOT / "api" / "web" / "examples.json"
RECORDED: dict[str, Any] = json.loads(FILE.read_text())
DOCUMENT = document(SUBJECTS, "1")
BY_NAME = {each.handler.__name__: each for each in OPERATIONS}
TEXTS = (
    *(JSON, "text/csv", "text/event-stream", "image/svg+xml"),
    *("application/gpx+xml", "application/vnd.garmin.tcx+xml"),
)
# They have no answer of their own, or need what is not here: a provider, a head unit's threshold.
UNRECORDED = {"start_sign_in", "finish_sign_in", "take_device_ftp"}
SECONDS = 2400
DEPTH = 5  # operation, status, content type, its members and theirs
LONGEST = 12  # of a list; of longer ones three items are published
BEGUN = datetime(2026, 5, 17, 16, 30, tzinfo=UTC)  # when the published day was, as it seems

ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
KEY = re.compile(r"bpt_([0-9a-f]{16})_[A-Za-z0-9_-]{43,}")
MOMENT = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
ADDRESS = re.compile(r"[0-9a-f]{12}@example\.com")


def riding() -> list[dict[str, float]]:
    """Forty minutes: waves about 200 W, with five minutes at 280 W."""
    return [
        {
            "timestamp": T0 + second * 1000,
            "power": round(280 if 900 <= second < 1200 else 200 + 40 * math.sin(second / 60)),
            "heartrate": round(140 + 12 * math.sin(second / 90)),
            "cadence": 88,
            "speed": 8.4,
            "distance": round(8.4 * second, 1),
            "altitude": round(430 + 25 * math.sin(second / 300), 1),
            "lat": round(47.3769 + second * 5e-5, 6),
            "lng": 8.5417,
        }
        for second in range(2, SECONDS)
    ]


class Day:
    """Calls operations by name, and keeps what they answered."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client
        self.places: dict[str, str] = {}
        self.answered: dict[str, dict[str, dict[str, Any]]] = {}

    def call(self, name: str, **options: Any) -> Any:
        """The answer to an operation, which is sent its published example."""
        operation = BY_NAME[name]
        if JSON in operation.body and "json" not in options:
            options["json"] = operation.example
        path = re.sub(r"{(\w+)}", lambda found: self.places[found[1]], operation.path)
        response = self.client.request(operation.method, path, **options)
        assert response.is_success, (name, response.text)
        assert_kept_as_declared(operation, response)
        media = response.headers["content-type"].partition(";")[0]
        if media not in TEXTS:
            return None
        lines = response.text.splitlines(keepends=True)
        answer = response.json() if media == JSON else "".join(lines[:LONGEST])
        by_status = self.answered.setdefault(name, {})
        by_status.setdefault(str(response.status_code), {})[media] = answer
        return answer

    def refuse(self, name: str, **options: Any) -> None:
        """The problem that an operation answers a request with."""
        operation = BY_NAME[name]
        path = re.sub(r"{(\w+)}", lambda found: self.places[found[1]], operation.path)
        response = self.client.request(operation.method, path, **options)
        assert response.headers["content-type"] == PROBLEM, (name, response.text)
        by_status = self.answered.setdefault(name, {})
        by_status[str(response.status_code)] = {PROBLEM: response.json()}

    def sign_in(self, key: str) -> None:
        self.client.headers["Authorization"] = f"Bearer {key}"


def assert_kept_as_declared(operation: Operation, response: httpx2.Response) -> None:
    """What has an ETag is kept and asked about; nothing else is, but for streams of events."""
    name = operation.handler.__name__
    assert ("etag" in response.headers) == operation.is_revalidated, name
    is_stream = response.headers["content-type"].startswith("text/event-stream")
    without = "no-cache" if is_stream else "private, no-store"
    kept = "private, no-cache" if operation.is_revalidated else without
    assert response.headers.get_list("cache-control") == [kept], name


def play(service: str) -> dict[str, Any]:
    """A rider's day: the answer to every operation, by its name."""
    email = f"{token_hex(6)}@example.com"
    with httpx2.Client(base_url=service, timeout=60) as client:
        return spend(Day(client), email)


def spend(day: Day, email: str) -> dict[str, Any]:
    account = {**BY_NAME["log_in"].example, "email": email}
    for name in ("get_health", "get_liveness", "get_readiness", "list_providers"):
        day.call(name)
    day.call("register", json={**BY_NAME["register"].example, "email": email})
    day.sign_in(day.call("log_in", json=account)["secret"])
    manage_account(day)
    ride(day)
    look(day)
    let_in(day)
    show(day)
    tell(day)
    correct(day)
    send_file(day)
    end(day, account)
    return day.answered


def manage_account(day: Day) -> None:
    for name in ("update_user", "get_user", "put_thresholds", "get_thresholds"):
        day.call(name, **({"json": FROM_THE_START} if name == "put_thresholds" else {}))
    for name in ("put_places", "get_places"):
        day.call(name)
    day.places["key"] = day.call("create_key")["key"]["id"]
    connect_app(day)
    for name in ("list_keys", "rotate_key", "revoke_key"):
        day.call(name)


def connect_app(day: Day) -> None:
    made = day.call("register_app")
    app = App(str(day.client.base_url).rstrip("/"), made["app"]["id"], made["clientSecret"])
    day.places["app"] = app.id
    with Visitor(app.service) as browser:
        key = day.client.headers["Authorization"].removeprefix("Bearer ")
        browser.client.cookies.set("session", key)
        ask = Ask(app, redirect=made["app"]["redirectUris"][0])
        assert ask.exchange(ask.code(browser)).status_code == 200
    for name in ("list_apps", "update_app", "rotate_app_secret"):
        day.call(name)
    for name in ("list_connections", "end_connection", "delete_app"):
        day.call(name)


FROM_THE_START = {"effectiveFrom": "2023-01-01", "ftp": 250, "weight": 70}


def ride(day: Day) -> None:
    day.places["id"] = day.call("create_workout")["workout"]["id"]
    day.call("upload_telemetry")
    day.call("pause_workout")
    day.call("resume_workout")
    place = f"/api/workouts/{day.places['id']}"
    assert day.client.post(f"{place}/telemetry", json=riding()).status_code == 202
    day.call("complete_workout")
    day.call("complete_workout", params={"wait": 30})
    day.refuse("upload_telemetry", json=[{"timestamp": T0, "power": -5}])
    day.refuse("pause_workout")
    day.refuse("list_workouts", params={"sort": "watts"})
    day.refuse("update_workout", json={"titel": "Evening ride"})
    day.refuse("exclude_workout", json={"start": T0, "end": T0 + 60_000})
    day.call("update_workout")
    for name in ("get_workout", "list_workouts", "get_receipt"):
        day.call(name)


def look(day: Day) -> None:
    some = {"from": T0, "to": T0 + 3000}
    day.call("get_telemetry", params={**some, "format": "csv"})
    day.call("get_telemetry", params=some)
    day.call("get_chart", params={"points": 4, "channels": "power,heartrate"})
    day.call("get_figures", params={"from": T0 + 900_000, "to": T0 + 1_200_000})
    for name in ("get_workout_power_curve", "get_records", "get_power_curve"):
        day.call(name)
    for name in ("get_critical_power", "get_stats", "get_recompute", "watch_workout"):
        day.call(name)
    day.call("get_fitness", params={"from": "2023-11-14", "to": "2023-11-16"})
    day.call("get_ftp_suggestion", params={"from": "2023-11-01", "to": "2023-12-01"})
    day.call("export_ride", params={"format": "csv"})
    for kind in ("json", "tcx", "gpx"):
        day.call("export_ride", params={"format": kind})


def show(day: Day) -> None:
    shared = day.call("share_workout")
    day.places |= {"token": shared["token"], "share": shared["share"]["id"]}
    some = {"from": T0 + 300_000, "to": T0 + 303_000}
    day.call("get_shared_telemetry", params={**some, "format": "csv"})
    day.call("get_shared_telemetry", params=some)
    day.call("get_shared_chart", params={"points": 4, "channels": "power,heartrate"})
    day.call("get_shared_curve")
    for name in ("list_shares", "get_shared", "watch_shared", "get_shared_card", "revoke_share"):
        day.call(name)


def tell(day: Day) -> None:
    """Of a change, a receiver that nobody is."""
    day.places["webhook"] = day.call("create_webhook")["webhook"]["id"]
    day.refuse("create_webhook", json={"url": "ftp://10.0.0.1/", "events": ["record.set"]})
    place = f"/api/workouts/{day.places['id']}"
    assert day.client.patch(place, json={"title": "Evening ride, by the lake"}).is_success
    delivery = day.call("list_deliveries")["deliveries"][0]
    day.places["delivery"] = str(delivery["id"])
    for name in ("list_webhooks", "get_webhook", "update_webhook", "redeliver"):
        day.call(name)
    for name in ("rotate_webhook_secret", "delete_webhook"):
        day.call(name)
    day.call("get_changes", params={"limit": 1})


def let_in(day: Day) -> None:
    """A coach, whom the rider lets in, and another, who declines."""
    rider, coach = day.client.headers["Authorization"], f"{token_hex(6)}@example.com"
    account = {**BY_NAME["log_in"].example, "email": coach}
    assert day.client.post("/api/users", json={**account, "timeZone": "UTC"}).status_code == 201
    day.places["athlete"] = day.client.get("/api/users/me").json()["user"]["id"]
    session = day.client.post("/api/sessions", json=account).json()["secret"]
    for name in ("leave_athlete", "accept_athlete"):
        day.call("share_with", json={"email": coach})
        day.sign_in(session)
        day.call("list_athletes")
        day.call(name)
        day.call("list_athletes")
        day.client.headers["Authorization"] = rider


def correct(day: Day) -> None:
    for name in ("add_laps", "exclude_workout", "include_workout", "crop_workout", "undo_crop"):
        day.call(name)
    day.call("remove_telemetry", params={"from": T0 + 2_100_000})
    day.call("delete_workout")
    day.places["id"] = str(uuid4())
    for _ in range(2):  # as without an answer to the first one
        day.call("start_workout")


def send_file(day: Day) -> None:
    body = gpx(120, power=210)
    sent = day.call("send_file", content=body, headers=OCTETS, params={"filename": "ride.gpx"})
    day.places["upload"] = sent["upload"]["id"]
    day.call("get_upload", params={"wait": 30})
    day.call("list_uploads")
    day.refuse("send_file", content=body, headers=OCTETS)
    again = {"filename": "ride.gpx", "wait": 30}
    day.call("send_file", content=gpx(60, T0 - 86_400_000), headers=OCTETS, params=again)


def end(day: Day, account: dict[str, Any]) -> None:
    day.call("change_password")
    fresh = {**account, **BY_NAME["change_password"].example}
    for name in ("log_out", "delete_account"):
        day.sign_in(day.client.post("/api/sessions", json=fresh).json()["secret"])
        day.call(name)


def published(answered: dict[str, Any]) -> dict[str, Any]:
    """The answers without what is new each time: ids, secrets, and the moment of the recording."""
    text = json.dumps(shortened(answered), ensure_ascii=False)
    later = BEGUN - datetime.now(UTC).replace(microsecond=0)
    text = KEY.sub(lambda found: f"bpt_{found[1]}_…", text)
    text = re.sub(r'"(token|clientSecret)": "[^"]*"', r'"\1": "…"', text)
    text = re.sub(r"whsec_[A-Za-z0-9+/=]+", "whsec_…", text)
    text = re.sub(r'"cursor": "[^"]*"', '"cursor": "…"', text)
    text = re.sub(r"/shared/[A-Za-z0-9_-]{43}", "/shared/…", text)
    text = ADDRESS.sub("me@example.com", text)
    text = ID.sub(in_turn("01970000-0000-7000-8000-{:012x}"), text)
    text = re.sub(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])", in_turn("{:016x}"), text)
    text = MOMENT.sub(lambda found: shifted(found[0], later), text)
    document: dict[str, Any] = json.loads(text)
    return document


def in_turn(form: str) -> Callable[[re.Match[str]], str]:
    known: dict[str, str] = {}
    numbers = count(1)

    def name(found: re.Match[str]) -> str:
        if found[0] not in known:
            known[found[0]] = form.format(next(numbers))
        return known[found[0]]

    return name


def shifted(moment: str, later: timedelta) -> str:
    """A moment of this year, as if the day had been another; rides were long before."""
    then = datetime.fromisoformat(moment)
    is_recent = abs(datetime.now(UTC) - then) < timedelta(days=400)
    return (then + later).isoformat().replace("+00:00", "Z") if is_recent else moment


def shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shortened(each) for name, each in value.items()}
    if isinstance(value, list):
        some = value if len(value) <= LONGEST else [value[0], value[len(value) // 2], value[-1]]
        return [shortened(each) for each in some]
    return value


def shape_of(value: Any, depth: int = DEPTH) -> Any:
    """The members, without what they say. What is within them may wait for a worker."""
    if isinstance(value, dict) and depth:
        return {name: shape_of(each, depth - 1) for name, each in sorted(value.items())}
    return None


def examples() -> Iterator[tuple[str, str, str, Any, Any]]:
    """Operation, status, content type, schema and example of each answer."""
    for item in DOCUMENT["paths"].values():
        for one in item.values():
            for status, answer in one["responses"].items():
                for media, content in answer.get("content", {}).items():
                    example = content.get("example")
                    yield one["operationId"], status, media, content["schema"], example


@pytest.fixture(scope="module")
def answered(service: str, urls: dict[str, str]) -> dict[str, Any]:
    forget_attempts(urls)
    found = published(play(service))
    if os.environ.get("RECORD_EXAMPLES"):
        FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found


def test_every_operation_was_asked(answered: dict[str, Any]) -> None:
    binary = {
        name
        for name, one in BY_NAME.items()
        if one.answers.get(HTTPStatus.OK) is bytes and not set(TEXTS) & set(one.media)
    }
    assert set(answered) == set(BY_NAME) - UNRECORDED - binary


def test_what_is_published_is_what_is_answered(answered: dict[str, Any]) -> None:
    """After a change of an answer: RECORD_EXAMPLES=1 make test PYTEST_ARGS='-k examples'."""
    assert shape_of(RECORDED) == shape_of(answered)


def described() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each operation of the document, by its path and method."""
    for path, item in DOCUMENT["paths"].items():
        for method, one in item.items():
            yield f"{method.upper()} {path}", one


@pytest.mark.parametrize(("name", "operation"), list(described()))
def test_every_request_and_every_answer_has_an_example(
    name: str, operation: dict[str, Any]
) -> None:
    answers = [each.get("content", {}) for each in operation["responses"].values()]
    for content in (operation.get("requestBody", {}).get("content", {}), *answers):
        for media, told in content.items():
            assert told.get("example"), (name, media)


@pytest.mark.parametrize(("name", "operation"), list(described()))
def test_every_parameter_says_what_it_is(name: str, operation: dict[str, Any]) -> None:
    assert [each["name"] for each in operation["parameters"] if not each.get("description")] == []


def test_every_example_is_as_its_schema_says() -> None:
    checked = 0
    for name, status, media, schema, example in examples():
        if media in (JSON, PROBLEM):
            whole = OAS31Validator({**schema, "components": DOCUMENT["components"]})
            assert [each.message for each in whole.iter_errors(example)] == [], (name, status)
            checked += 1
    assert checked > 400


def test_the_figures_of_an_example_mean_something() -> None:
    """By hand: 300 of 2,400 s at 280 W, the others on waves about 200 W."""
    content = BY_NAME["get_workout"]
    summary = RECORDED[content.handler.__name__]["200"][JSON]["workout"]["summary"]
    assert 205 < summary["avgPower"] < 225
    assert summary["duration"] == SECONDS - 1
    assert summary["parameters"]["ftp"] == 250
    noisy = re.findall(r"\d\.\d{7,}", json.dumps(RECORDED["get_records"]))
    assert noisy == []
