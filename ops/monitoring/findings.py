"""What is looked at, and what is found wrong."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.connections import Row
from shared.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Finding:
    """Something is wrong, and what to do about it."""

    wrong: str
    do: str


@dataclass(frozen=True)
class Patient:
    """What is examined. ``patience``: seconds after which what does not move is stuck.

    ``environ``: also names where the API is, API_URL. ``data_dir``: of this checkout.
    """

    settings: Settings
    data_dir: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    env_file: Path = ROOT / ".env"
    lock_file: Path = ROOT / "requirements" / "production.txt"
    patience: float = 600.0
    clock: Callable[[], float] = time.time


Check = Callable[[Patient], Iterator[Finding]]
Rows = list[Row]


def in_words(seconds: float) -> str:
    """A time for people: 40 s, 12 min, 5 h, 3 days."""
    for size, unit in ((2 * 86_400, "days"), (2 * 3600, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds / {'days': 86_400, 'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


def in_bytes(count: float) -> str:
    """Bytes for people: 512 B, 3.4 MB, 12 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
