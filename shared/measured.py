"""The figures of a part of a ride, as a worker answers them to the API."""

from typing import Annotated, Final

from msgspec import Struct

from shared.figures import defined
from shared.laps import LapFigures

MOST_POINTS: Final = 1000


class Balance(Struct, frozen=True, rename="camel"):
    """W′ balance in equal stretches of time: the lowest of each, in kJ; null where no power is."""

    start: Annotated[int, defined("ms", "where the first begins, since the Unix epoch")]
    step: Annotated[int, defined("ms", "how long each is")]
    values: Annotated[list[float | None], defined("kJ", "the lowest of each stretch")]


class Measured(Struct, frozen=True, rename="camel"):
    """The figures of a part of a ride, by the definitions of the whole."""

    figures: LapFigures
    w_prime_balance: Annotated[
        Balance | None, defined("", "null without critical power or W′ on the day")
    ]
