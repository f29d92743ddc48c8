"""The list of workouts: pages, cursors, filters."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.api.answers import problem_of
from tests.conftest import Rider


def listed(rider: Rider, **query: object) -> dict[str, Any]:
    response = rider.client.get("/api/workouts", params={k: str(v) for k, v in query.items()})
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


def ids(page: dict[str, Any]) -> list[str]:
    return [workout["id"] for workout in page["workouts"]]


def start_on(rider: Rider, day: int, **members: object) -> str:
    return rider.start(startTime=f"2024-05-{day:02d}T10:00:00Z", **members)


def test_the_newest_comes_first(rider: Rider) -> None:
    second, third, first = (start_on(rider, day) for day in (2, 3, 1))
    assert ids(listed(rider)) == [third, second, first]


def test_a_rider_without_workouts_has_an_empty_page(rider: Rider) -> None:
    assert listed(rider) == {
        "workouts": [],
        "pagination": {"page": 1, "limit": 20, "total": 0, "totalPages": 0, "nextCursor": None},
    }


@pytest.mark.parametrize("limit", [1, 3, 7, 8])
def test_pages_and_cursors_walk_the_same_workouts(rider: Rider, limit: int) -> None:
    # Four of seven begin at the same moment, so that the id must break the tie.
    started = {start_on(rider, day) for day in (1, 2, 2, 2, 2, 3, 4)}
    whole = ids(listed(rider))
    assert set(whole) == started

    pages = -(-7 // limit)
    by_page = [listed(rider, page=page, limit=limit) for page in range(1, pages + 1)]
    assert [one for page in by_page for one in ids(page)] == whole
    assert {page["pagination"]["total"] for page in by_page} == {7}
    assert {page["pagination"]["totalPages"] for page in by_page} == {pages}
    assert ids(listed(rider, page=pages + 1, limit=limit)) == []

    page, by_cursor = by_page[0], ids(by_page[0])
    for _ in range(pages - 1):
        page = listed(rider, cursor=page["pagination"]["nextCursor"], limit=limit)
        assert "total" not in page["pagination"]
        by_cursor += ids(page)
    assert page["pagination"]["nextCursor"] is None
    assert by_cursor == whole


def test_a_cursor_does_not_stumble_over_what_is_added_meanwhile(rider: Rider) -> None:
    older = [start_on(rider, day) for day in (4, 3, 2, 1)]
    first = listed(rider, limit=2)
    start_on(rider, 5)
    assert ids(listed(rider, limit=2, cursor=first["pagination"]["nextCursor"])) == older[2:]


def test_the_last_full_page_has_no_next(rider: Rider) -> None:
    start_on(rider, 1)
    assert listed(rider, limit=1)["pagination"]["nextCursor"] is None


def test_a_status_filters(rider: Rider) -> None:
    active, paused = rider.start(), rider.start()
    rider.client.post(f"/api/workouts/{paused}/pause")
    assert ids(listed(rider, status="PAUSED")) == [paused]
    assert ids(listed(rider, status="ACTIVE")) == [active]
    page = listed(rider, status="COMPLETED")
    assert (ids(page), page["pagination"]["total"]) == ([], 0)


def test_a_sport_filters(rider: Rider) -> None:
    gravel = rider.start(sport="gravel")
    rider.start(sport="gravel-race")
    assert ids(listed(rider, sport="gravel")) == [gravel]
    assert len(ids(listed(rider, sport="all"))) == len(ids(listed(rider))) >= 2


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ({"from": "2024-05-02T10:00:00Z"}, [3, 2]),
        ({"from": "2024-05-02T10:00:00.000001Z"}, [3]),
        ({"to": "2024-05-02T10:00:00Z"}, [1]),
        ({"to": "2024-05-02T10:00:00.000001Z"}, [2, 1]),
        ({"from": "2024-05-02", "to": "2024-05-03"}, [2]),
        ({"from": "2024-05-02T12:00:00+02:00"}, [3, 2]),
        ({"from": 1_714_644_000_000}, [3, 2]),  # 2024-05-02T10:00:00Z
        ({"from": "2024-05-03T06:00:00+20:00"}, [3, 2]),
        ({"from": "0001-01-01T00:00:00+10:00", "to": "9999-12-31T23:59:59-10:00"}, [3, 2, 1]),
        ({"from": "", "to": ""}, [3, 2, 1]),
    ],
)
def test_from_is_included_and_to_is_not(
    rider: Rider, query: dict[str, Any], days: list[int]
) -> None:
    started = {day: start_on(rider, day) for day in (1, 2, 3)}
    assert ids(listed(rider, **query)) == [started[day] for day in days]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("izoard", ["climb"]),
        ("IZOARD climb", ["climb"]),
        ("-izoard", ["flat"]),
        ("izoard or polder", ["flat", "climb"]),
        ('"headwind all"', ["flat"]),
        ('"all headwind"', []),
        ("\u201cheadwind all\u201d", ["flat"]),  # as telephones write quotation marks
        ("\u201eall headwind\u201c", []),
        ("izoard\u3000or\u00a0polder", ["flat", "climb"]),
        ("'); DROP TABLE workouts; --", []),
        ("&|!:*<->", []),
        ("--izoard", ["flat"]),
        ("- izoard", ["climb"]),
        ("long--climb", ["climb"]),  # as "long climb", and not without climb
        ('-"headwind all"', ["climb"]),
        ("-" * 33 + "izoard", ["flat"]),
        ("-" * 33, []),
        ("- " * 33 + "izoard", ["climb"]),
        ("(-" * 33 + "izoard", ["flat"]),
    ],
)
def test_words_of_title_and_description_are_found(
    rider: Rider, words: str, found: list[str]
) -> None:
    climb = start_on(rider, 1, title="Col d'Izoard", description="A long climb")
    flat = start_on(rider, 2, title="Polder", description="Headwind all day")
    names = {climb: "climb", flat: "flat"}
    page = listed(rider, q=words)
    assert [names[one] for one in ids(page)] == found
    assert page["pagination"]["total"] == len(found)


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("E\u0301tape du matin", ["étape", "e\u0301tape", "etape", "ÉTAPE", "E\u0301TAPE"]),
        ("Étape du matin", ["étape", "e\u0301tape", "etape", "ÉTAPE", '"etape du"']),
        ("home/work", ["home", "work", "home/work", '"home work"', "work home"]),
        ("From e-mail@addresses.example", ["mail", "e-mail", "addresses", "e-mail@addresses"]),
        ("https://example.org/routes/42?a=b", ["routes", "example.org", "42", "routes/42"]),
        ("Zürich–Basel", ["zurich", "Basel", "Zürich–Basel", "zürich-basel"]),
        ("Zürich→Basel_via·Olten", ["zürich", "basel", "via", "olten"]),
        ("Große Straße", ["strasse", "STRASSE", "straße", "grosse"]),
        ("Łódź, Tromsø", ["lodz", "Łódź", "tromso"]),
        ("朝の通勤ライド", ["通勤", "朝", "ライド", "朝の通勤ライド", "ﾗｲﾄﾞ", "通勤　朝"]),
        ("周末骑行去长城", ["骑行", "长城"]),
        ("ปั่นจักรยานตอนเช้า", ["จักรยาน", "ตอนเช้า"]),
        ("아침출근라이딩", ["출근"]),
        ("Morning ride🚴\u200d♂️", ["ride", "🚴"]),
        ("L’Alpe d’Huez", ["alpe", "l'alpe", "huez"]),
        ("ΟΔΟΣ", ["οδος"]),
        ("Привет ёлка", ["ПРИВЕТ", "елка"]),
    ],
)
def test_a_ride_is_found_by_a_word_that_stands_in_its_title(
    rider: Rider, title: str, words: list[str]
) -> None:
    ride = start_on(rider, 1, title=title)
    start_on(rider, 2, title="Polder", description="Headwind")
    for q in words:
        assert ids(listed(rider, q=q)) == [ride], q
    described = start_on(rider, 3, description=f"Then: {title}")
    assert ids(listed(rider, q=words[0])) == [described, ride]


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("朝の通勤ライド", ["勤通", "朝通勤", "-通勤"]),
        ("home/work", ["wo", "homework", "work/home", "-home/work"]),
        ("camelCase", ["camel", "case"]),
        ("Zürich–Basel", ["zuerich", "richbasel"]),
    ],
)
def test_a_ride_is_not_found_by_what_does_not_stand_there(
    rider: Rider, title: str, words: list[str]
) -> None:
    start_on(rider, 1, title=title)
    for q in words:
        assert ids(listed(rider, q=q)) == [], q


def test_a_new_title_is_searched_and_the_old_one_is_not(rider: Rider) -> None:
    ride = start_on(rider, 1, title="Morning ride")
    rider.client.patch(f"/api/workouts/{ride}", json={"title": "夜のライド"}).raise_for_status()
    assert ids(listed(rider, q="夜")) == [ride]
    assert ids(listed(rider, q="morning")) == []


def test_words_of_any_length_and_number_are_searched(rider: Rider) -> None:
    """PostgreSQL takes no word of more than 2,046 bytes; this sign stands for eighteen letters."""
    endless = start_on(rider, 1, description="w" * 10_000)
    many = start_on(rider, 2, description="\ufdfa " * 5_000)
    assert ids(listed(rider, q="w" * 200)) == [endless]
    assert ids(listed(rider, q="w" * 99)) == []
    assert ids(listed(rider, q="\ufdfa")) == [many]


@given(
    st.text(st.sampled_from("-\"( )&|!:*'\\<> a\u00e9\U0001d538\u0301\t\n\x01\x7f"), max_size=200)
)
@example("-" * 200)
@example("- " * 100)
@example('-"' * 100)
@example('-""' * 66)
@example("-(" * 100)
@example("-\u0301" * 100)
@example("-\u30e9" * 100)
@example("or " * 66)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_words_are_a_fault_of_ours(rider: Rider, words: str) -> None:
    """A NOT for each hyphen would be one too many for PostgreSQL after 32 of them."""
    assert rider.client.get("/api/workouts", params={"q": words}).status_code == 200


def test_filters_hold_along_a_cursor(rider: Rider) -> None:
    gravel = [start_on(rider, day, sport="gravel") for day in (5, 3, 1)]
    for day in (4, 2):
        start_on(rider, day)
    first = listed(rider, sport="gravel", limit=2)
    rest = listed(rider, sport="gravel", limit=2, cursor=first["pagination"]["nextCursor"])
    assert ids(first) + ids(rest) == gravel


def cursor(moment: str) -> str:
    place = f'["startTime","desc","{moment}","{moment}","{ID}"]'
    return urlsafe_b64encode(place.encode()).decode()


ID = "6f1c1f0a-7f83-4d5e-9d55-0d5f6f0e8a11"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page", "0"),
        ("page", "x"),
        ("page", "100001"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "1.5"),
        ("status", "DELETED"),
        ("status", "active"),
        ("sport", "a b"),
        ("q", "a\0b"),
        ("q", "x" * 201),
        ("from", "yesterday"),
        ("from", "2024-13-01"),
        ("from", "²"),
        ("from", "9" * 30),
        ("from", "9" * 4400),
        ("cursor", "x"),
        ("cursor", "é"),
        ("cursor", cursor("yesterday")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_parameter_that_is_wrong_is_named(rider: Rider, name: str, value: str) -> None:
    problem = problem_of(rider.client.get("/api/workouts", params={name: value}), 422)
    assert problem["detail"].startswith(name)


def test_a_cursor_made_by_hand_is_only_a_place(rider: Rider) -> None:
    """Whatever moment it names, it lists the caller's workouts before it."""
    workout = start_on(rider, 2)
    for moment, found in (
        ("2024-05-02T10:00:00.000001+00:00", [workout]),
        ("2024-05-03T06:00:01+20:00", [workout]),
        ("2024-05-01T00:00:00Z", []),
    ):
        assert ids(listed(rider, cursor=cursor(moment))) == found


def test_a_page_by_cursor_has_no_number(rider: Rider) -> None:
    for _ in range(2):
        rider.start()
    first = rider.client.get("/api/workouts", params={"limit": 1}).json()["pagination"]
    assert (first["page"], first["total"], first["totalPages"]) == (1, 2, 2)
    query = {"limit": "1", "cursor": first["nextCursor"]}
    second = rider.client.get("/api/workouts", params=query).json()["pagination"]
    assert second == {"limit": 1, "nextCursor": None}


def test_a_cursor_and_a_page_are_two_places(rider: Rider) -> None:
    for _ in range(3):
        rider.start()
    place = listed(rider, limit=1)["pagination"]["nextCursor"]
    refused = rider.client.get("/api/workouts", params={"limit": 1, "cursor": place, "page": 3})
    assert problem_of(refused, 422)["detail"] == "send `page` or `cursor`, not both"
    # What a client sends that was made from the document, and sends every default.
    assert len(ids(listed(rider, limit=1, cursor=place, page=1))) == 1
