"""What is said of names that nobody knows and of values that are not allowed."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from api.app import OPERATIONS
from api.identity.accounts import Registration
from api.identity.keys import CreateKey
from api.season.records import Exclusion
from api.season.thresholds import PutThresholds
from api.sharing.wire import Places
from api.web.body import JSON, decode_json
from api.web.problems import UnknownName, Unprocessable
from api.web.shapes import nearest
from api.workouts.laps import LapMarks
from api.workouts.listing import ListQuery
from api.workouts.starting import CreateWorkout, StartWorkout
from shared.allowed import PATTERNS


@pytest.mark.parametrize(
    ("body", "kind", "member", "detail"),
    [
        ({"titel": "x"}, CreateWorkout, "titel", "did you mean `title`?"),
        ({"max_hr": 190}, PutThresholds, "max_hr", "did you mean `maxHeartrate`?"),
        ({"maxHr": 190}, PutThresholds, "maxHr", "did you mean `maxHeartrate`?"),
        ({"vo2": 60}, PutThresholds, "vo2", "there are `effectiveFrom`, `sport`, `ftp`, "),
        ({"maxHeartRate": 190}, PutThresholds, "maxHeartRate", "did you mean `maxHeartrate`?"),
        ({"start": 1, "end": 2}, Exclusion, "start", "did you mean `from`?"),
        (
            {"places": [{"name": "a", "lat": 1, "lng": 2}, {"lat": 1, "lon": 2}]},
            Places,
            "places[1].lon",
            "did you mean `lng`?",
        ),
    ],
)
def test_an_unknown_member_is_named_by_its_path_with_the_nearest_known_one(
    body: Any, kind: type, member: str, detail: str
) -> None:
    with pytest.raises(UnknownName) as caught:
        decode_json(msgspec.json.encode(body), kind)
    assert caught.value.errors[0].member == member
    assert detail in caught.value.errors[0].detail
    assert caught.value.detail == f"{member}: {caught.value.errors[0].detail}"


def test_a_body_of_very_many_unknown_members_is_answered_with_some_of_them() -> None:
    body = {f"member{number}" + "x" * 1000: 1 for number in range(1000)}
    with pytest.raises(UnknownName) as caught:
        decode_json(msgspec.json.encode(body), CreateWorkout)
    assert len(caught.value.errors) == 20
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ({"email": "a", "password": "x"}, Registration, "password: must be text of 8 to 1000 char"),
        ({"email": "a"}, Registration, "password: is missing"),
        ([], Registration, "the body must be an object"),
        ({"name": "a", "scopes": ["reed"]}, CreateKey, "scopes[0]: must be one of admin, read, up"),
        ({"name": "a", "scopes": []}, CreateKey, "scopes: must be an array of 1 to 3 items"),
        ({"effectiveFrom": "now"}, PutThresholds, "effectiveFrom: must be a date, such as 2026-"),
        (
            {"effectiveFrom": "2024-01-01", "ftp": -3},
            PutThresholds,
            "ftp: must be a number from 10 to 3000, not -3",
        ),
        ({"places": [{"name": "a", "lat": 1}]}, Places, "places[0].lng: is missing"),
        (
            {"places": [{"name": "a", "lat": "1", "lng": 2}]},
            Places,
            "places[0].lat: must be a number from -90 to 90",
        ),
        ({"startTime": "noon"}, CreateWorkout, "startTime: must be a time as in RFC 3339 with"),
        ({"sport": "a b"}, CreateWorkout, "sport: must be text of 1 to 50 characters of the lett"),
        ({"sport": "a b"}, StartWorkout, "sport: must be text of at most 50 characters of the let"),
        ({"from": True}, Exclusion, "from: must be Unix milliseconds, a time as in RFC 3339 or a "),
        ({"spike": "x"}, Exclusion, "spike: must be Unix milliseconds, or a time as in RFC 3339 "),
        ({"laps": [{"end": "x"}]}, LapMarks, "laps[0].end: must be Unix milliseconds, or a time"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(body: Any, kind: type, said: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        decode_json(msgspec.json.encode(body), kind)
    assert caught.value.detail.startswith(said)


def test_a_password_that_is_refused_is_not_repeated() -> None:
    with pytest.raises(Unprocessable) as caught:
        decode_json(b'{"email": "a", "password": "hunter2"}', Registration)
    assert "hunter2" not in caught.value.detail


def every_type(shape: inspect.Type) -> Iterator[inspect.Type]:
    yield shape
    for parts in (getattr(shape, "types", ()), [getattr(shape, "item_type", None)]):
        for part in filter(None, parts):
            yield from every_type(part)
    if isinstance(shape, inspect.Metadata):
        yield from every_type(shape.type)
    for field in getattr(shape, "fields", ()):
        yield from every_type(field.type)


def test_every_pattern_of_the_api_has_words() -> None:
    kinds = [one.query for one in OPERATIONS if one.query]
    kinds += [one.body[JSON] for one in OPERATIONS if JSON in one.body]
    kinds.append(StartWorkout)  # read in place of what the document says
    types = [each for kind in kinds for each in every_type(inspect.type_info(kind))]
    patterns = {each.pattern for each in types if isinstance(each, inspect.StrType)}
    assert patterns - {None} <= PATTERNS.keys()


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("heartRate", ["power", "heartrate"], "heartrate"),
        ("heart_rate", ["power", "heartrate"], "heartrate"),
        ("powerInWatts", ["power", "cadence"], "power"),
        ("foo", ["power", "cadence"], None),
        ("x" * 100_000, ["power"], None),
        ("foo", [], None),
    ],
)
def test_the_nearest_name_is_near(name: str, known: list[str], meant: str | None) -> None:
    assert nearest(name, known) == meant


def test_every_name_of_a_query_is_known_to_itself() -> None:
    names = [field.encode_name for field in msgspec.structs.fields(ListQuery)]
    assert [nearest(name, names) for name in names] == names
