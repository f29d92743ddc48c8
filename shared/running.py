"""The figures of a ride under way, as a worker publishes them for those who watch it."""

from typing import Annotated

from msgspec import Struct

from shared.figures import Summary, defined


class RunningBest(Struct, frozen=True, rename="camel"):
    """A best effort of the ride so far."""

    metric: Annotated[str, defined("", "`power`, `heartrate` or `speed`")]
    duration: Annotated[int, defined("s", "how long the effort takes")]
    value: Annotated[float, defined("", "its mean: W, bpm or m/s")]
    start: Annotated[int, defined("ms", "its first second, since the Unix epoch")]


class RunningFigures(Struct, frozen=True, rename="camel"):
    """What the ride would be if it ended now, by the definitions of the final figures."""

    through: Annotated[int | None, defined("ms", "the latest sample, since the Unix epoch")]
    summary: Summary
    bests: Annotated[tuple[RunningBest, ...], defined("", "the best efforts so far")]
    w_prime_balance: Annotated[
        float | None, defined("kJ", "what is left of W′; null without critical power or W′")
    ]
