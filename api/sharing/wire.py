"""The published types of this room."""

from datetime import date
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from api.workouts.store import Status
from shared.figures import Summary
from shared.laps import Lap, PauseShown
from shared.moments import Instant

MOST_PLACES: Final = 20
ReadScope = Annotated[Literal["read"], Meta(title="ReadScope", description="To read everything")]


class CreateShare(Struct, rename="camel"):
    """What the link shows, and until when: 30 days, unless `expiresAt` says otherwise."""

    expires_at: Instant | None = None
    hide_metres: Annotated[
        float,
        Meta(
            ge=0,
            le=5000,
            description="m: nothing so near to where the ride begins and ends is shown; 0: all is",
        ),
    ] = 500
    hide_places: Annotated[bool, Meta(description="Nor near the places of the rider's")] = True
    with_description: Annotated[bool, Meta(description="The description is shown, too")] = False


class Share(Struct, rename="camel"):
    """A link that opens a ride, without its token. `title` and `startTime`: the ride's."""

    id: UUID
    workout_id: UUID
    hide_metres: Annotated[int, Meta(description="m")]
    hide_places: bool
    with_description: bool
    created_at: Instant
    expires_at: Instant
    title: str | None
    start_time: Instant


class FreshShare(Struct):
    """A new link. `token` and `url`, which has it, are shown this once."""

    share: Share
    token: str
    url: str
    success: bool = True


class ShareWith(Struct):
    """Whom to let in, by the address of an account, and what for."""

    email: Annotated[str, Meta(max_length=254)]
    scope: ReadScope = "read"


class PersonShare(Struct, rename="camel"):
    """Somebody who is let in, or to whom it was offered.

    `acceptedAt` is null until the other account accepts it, and for ever where there is none with
    that address. `name`: what the other is called, once accepted. `lastReadAt`: when the other read
    last, known within some minutes.
    """

    id: UUID
    email: str
    name: str | None
    created_at: Instant
    accepted_at: Instant | None
    last_read_at: Instant | None
    scope: ReadScope = "read"


class PersonAnswer(Struct):
    """The other, who may accept it."""

    share: PersonShare
    success: bool = True


class ShareList(Struct):
    """The links that open something, and the people who are let in; newest first."""

    shares: list[Share]
    people: list[PersonShare]


class ShareRevocation(Struct):
    """It opens nothing more: a link within five seconds everywhere, to people at once.

    Live streams that it has opened end within five seconds.
    """

    success: bool = True


class LastRide(Struct, rename="camel"):
    """The newest ride that is over."""

    id: UUID
    title: str | None
    start_time: Instant
    training_stress_score: Annotated[float | None, Meta(description="TSS")]


class Form(Struct):
    """Fitness, fatigue and form of today, as `GET /api/fitness` has them for its last day."""

    ctl: Annotated[float, Meta(description="TSS a day")]
    atl: Annotated[float, Meta(description="TSS a day")]
    tsb: Annotated[float, Meta(description="TSS a day")]


class WeekLoad(Struct, rename="camel"):
    """Of the week that it is for the athlete, as `GET /api/stats` sums it; it began on `start`.

    Of the rides that have the figure; null where none has.
    """

    start: date
    workouts: int
    recorded_time: Annotated[float, Meta(description="Seconds")]
    total_energy: Annotated[float | None, Meta(description="Kilojoules")]
    training_stress_score: Annotated[float | None, Meta(description="TSS of them all")]


class Athlete(Struct, rename="camel"):
    """Somebody who has let the caller in: `id` is what `?athlete=` takes.

    `name`: the display name, or else what the address has before its @. `form` is null without
    TSS, `lastRide` without a ride that is over.
    """

    id: UUID
    name: str
    time_zone: str
    accepted_at: Instant
    last_ride: LastRide | None
    form: Form | None
    week: WeekLoad


class Offer(Struct, rename="camel"):
    """Somebody who would let the caller in."""

    id: UUID
    name: str
    offered_at: Instant


class AthleteList(Struct):
    """Whom the caller may read, by name, and who would let the caller in, the newest first."""

    athletes: list[Athlete]
    offered: list[Offer]


class Acceptance(Struct):
    """The athlete's data can be read now, with `?athlete=`."""

    success: bool = True


class Departure(Struct):
    """Nothing of that athlete's can be read any more, nor accepted."""

    success: bool = True


class HiddenPlace(Struct):
    """A place that no link shows, nor so many metres around it."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern="^[^\x00]*$")]
    lat: Annotated[float, Meta(ge=-90, le=90, description="Degrees")]
    lng: Annotated[float, Meta(ge=-180, le=180, description="Degrees")]
    radius: Annotated[float, Meta(ge=100, le=5000, description="m")] = 500


class Places(Struct):
    """All of them."""

    places: Annotated[list[HiddenPlace], Meta(max_length=MOST_PLACES)]


class SharedWorkout(Struct, rename="camel"):
    """A ride as a link shows it.

    `hidden`: whether a part of its track is not shown; `totalDistance` is then that of what is.
    Nothing names its rider but `rider`, the display name. Neither weight nor thresholds are in it,
    nor what tells them: `parameters` is empty, and `intensityFactor`, `trainingStressScore`,
    `wPrimeBalanceMin`, `powerZones`, `heartrateZones`, `wattsPerKilogram` and all that is `precise`
    are null.
    """

    title: str | None
    description: str | None
    rider: str | None
    sport: str
    status: Status
    start_time: Instant
    end_time: Instant | None
    duration: Annotated[int | None, Meta(description="s: from the first to the last sample")]
    summary: Summary | None
    laps: list[Lap]
    pauses: list[PauseShown]
    hidden: bool
    expires_at: Instant


class SharedPoint(Struct):
    """The highest mean power held for so long."""

    duration: Annotated[int, Meta(description="Seconds")]
    power: Annotated[float, Meta(description="Watts")]


class SharedBest(SharedPoint):
    """One of the efforts that are ranked, and when it began."""

    start: Annotated[int, Meta(description="ms since the Unix epoch")]


class SharedEfforts(Struct, rename="camel"):
    """The power curve of a ride, and its bests by power; none where it is left out of records."""

    power_curve: list[SharedPoint]
    bests: list[SharedBest]


class SharedAnswer(Struct):
    """The ride."""

    workout: SharedWorkout


def stored_places(stored: Any) -> list[HiddenPlace]:
    """The places of a row."""
    return msgspec.convert(stored, list[HiddenPlace])
