"""The colours of channels and words, as people see them whose eyes differ."""

import re
from itertools import combinations
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from api.pages import static

Array = NDArray[np.float64]
CHANNELS: Final = ("power", "heartrate", "cadence", "speed", "altitude")
# Machado, Oliveira and Fernandes 2009, for eyes that lack a kind of cone: of linear RGB.
EYES: Final = {
    "all": np.eye(3),
    "no red": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no green": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "no blue": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# Ottosson 2020: from linear RGB to OKLab, in which equal distances look equally far.
_CONES: Final = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB: Final = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def colours(scheme: str) -> dict[str, Array]:
    """The variables of the style sheet in linear RGB."""
    sheet = (static.FOLDER / "app.css").read_text()
    light, dark = sheet.split("@media (prefers-color-scheme: dark)", 1)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", light))
    if scheme == "dark":
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", dark))
    return {name: linear(text) for name, text in found.items()}


def linear(text: str) -> Array:
    digits = text[1:] if len(text) == 7 else "".join(2 * each for each in text[1:])
    shares: Any = np.array([int(digits[at : at + 2], 16) for at in (0, 2, 4)]) / 255
    curve = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return np.asarray(curve)


def oklab(colour: Array) -> Array:
    return np.asarray(_OKLAB @ np.cbrt(_CONES @ np.clip(colour, 0, 1)))


def contrast(one: Array, other: Array) -> float:
    """As WCAG defines it."""
    dark, light = sorted(float(each @ [0.2126, 0.7152, 0.0722]) for each in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("eyes", EYES)
def test_channels_are_told_apart_whatever_eyes_see_them(scheme: str, eyes: str) -> None:
    """A just noticeable difference is about 0.02; with one hue less, five colours have little."""
    seen = {name: oklab(EYES[eyes] @ colours(scheme)[name]) for name in CHANNELS}
    nearest = min(float(np.linalg.norm(seen[a] - seen[b])) for a, b in combinations(seen, 2))
    assert nearest > 0.05


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_channels_are_of_nearly_one_lightness(scheme: str) -> None:
    lightness = [oklab(colours(scheme)[name])[0] for name in CHANNELS]
    assert max(lightness) - min(lightness) < 0.13


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*CHANNELS[:-1], "ink", "quiet", "accent", "bad"])
def test_words_stand_out_from_the_ground(scheme: str, name: str) -> None:
    known = colours(scheme)
    assert contrast(known[name], known["paper"]) >= 4.5
    if name in ("ink", "quiet"):
        assert contrast(known[name], known["raised"]) >= 4.5
