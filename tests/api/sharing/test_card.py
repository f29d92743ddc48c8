"""The picture of a ride."""

from xml.etree import ElementTree

import numpy as np

from api.sharing.card import card, figures_of

SVG = "{http://www.w3.org/2000/svg}"
LINE = (np.array([47.0, 47.1, 47.2]), np.array([8.5, 8.5, 8.5]))


def test_what_is_drawn_lies_in_the_picture_and_keeps_its_shape() -> None:
    picture = ElementTree.fromstring(
        card("Title", "1 May", [("42.0 km", "distance")], [LINE, LINE])
    )
    assert (picture.get("width"), picture.get("height")) == ("1200", "630")
    paths = [each.get("d") or "" for each in picture.iter(f"{SVG}path")]
    assert paths == ["M850.0 570.0L850.0 315.0L850.0 60.0"] * 2
    assert [each.text for each in picture.iter(f"{SVG}text")] == [
        "Title",
        "1 May",
        "42.0 km",
        "distance",
    ]


def test_a_title_is_text_whatever_is_in_it() -> None:
    title = '<script>&"\x00'
    picture = ElementTree.fromstring(card(title, "", [], []))
    [text, _] = picture.iter(f"{SVG}text")
    assert text.text == '<script>&"'


def test_a_long_title_is_cut() -> None:
    assert "x" * 33 + "…" in card("x" * 200, "", [], []).decode()


def test_of_figures_those_are_shown_that_there_are() -> None:
    assert figures_of(None) == []
    assert figures_of({"totalDistance": None, "recordedTime": 3725, "normalizedPower": 201}) == [
        ("1:02:05", "time"),
        ("201 W", "power"),
    ]
