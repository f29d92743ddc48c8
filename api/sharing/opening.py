"""What a token opens: the ride, and the veil over it."""

import asyncio
import re
from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Final

from api.live.watching import Glass
from api.sharing import store
from api.sharing.hiding import (
    Circle,
    Place,
    Trail,
    Veil,
    circles_around_ends,
    circles_around_places,
    fixes,
    veil_over,
)
from api.sharing.live_veil import LiveVeil
from api.sharing.state import SharingRequest
from api.sharing.store import Hidden, OpenShare
from api.web.problems import NotFound
from api.workouts.held_samples import EncodedSamples, fetch_samples
from api.workouts.selection import Selection, View
from api.workouts.store import Status, Workout, find_workout
from shared.connections import AsyncDatabase
from shared.credentials import hash_key
from shared.samples.columns import Samples, concatenate

_TOKEN: Final = re.compile("[A-Za-z0-9_-]{43}", re.ASCII)
_TRACK: Final = ("lat", "lng", "distance")
_AT_ONCE: Final = 16_000  # samples


@dataclass(frozen=True)
class Opened:
    """The ride that a link opens, and what of it is never shown."""

    share: OpenShare
    workout: Workout
    hidden: Hidden

    @property
    def metres(self) -> int:
        """How far around its ends the ride is hidden."""
        return self.share.hide_metres

    @property
    def is_over(self) -> bool:
        """Whether it is known where the ride ends."""
        return self.workout.status not in (Status.ACTIVE, Status.PAUSED, Status.PROCESSING)

    def circles(self) -> list[Circle]:
        """Those around the rider's places."""
        if not self.share.hide_places:
            return []
        places = (Place(each.lat, each.lng, each.radius) for each in self.hidden.places)
        return circles_around_places(places, self.hidden.salt)

    def live_veil(self) -> LiveVeil:
        """The veil over a ride that goes on, which has seen nothing yet."""
        return LiveVeil(self.circles(), self.metres, self.hidden.salt)


async def opens(database: AsyncDatabase, token: str) -> bool:
    """Whether a token opens a ride."""
    return await store.find_share(database, hash_key(token)) is not None


async def open_share(request: SharingRequest) -> Opened:
    """The ride of the token in the path.

    Raises NotFound, the same for a token that is malformed, unknown, expired or revoked, and
    TooManyRequests where one address tries very many.
    """
    token, database = str(request.path_params["token"]), request.state["database"]
    share = workout = None
    if _TOKEN.fullmatch(token):
        share = await store.find_share(database, hash_key(token))
    if share:
        workout = await find_workout(database, share.workout_id, share.user_id)
    if share is None or workout is None:
        await request.state["throttle"].admit_strange_token(request)
        raise NotFound("this link opens nothing, or nothing any more")
    hidden = await store.get_hidden(database, share.user_id)
    return Opened(share, workout, hidden)


async def open_held(request: SharingRequest, opened: Opened) -> EncodedSamples:
    """What the servers hold of it, within the budget of all answers: a share has one of its own.

    Raises TooManyRequests, ServiceUnavailable.
    """
    return await _fetch_held(request, opened, request.scope)


async def _fetch_held(
    request: SharingRequest, opened: Opened, scope: MutableMapping[str, Any]
) -> EncodedSamples:
    answers, share_id = request.state["answers"], opened.share.id
    await answers.begin_read(scope, share_id)
    encoded = await fetch_samples(request.state, opened.workout)
    answers.take(scope, share_id, await asyncio.to_thread(encoded.size))
    return encoded


def veil_of(encoded: EncodedSamples, opened: Opened) -> Veil:
    """The veil over all that is held of a ride; of one that goes on, also over what is too near.

    Decodes samples: not for the event loop.
    """
    track, salt = _track_of(encoded, opened.workout), opened.hidden.salt
    circles = [*opened.circles(), *circles_around_ends(track, opened.metres, salt)]
    if not opened.is_over:
        trail = Trail(opened.metres, salt)
        trail.extend(*fixes(track))
        circles += filter(None, [trail.circle()])
    return veil_over(track, circles)


def view_of(encoded: EncodedSamples, opened: Opened, veil: Veil, selection: Selection) -> View:
    """The samples as others see them. Decodes samples: not for the event loop."""
    return View(encoded.decode(), replace(selection.of(opened.workout), shown=veil.apply))


async def glass_of(request: SharingRequest, opened: Opened) -> Glass:
    """Through which those with this link see the ride go on: each has seen all that is held.

    The read ends with this: a stream goes on for hours, and a few would shut the link for others.

    Raises TooManyRequests, ServiceUnavailable.
    """
    held: dict[str, Any] = {}
    with request.state["answers"].holding(held):
        encoded = await _fetch_held(request, opened, held)
        veil = await asyncio.to_thread(_live_veil_after, encoded, opened)
    name = ("share", opened.metres, opened.share.hide_places, repr(opened.hidden.places))
    return Glass(name, veil.copy)


def _live_veil_after(encoded: EncodedSamples, opened: Opened) -> LiveVeil:
    veil = opened.live_veil()
    veil.samples(_track_of(encoded, opened.workout, ("lat", "lng", "speed")))
    return veil


def _track_of(
    encoded: EncodedSamples, workout: Workout, channels: tuple[str, ...] = _TRACK
) -> Samples:
    """Positions and odometer of what counts of the ride."""
    view = View(encoded.decode(), Selection(channels).of(workout))
    named = list(view.outline.whole)
    return concatenate(
        [Samples(each.timestamps, dict(each.channels)) for each in view.windows(named)]
    )
