"""Which version of this project runs."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _read() -> str:
    try:
        return version("bike-power-tracker")
    except PackageNotFoundError:  # run from a checkout, as it usually is
        return "0.1.0"


VERSION: Final = _read()
