"""The picture beside a link in a message."""

import numpy as np

from api.sharing.preview import AREA, HEIGHT, LINE, PAPER, WIDTH, preview
from tests.api.sharing.pictures import pixels_of

NOTHING = np.array([])
EAST = np.full(3, 8.5)


def colour_at(picture: bytes, x: int, y: int) -> tuple[int, ...]:
    return tuple(pixels_of(picture)[y, x].tolist())


def test_a_track_fills_its_frame_and_is_interrupted_where_a_part_is_not_shown() -> None:
    """Due north from 440 to 60 px, and nothing from a third of the way to two thirds."""
    lines = [(np.array([47.0, 47.05, 47.1]), EAST), (np.array([47.2, 47.25, 47.3]), EAST)]
    picture = preview(lines, NOTHING)
    assert pixels_of(picture).shape == (HEIGHT, WIDTH, 3)
    found = [colour_at(picture, 600, y) for y in (50, 62, 180, 200, 250, 300, 320, 438, 450)]
    assert found == [PAPER, LINE, LINE, PAPER, PAPER, PAPER, LINE, LINE, PAPER]
    assert colour_at(picture, 620, 100) == PAPER


def test_power_stands_below_the_track_and_by_itself_without_one() -> None:
    """200 W as high as there is room, 150 or 480 px, and 100 W half as high."""
    power = np.array([100.0] * 50 + [np.nan] * 50 + [200.0] * 50)
    below = preview([(np.array([47.0, 47.1]), EAST[:2])], power)
    for height, colour in ((74, AREA), (77, PAPER)):
        assert colour_at(below, 200, HEIGHT - height) == colour
    assert colour_at(below, 600, HEIGHT - 1) == PAPER
    assert colour_at(below, 1000, HEIGHT - 149) == AREA
    assert colour_at(preview([], power), 1000, HEIGHT - 479) == AREA


def test_of_a_ride_with_neither_there_is_an_empty_picture() -> None:
    for power in (NOTHING, np.array([np.nan]), np.zeros(3)):
        assert (pixels_of(preview([], power)) == PAPER[0]).all()
    still = [(np.array([47.0, 47.0]), EAST[:2])]
    assert colour_at(preview(still, NOTHING), 600, 250) == LINE
