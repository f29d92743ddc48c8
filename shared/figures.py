"""The table of figures: what a summary holds, in which unit, and by which definition.

The fold fills a `Summary`, the document and docs/metrics.md describe its members, and the list of
workouts is sorted and narrowed by those marked as `Listed`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from shared.samples.channels import CHANNEL

Number = TypeVar("Number", int, float)
_HIGHEST_POWER: Final = CHANNEL["power"].maximum
MOST_LISTED: Final = 200  # gaps of a ride, spikes, or strays: a page of rides must not be megabytes
DECIMALS: Final = 3  # of a figure; what is beyond is noise of binary fractions
_LARGEST_INTEGER: Final = 2**31 - 1  # of PostgreSQL's `integer`


@dataclass(frozen=True)
class Listed:
    """Marks a figure that the list of workouts can be sorted by and narrowed to a range of.

    ``most``: the highest bound to ask for; ``ends``: how the document calls the bounds. The table
    `workouts` has the column, of the figure's name and this ``kind``, and the index
    `workouts_by_<name>`.
    """

    most: float
    ends: tuple[str, str] = ("Lowest", "Highest")
    kind: type[int] | type[float] = float


def tidy(value: float | None) -> float | None:
    """A figure without the noise of binary fractions."""
    return None if value is None else round(value, DECIMALS)


def defined(unit: str, definition: str) -> Meta:
    """The unit of a figure, empty for a number without one, and what the figure is."""
    return Meta(
        description=f"{unit}: {definition}" if unit else definition,
        extra_json_schema={"x-unit": unit} if unit else None,
        extra={"unit": unit, "definition": definition},
    )


class Whole(Struct, Generic[Number], frozen=True, kw_only=True, rename="camel"):
    """Figures shown as whole numbers, as the original service does, and unrounded in `Precise`."""

    avg_power: Annotated[
        Number | None,
        defined("W", "mean of the seconds with power, zeros included"),
        Listed(_HIGHEST_POWER),
    ]
    max_power: Annotated[Number | None, defined("W", "highest of the seconds with power")]
    normalized_power: Annotated[
        Number | None,
        defined(
            "W",
            "30 s moving mean over full windows, fourth power, mean, fourth root; null for less "
            "than 30 s",
        ),
        Listed(_HIGHEST_POWER),
    ]
    total_energy: Annotated[
        Number | None,
        defined(
            "kJ",
            "power times the time to its next reading, at most the fill limit; a drop-out of the "
            "meter for longer is not stretched over",
        ),
        Listed(1e9),
    ]
    avg_heartrate: Annotated[
        Number | None,
        defined(
            "bpm",
            "mean weighted by the time to the next heart rate, at most 15 s or the fill limit",
        ),
    ]
    max_heartrate: Annotated[Number | None, defined("bpm", "highest reading")]
    avg_cadence: Annotated[Number | None, defined("rpm", "mean of the seconds pedalling")]
    avg_cadence_with_zeros: Annotated[
        Number | None, defined("rpm", "mean of the seconds with cadence, zeros included")
    ]
    max_cadence: Annotated[Number | None, defined("rpm", "highest reading")]


class Precise(Whole[float], frozen=True, kw_only=True, rename="camel"):
    """The figures that are whole numbers in the summary, unrounded."""


class WattsPerKilogram(Struct, frozen=True, kw_only=True, rename="camel"):
    """The figures of power over the athlete's weight on the day of the ride."""

    avg_power: Annotated[float | None, defined("W/kg", "of `avgPower`")]
    max_power: Annotated[float | None, defined("W/kg", "of `maxPower`")]
    normalized_power: Annotated[float | None, defined("W/kg", "of `normalizedPower`")]
    x_power: Annotated[float | None, defined("W/kg", "of `xPower`")]


class Gap(Struct, frozen=True):
    """Two samples with nothing between them."""

    from_: Annotated[int, defined("ms", "the sample before, since the Unix epoch")] = msgspec.field(
        name="from"
    )
    to: Annotated[int, defined("ms", "the sample after")]


class StrayGroup(Struct, frozen=True):
    """Samples that are kept and count for nothing: of another day, or by a wrong clock."""

    from_: Annotated[int, defined("ms", "the first of them, since the Unix epoch")] = msgspec.field(
        name="from"
    )
    to: Annotated[int, defined("ms", "the last of them")]
    samples: Annotated[int, defined("", "how many they are")]


class Spike(Struct, frozen=True):
    """A reading of power that no rider produces."""

    timestamp: Annotated[int, defined("ms", "since the Unix epoch")]
    power: Annotated[float, defined("W", "as it was read")]


class Interval(Struct, frozen=True, kw_only=True, rename="camel"):
    """A steady effort, found in the power of the ride; null: not measured in it."""

    start: Annotated[int, defined("ms", "its first second, since the Unix epoch")]
    duration: Annotated[int, defined("s", "how long it takes")]
    avg_power: Annotated[float, defined("W", "mean of its seconds")]
    watts_per_kilogram: Annotated[
        float | None, defined("W/kg", "`avgPower` over the weight on the day; null without one")
    ]
    avg_heartrate: Annotated[float | None, defined("bpm", "mean of its seconds with heart rate")]
    avg_cadence: Annotated[float | None, defined("rpm", "mean of its seconds pedalling")]
    avg_speed: Annotated[float | None, defined("m/s", "mean of its seconds with speed")]


class Parameters(Struct, frozen=True, kw_only=True, rename="camel"):
    """The athlete's figures on the day of the ride; absent where there were none."""

    ftp: Annotated[float | UnsetType, defined("W", "functional threshold power")] = UNSET
    critical_power: Annotated[float | UnsetType, defined("W", "critical power")] = UNSET
    w_prime: Annotated[float | UnsetType, defined("J", "W′, work above critical power")] = UNSET
    threshold_heartrate: Annotated[
        float | UnsetType, defined("bpm", "heart rate at the threshold")
    ] = UNSET
    weight: Annotated[float | UnsetType, defined("kg", "the athlete's weight")] = UNSET
    power_zones: Annotated[
        tuple[float, ...] | UnsetType,
        defined("", "upper bounds of all power zones but the last, as shares of FTP"),
    ] = UNSET
    heartrate_zones: Annotated[
        tuple[float, ...] | UnsetType,
        defined("", "the same of heart rate zones, as shares of the threshold heart rate"),
    ] = UNSET


# A figure that is added may be null: the summaries stored before are without it; see `complete`.
class Summary(Whole[int], frozen=True, kw_only=True, rename="camel"):
    """The figures of a ride. null: not measured, or not known when the summary was computed."""

    duration: Annotated[
        int,
        defined("s", "from the first sample to the last"),
        Listed(_LARGEST_INTEGER, ("Shortest", "Longest"), int),
    ]
    recorded_time: Annotated[int, defined("s", "seconds within segments")]
    moving_time: Annotated[
        int | None,
        defined(
            "s",
            "seconds faster than 0.5 m/s, or not at rest by the positions where speed is unknown",
        ),
    ]
    x_power: Annotated[
        float | None,
        defined(
            "W",
            "as `normalizedPower`, over an exponentially weighted mean in which a second weighs "
            "1/26; it begins at zero and decays through gaps",
        ),
    ]
    watts_per_kilogram: Annotated[
        WattsPerKilogram | None,
        defined(
            "W/kg",
            "`avgPower`, `maxPower`, `normalizedPower` and `xPower`, unrounded, over the weight on "
            "the day; null without one",
        ),
    ]
    variability_index: Annotated[float | None, defined("", "normalized over average power")]
    intensity_factor: Annotated[float | None, defined("", "normalized power over FTP")]
    training_stress_score: Annotated[
        float | None, defined("", "100 × hours with power × intensity factor²")
    ]
    w_prime_balance_min: Annotated[
        float | None,
        defined(
            "kJ",
            "the lowest W′ balance: spent by the excess above critical power, recovering by "
            "(CP − P)·(W′₀ − W′)/W′₀ a second below it; what was not recorded is rest at 0 W",
        ),
    ]
    decoupling: Annotated[
        float | None,
        defined(
            "%",
            "(r₁ − r₂)/r₁, r being mean power over mean heart rate, of the halves of the seconds "
            "that have both",
        ),
    ]
    total_distance: Annotated[
        float | None,
        defined(
            "m",
            "the odometer's increments that can have been ridden, and along the positions by "
            "great circles where it says nothing",
        ),
    ]
    avg_speed: Annotated[
        float | None,
        defined("m/s", "distance in recorded time over that time, never above `maxSpeed`"),
    ]
    max_speed: Annotated[
        float | None, defined("m/s", "highest reading that a bicycle can have reached")
    ]
    total_elevation_gain: Annotated[
        float | None,
        defined(
            "m",
            "10 s mean of the plausible heights within segments, then the ways up of 2 m or more "
            "between turning points of the whole ride",
        ),
    ]
    total_elevation_loss: Annotated[float | None, defined("m", "the same of the ways down")]
    power_zones: Annotated[
        tuple[int, ...] | None,
        defined("s", "in each of seven zones: to 55, 75, 90, 105, 120, 150 % of FTP and beyond"),
    ]
    heartrate_zones: Annotated[
        tuple[int, ...] | None,
        defined(
            "s",
            "in each of five zones: to 68, 83, 94, 105 % of the threshold heart rate and beyond",
        ),
    ]
    coverage: Annotated[
        float, defined("", "the share of the seconds from first to last that has power, 0 to 1")
    ]
    gaps: Annotated[
        tuple[Gap, ...],
        defined(
            "",
            "the samples before and after each stretch that misses more seconds than the fill "
            f"limit; the first {MOST_LISTED} of them",
        ),
    ]
    gap_count: Annotated[int | None, defined("", "how many gaps there are")]
    spikes: Annotated[
        tuple[Spike, ...],
        defined(
            "",
            "readings over 2,500 W, or one or two lone seconds over 1,500 W and three times what "
            "stands on both sides: flagged, never altered; for bests they are missing readings; "
            f"the first {MOST_LISTED} of them",
        ),
    ]
    spike_count: Annotated[int | None, defined("", "how many spikes there are")]
    strays: Annotated[
        tuple[StrayGroup, ...] | None,
        defined(
            "",
            "groups of samples more than 24 h from all others, with less than 5 minutes and 1 % of "
            "the samples, or ten samples and 10 %, or half of them if 30 days apart: kept, and "
            f"counted for nothing; the first {MOST_LISTED} of them",
        ),
    ]
    stray_count: Annotated[int | None, defined("", "how many groups of strays there are")]
    intervals: Annotated[
        tuple[Interval, ...] | None,
        defined(
            "",
            "steady efforts of about a minute or more, above the mean of the ride, between changes "
            "of the power that are more than chance and 12 % of that mean; the first "
            f"{MOST_LISTED} of them",
        ),
    ]
    interval_count: Annotated[int | None, defined("", "how many intervals there are")]
    sample_count: Annotated[int, defined("", "timestamps kept, strays among them")]
    overwritten_count: Annotated[
        int | None,
        defined(
            "",
            "timestamps of which a later sample replaced values by other ones, as when a clock was "
            "set back; null for rides that began before this was counted",
        ),
    ]
    recording_interval: Annotated[
        float | None, defined("s", "the usual time from one sample to the next: their median")
    ]
    precise: Annotated[Precise, defined("", "the figures that are whole numbers above, unrounded")]
    parameters: Annotated[
        Parameters, defined("", "what of the athlete the figures were computed with")
    ]
    method_version: Annotated[int, defined("", "the version of these definitions")]


@dataclass(frozen=True)
class Figure:
    """A member of the summary, as the table has it; ``name`` is also that of its column."""

    name: str
    member: str
    unit: str
    definition: str
    nullable: bool
    listed: Listed | None


def figures_of(kind: type[Struct]) -> Iterator[Figure]:
    """The figures of a Struct, in the order of the table."""
    for field in msgspec.structs.fields(kind):
        of, *marks = get_args(field.type)
        meta = next(mark for mark in marks if isinstance(mark, Meta))
        listed = next((mark for mark in marks if isinstance(mark, Listed)), None)
        yield Figure(
            field.name,
            field.encode_name,
            **(meta.extra or {}),
            nullable=type(None) in get_args(of),
            listed=listed,
        )


FIGURES: Final = tuple(figures_of(Summary))
_UNKNOWN: Final = {figure.member: None for figure in FIGURES if figure.nullable}
_UNKNOWN_PRECISE: Final = {figure.member: None for figure in figures_of(Precise)}


def complete(stored: Mapping[str, Any]) -> Any:
    """A stored summary as the API serves it: null for each figure that it was computed without.

    The members of newer versions stay: an API beside a newer worker is not to hide them.
    """
    precise = {**_UNKNOWN_PRECISE, **stored.get("precise", {})}
    return {**_UNKNOWN, **stored, **_shortened(stored), "precise": precise}


def _shortened(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The lists of a summary that was stored before they were bounded."""
    lists = {name: stored.get(name) for name in ("gaps", "spikes")}
    return {name: each[:MOST_LISTED] for name, each in lists.items() if isinstance(each, list)}
