"""Kilometres or miles, as the browser's user prefers."""

from typing import Final

from starlette.responses import Response

from api.pages.formats import UNITS_COOKIE
from api.pages.routing import Fields, Page, go_to, local_path
from api.pages.visitor import PagesRequest, Visitor
from api.web.headers import header

_YEAR: Final = 365 * 86_400


async def choose_units(request: PagesRequest, _: Visitor, fields: Fields) -> Response:
    """Have the browser remember them, and show the same page again."""
    origin = f"{request.url.scheme}://{request.url.netloc}"
    response = go_to(local_path(header(request, b"referer").removeprefix(origin)))
    units = "imperial" if fields.get("units") == "imperial" else "metric"
    response.set_cookie(UNITS_COOKIE, units, _YEAR, httponly=True, samesite="lax")
    return response


PAGES: Final = (Page("/units", act=choose_units, is_public=True),)
