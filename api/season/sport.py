"""Which sport's figures a query asks for."""

from typing import Annotated

from msgspec import Meta

from shared.sports import ALL, sport_family

# More than what a workout's sport may be: one that nobody does has no figures, and is no error.
SportName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=50,
        pattern="^[^\x00]*$",
        description="By any of its names (`gravel`, `TrailRun`); `all` for every sport",
    ),
]


def one_or_all(sport: str) -> tuple[str, str | None]:
    """How an answer calls the sport asked for, and its family: None for all."""
    family = sport_family(sport)
    return family, None if family == ALL else family
