"""The ride that a link opens, for whoever has it: live and afterwards, without controls."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response

from api.pages.figures import FIRST, ShownFigure, write_figure
from api.pages.formats import MISSING
from api.pages.ride import BEST_DURATIONS, shown_ride
from api.pages.routing import Page
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.sharing.figures import OF_THE_BODY
from api.sharing.preview import MEDIA as PNG
from api.sharing.shared import read_preview, read_shared, read_shared_efforts
from api.web.problems import NotFound

_IN_SHORT: Final = ("totalDistance", "movingTime", "totalElevationGain", "normalizedPower")
_HIDDEN: Final = "Parts of the track are not shown, and distances are of what is."
_HIDDEN_LIVE: Final = "Positions come a little later than the rest, and not near where it begins."


async def show_shared(request: PagesRequest, visitor: Visitor) -> Response:
    """The page, the same for everybody, even for its rider; or that the link opens nothing."""
    stranger = Visitor(visitor.secret, visitor.formats, path=visitor.path)
    try:
        shared, efforts = await read_shared(request), await read_shared_efforts(request)
    except NotFound:
        return page("shared_closed.html", stranger, HTTPStatus.NOT_FOUND)
    ride: dict[str, Any] = msgspec.to_builtins(shared)
    shown = shown_ride(ride, visitor.formats)
    return page(
        "ride.html",
        stranger,
        **shown | _known(shown, is_hidden=shared.hidden),
        own=False,
        may_change=False,
        path=f"/api/shared/{request.path_params['token']}",
        zones=[],
        bests=[each for each in efforts.bests if each.duration in BEST_DURATIONS],
        curve=[(each.duration, each.power) for each in efforts.power_curve],
        notes=_notes(is_hidden=shared.hidden, is_live=shown["live"]),
        in_short=_in_short(shown["summary"], visitor),
        picture=_picture_of(request),
    )


async def show_preview(request: PagesRequest, _: Visitor) -> Response:
    """The picture that a message shows beside the link."""
    return Response(await read_preview(request), media_type=PNG)


def _picture_of(request: PagesRequest) -> str:
    """Where it is: messengers follow whole addresses alone."""
    base = request.state["settings"].public_url.rstrip("/")
    return f"{base}/shared/{request.path_params['token']}/preview.png"


def _known(shown: dict[str, Any], *, is_hidden: bool) -> dict[str, Any]:
    """The figures without those that are missing, or will be until the ride is over."""
    groups = [(name, list(filter(_is_known, rows))) for name, rows in shown["groups"]]
    if shown["live"]:
        never = {*OF_THE_BODY, "totalDistance"} if is_hidden else {*OF_THE_BODY}
        figures = [each for each in shown["figures"] if each.member not in never]
    else:
        figures = list(filter(_is_known, shown["figures"]))
    return {"figures": figures, "groups": [each for each in groups if each[1]]}


def _is_known(figure: ShownFigure) -> bool:
    return figure.value != MISSING


def _notes(*, is_hidden: bool, is_live: bool) -> list[str]:
    if not is_hidden:
        return []
    return [_HIDDEN_LIVE if is_live else _HIDDEN]


def _in_short(summary: dict[str, Any], visitor: Visitor) -> str:
    """A line for the preview of the link in a message."""
    known = [each for each in FIRST if each.member in _IN_SHORT and summary.get(each.member)]
    written = [write_figure(each, summary[each.member], visitor.formats) for each in known]
    return " · ".join("\u2009".join(filter(None, each)) for each in written)


PAGES: Final = (
    Page("/shared/{token}", show_shared, is_public=True, of_primary=True),
    Page("/shared/{token}/preview.png", show_preview, is_public=True, of_primary=True),
)
