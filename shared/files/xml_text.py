"""Samples and words as the texts that stand in XML."""

import re
from typing import Final, Literal
from xml.sax.saxutils import escape

import numpy as np

from shared.samples.columns import FloatArray, IntArray

HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_IMPOSSIBLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def times_of(times: IntArray) -> list[str]:
    """Moments (ms since the Unix epoch) by RFC 3339, with fractions where there are any."""
    unit: Literal["ms", "s"] = "ms" if np.any(times % 1000) else "s"
    written = np.datetime_as_string(times.astype("datetime64[ms]"), unit=unit)
    return [f"{each}Z" for each in written.tolist()]


def time_of(ms: int) -> str:
    """One moment."""
    return times_of(np.array([ms], np.int64))[0]


def texts_of(values: FloatArray, template: str, lowest: float, highest: float) -> list[str]:
    """Each value by the template (``%``); nothing for NaN, and beyond the format's bounds."""
    with np.errstate(invalid="ignore"):
        kept = (values >= lowest) & (values <= highest)
    return [
        template % value if is_kept else ""
        for value, is_kept in zip(values.tolist(), kept.tolist(), strict=True)
    ]


def element(name: str, text: str | None) -> str:
    """An element of a text; nothing without one. What XML cannot hold is left out."""
    return f"<{name}>{plain(text)}</{name}>" if text else ""


def plain(text: str) -> str:
    """The text as it stands between tags, or in quotation marks."""
    return escape(_IMPOSSIBLE.sub("", text), {'"': "&quot;"})
