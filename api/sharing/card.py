"""A ride as a picture for a message: SVG of 1200 × 630, no script, font or link in it. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from shared.files.xml_text import plain
from shared.samples.columns import FloatArray

MEDIA: Final = "image/svg+xml"
_WIDTH, _HEIGHT = 1200, 630
_FRAME: Final = (560, 60, 580, 510)  # of the track: left, top, width, height
_MOST_POINTS: Final = 1500
_LONGEST_TITLE: Final = 34  # characters
_FONT: Final = "system-ui, sans-serif"
Line = tuple[FloatArray, FloatArray]  # degrees north and east


def card(title: str, day: str, figures: Sequence[tuple[str, str]], lines: Sequence[Line]) -> bytes:
    """The picture. ``figures``: each a number with its unit, and what it is; ``lines``: the track,
    in pieces where a part of it is not shown.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="{_FONT}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(60, 120, 44, "#1b1b1f", _shortened(title), weight="600"),
        _text(60, 170, 24, "#6b6b76", day),
    ]
    for row, (number, name) in enumerate(figures):
        parts.append(_text(60, 270 + 90 * row, 44, "#1b1b1f", number))
        parts.append(_text(60, 302 + 90 * row, 22, "#6b6b76", name))
    parts += [_path(points) for points in _placed(lines)]
    return "".join([*parts, "</svg>"]).encode()


def figures_of(summary: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Up to four figures, of those that there are."""
    known = summary or {}
    distance, climb = known.get("totalDistance"), known.get("totalElevationGain")
    power = known.get("normalizedPower") or known.get("avgPower")
    found = [
        (f"{distance / 1000:.1f} km", "distance") if distance else None,
        (_hours(known["recordedTime"]), "time") if known.get("recordedTime") else None,
        (f"{power} W", "power") if power else None,
        (f"{climb:.0f} m", "climb") if climb else None,
    ]
    return [each for each in found if each]


def _hours(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _shortened(title: str) -> str:
    return title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1].rstrip()}…"


def _text(x: int, y: int, size: int, fill: str, text: str, weight: str = "400") -> str:
    place = f'x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{fill}"'
    return f"<text {place}>{plain(text)}</text>"


def _placed(lines: Sequence[Line]) -> list[FloatArray]:
    """The lines as points (x, y) within the frame, all at one scale."""
    lines = [line for line in lines if len(line[0]) > 1]
    if not lines:
        return []
    lats, lngs = (np.concatenate(each) for each in zip(*lines, strict=True))
    narrowing = float(np.cos(np.radians(lats.mean())))
    left, top, width, height = _FRAME
    span = max(float(np.ptp(lngs)) * narrowing / width, float(np.ptp(lats)) / height, 1e-9)
    step = -(-len(lats) // _MOST_POINTS)
    across = left + (width - float(np.ptp(lngs)) * narrowing / span) / 2
    down = top + (height - float(np.ptp(lats)) / span) / 2
    return [
        np.column_stack(
            (
                across + (lng[::step] - lngs.min()) * narrowing / span,
                down + (lats.max() - lat[::step]) / span,
            )
        )
        for lat, lng in lines
    ]


def _path(points: FloatArray) -> str:
    drawn = "L".join(f"{x:.1f} {y:.1f}" for x, y in points.tolist())
    stroke = 'stroke="#6d4aff" stroke-width="5" stroke-linejoin="round" stroke-linecap="round"'
    return f'<path d="M{drawn}" fill="none" {stroke}/>'
