"""A ride as the picture beside its link in a message: PNG of 1200 × 630, of track and power. Pure.

There is no text in it, as a message has the title and the figures as words. So it takes neither a
font nor a library of pictures: lines are drawn by numpy, each pixel by how much of it they cover.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from api.sharing.card import Line
from shared.samples.columns import FloatArray

MEDIA: Final = "image/png"
WIDTH, HEIGHT = 1200, 630
STRETCHES: Final = WIDTH // 4  # of power: finer ones would be a lawn
PAPER: Final = (255, 255, 255)
LINE: Final = (97, 53, 186)  # the violet of power, and of the season's area
AREA: Final = (228, 220, 245)
_FRAME: Final = (90, 60, 1020, 380)  # of the track: left, top, width, height
_LOW, _HIGH = 150, 480  # px: how high the power is at most, below a track and by itself
_THICK: Final = 7  # px
_REACH: Final = 5  # px around a place that a line through it may cover
_MOST_PLACES: Final = 1500  # of the track
_MOST_STAMPS: Final = 20_000


def preview(lines: Sequence[Line], power: FloatArray) -> bytes:
    """The picture. ``lines``: the track, in pieces where a part of it is not shown; ``power``: in
    equal stretches of time, NaN where there is none.
    """
    image = np.empty((HEIGHT, WIDTH, 3))
    image[:] = PAPER
    pieces = _placed([line for line in lines if len(line[0]) > 1])
    _blend(image, _below(power, _LOW if pieces else _HIGH), AREA)
    _blend(image, _stroked(pieces), LINE)
    return _png(np.rint(image).astype(np.uint8))


def _placed(lines: Sequence[Line]) -> list[FloatArray]:
    """The lines as points (x, y) in the middle of the frame, all at one scale."""
    if not lines:
        return []
    lats, lngs = (np.concatenate(each) for each in zip(*lines, strict=True))
    narrowing = float(np.cos(np.radians(lats.mean())))
    left, top, width, height = _FRAME
    scale = max(float(np.ptp(lngs)) * narrowing / width, float(np.ptp(lats)) / height, 1e-9)
    step = -(-len(lats) // _MOST_PLACES)
    middle = (float(lngs.max() + lngs.min()) / 2, float(lats.max() + lats.min()) / 2)
    return [
        np.column_stack(
            (
                left + width / 2 + (lng[::step] - middle[0]) * narrowing / scale,
                top + height / 2 - (lat[::step] - middle[1]) / scale,
            )
        )
        for lat, lng in lines
    ]


def _below(values: FloatArray, most: int) -> FloatArray:
    """How much of each pixel lies below a line of values, over the whole width."""
    known = np.nan_to_num(values)
    if not len(known) or not known.max() > 0:
        return np.zeros((HEIGHT, WIDTH))
    at = (np.arange(WIDTH) + 0.5) * len(known) / WIDTH - 0.5
    heights = np.interp(at, np.arange(len(known)), known) / known.max() * most
    return np.asarray(np.clip(heights - np.arange(HEIGHT - 1, -1, -1)[:, None], 0, 1))


def _stroked(pieces: Sequence[FloatArray]) -> FloatArray:
    """How much of each pixel the lines cover: a disc is stamped every pixel of their way."""
    covered = np.zeros((HEIGHT, WIDTH))
    length = sum(float(_lengths(piece).sum()) for piece in pieces)
    for piece in pieces:
        _stamp(covered, _along(piece, max(length / _MOST_STAMPS, 1.0)))
    return covered


def _lengths(points: FloatArray) -> FloatArray:
    return np.asarray(np.hypot(*np.diff(points, axis=0).T))


def _along(points: FloatArray, step: float) -> FloatArray:
    """Places on a line, about so far from one another."""
    way = np.concatenate(([0.0], np.cumsum(_lengths(points))))
    at = np.linspace(0, way[-1], int(way[-1] / step) + 2)
    return np.column_stack([np.interp(at, way, column) for column in points.T])


def _stamp(covered: FloatArray, places: FloatArray) -> None:
    corners = np.floor(places).astype(np.int64)
    for offset in _offsets():
        pixels = corners + offset
        distance = np.hypot(*(pixels + 0.5 - places).T)
        x, y = pixels.T
        np.maximum.at(covered, (y, x), np.clip(_THICK / 2 + 0.5 - distance, 0, 1))


def _offsets() -> Iterator[tuple[int, int]]:
    around = range(-_REACH, _REACH + 1)
    return ((x, y) for x in around for y in around)


def _blend(image: FloatArray, share: FloatArray, colour: Sequence[int]) -> None:
    image += (np.array(colour) - image) * share[:, :, None]


def _png(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    """As PNG has it: rows of pixels of 3 bytes, each row after a byte that says it is plain."""
    height, width, _ = image.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    length, check = len(content), zlib.crc32(kind + content)
    return struct.pack(">I", length) + kind + content + struct.pack(">I", check)
