"""Watch a ride under way."""

from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from api.identity.auth import Caller
from api.live.feed import Plain, Wish
from api.live.position import Position
from api.live.state import LiveRequest
from api.live.stream import ENDED, MEDIA, Audience, LiveResponse
from api.live.viewers import Ticket
from api.live.watching import Glass
from api.web.headers import header
from api.web.query import read_query, workout_id_of
from api.web.routing import Operation, Operations
from api.workouts.answers import require_workout
from api.workouts.store import Workout
from api.workouts.telemetry import ChannelList, channels_of

_PLAIN: Final = Glass("plain", Plain)


class LiveQuery(Struct, rename="camel"):
    """What to send."""

    every: Annotated[
        int, Meta(ge=1, le=300, description="At most one sample in so many seconds")
    ] = 1
    channels: Annotated[ChannelList | None, Meta(description="Names, separated by commas")] = None
    from_: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=2**53,
                description="Unix milliseconds: what is there from this moment on comes first",
            ),
        ]
        | None
    ) = msgspec.field(default=None, name="from")


async def watch_workout(request: LiveRequest, caller: Caller) -> Response:
    """A ride as it goes on: server-sent events, until it is over.

    `samples` come as columns, as they arrive; a timestamp that comes again corrects or completes
    what it said. `summary` has the figures that the ride would have if it ended now, every few
    seconds: `through`, `summary` as of a finished ride, `bests`, `wPrimeBalance`. The last event is
    `end`, with `status` and the final `summary`, or `gone` where the ride is deleted. Without
    `from` the stream begins with what arrives from now on.

    Each event's id says how far the viewer has got: sent back as `Last-Event-ID`, as browsers do,
    the next stream goes on from there, and nothing is missing. After the last event the answer is
    204, at which browsers stop. Comments come at least every 15 seconds. A viewer that does not
    read is dropped, and one whose key is revoked within five seconds.
    """
    query = read_query(request, LiveQuery)
    wish = Wish(channels_of(query.channels), query.every)
    workout = await require_workout(request.state, workout_id_of(request), caller)
    return begin(request, _ticket_of(caller), workout, wish, _PLAIN, query.from_)


def _ticket_of(caller: Caller) -> Ticket:
    if caller.reading is None:
        return Ticket("key", caller.key_id, caller.user_id)
    return Ticket("reader", f"{caller.key_id} {caller.reading.share_id}", caller.user_id)


def begin(
    request: LiveRequest,
    ticket: Ticket,
    workout: Workout,
    wish: Wish,
    glass: Glass,
    since: int | None,
) -> Response:
    """The stream of a viewer, from where an earlier one has ended.

    Raises TooManyRequests, ServiceUnavailable.
    """
    last = header(request, b"last-event-id")
    if last == ENDED:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    request.state["watching"].viewers.require_room(ticket)
    position = Position.parse(last) if last else None
    return LiveResponse(request, Audience(ticket, workout, wish, glass, since, position))


WATCH_REFUSALS: Final = {HTTPStatus.TOO_MANY_REQUESTS: "Too many watch already"}

OPERATIONS = Operations(
    "live",
    "Watch a ride while it goes on",
    (
        Operation(
            "GET",
            "/api/workouts/{id}/live",
            watch_workout,
            {HTTPStatus.OK: bytes, HTTPStatus.NO_CONTENT: None},
            "read",
            query=LiveQuery,
            media=(MEDIA,),
            refusals=WATCH_REFUSALS,
            takes_athlete=True,
            of_primary=True,
        ),
    ),
)
