"""Kilometres or miles, as the browser's user prefers."""

from typing import Final

from starlette.responses import Response

from api.pages.formats import UNITS_COOKIE
from api.pages.routing import Fields, Page, go_to, local_path
from api.pages.visitor import PagesRequest, Visitor

_YEAR: Final = 365 * 86_400


async def choose_units(_request: PagesRequest, _visitor: Visitor, fields: Fields) -> Response:
    """Have the browser remember them, and show the same page again.

    The form says which: no page tells others where a visitor was, so there is no Referer.
    """
    response = go_to(local_path(fields.get("next", "")))
    units = "imperial" if fields.get("units") == "imperial" else "metric"
    response.set_cookie(UNITS_COOKIE, units, _YEAR, httponly=True, samesite="lax")
    return response


PAGES: Final = (Page("/units", act=choose_units, is_public=True),)
