"""Figures as people read them: by the units they ride in, and their language's decimal mark.

Dates are written by the browser, which knows its region and its time zone: see `times.js`.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from starlette.requests import HTTPConnection

from api.web.headers import header

Shown = tuple[str, str]  # a number, and its unit
MISSING: Final = "–"
_THIN: Final = "\u2009"  # between thousands, and within what stays on one line
UNITS_COOKIE: Final = "units"
_MILE, _FOOT, _POUND = 1609.344, 0.3048, 0.45359237
# Languages that write 1,5; where it is 1.5 all the same; where roads are measured in miles.
_COMMA: Final = (
    "bg cs da de el es et fi fr hr hu id is it lt lv mk nb nl no pl pt ro ru sk sl sr sv tr uk"
)
_POINT: Final = ("de-ch", "de-li", "it-ch", "es-mx", "es-us", "es-pr", "es-gt", "es-pe")
_MILES: Final = ("en-us", "en-gb", "en-lr")


@dataclass(frozen=True)
class Formats:
    """How one visitor reads figures."""

    language: str = "en"
    imperial: bool = False

    def number(self, value: float | None, digits: int = 0) -> str:
        """A number with thin spaces between thousands; 0.5 is rounded up, as the browser does."""
        if value is None:
            return MISSING
        step = Decimal(1).scaleb(-digits)
        rounded = Decimal(str(value)).quantize(step, ROUND_HALF_UP) + 0  # and there is no −0
        text = f"{rounded:,.{digits}f}".replace("-", "−")
        whole, mark, rest = text.partition(".")
        has_comma = self.language[:2] in _COMMA and not self.language.startswith(_POINT)
        decimal = "," if has_comma else "."
        return whole.replace(",", _THIN) + (decimal + rest if mark else "")

    def distance(self, metres: float | None, digits: int = 1) -> Shown:
        """In km or miles."""
        unit, size = ("mi", _MILE) if self.imperial else ("km", 1000.0)
        return self._scaled(metres, size, digits), unit

    def speed(self, metres_a_second: float | None, digits: int = 1) -> Shown:
        """In km/h or mph."""
        unit, size = ("mph", _MILE / 3600) if self.imperial else ("km/h", 1 / 3.6)
        return self._scaled(metres_a_second, size, digits), unit

    def height(self, metres: float | None) -> Shown:
        """In m or feet."""
        unit, size = ("ft", _FOOT) if self.imperial else ("m", 1.0)
        return self._scaled(metres, size, 0), unit

    def weight(self, kilograms: float | None) -> Shown:
        """In kg or pounds."""
        unit, size = ("lb", _POUND) if self.imperial else ("kg", 1.0)
        return self._scaled(kilograms, size, 1), unit

    def percent(self, share: float | None, digits: int = 0) -> str:
        """A share of 1 as percents."""
        return MISSING if share is None else f"{self.number(share * 100, digits)}{_THIN}%"

    def _scaled(self, value: float | None, size: float, digits: int) -> str:
        return self.number(None if value is None else value / size, digits)

    @staticmethod
    def duration(seconds: float | None) -> str:
        """Hours, minutes and seconds, as a watch shows them: 1:02:03, 2:03."""
        if seconds is None:
            return MISSING
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

    @staticmethod
    def hours(seconds: float | None) -> str:
        """Hours and minutes, also below an hour: 0:25."""
        if seconds is None:
            return MISSING
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours}:{minutes:02d}"


METRIC_ENGLISH: Final = Formats()


def formats_of(request: HTTPConnection[Any]) -> Formats:
    """By the browser's first language, and by the units that were chosen in it."""
    language = header(request, b"accept-language").partition(",")[0].partition(";")[0].strip()
    chosen = request.cookies.get(UNITS_COOKIE)
    imperial = chosen == "imperial" if chosen else language.lower().startswith(_MILES)
    return Formats(language.lower() or "en", imperial)
