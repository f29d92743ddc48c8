"""The start page: for strangers what this is and how to begin."""

from typing import Final

from starlette.responses import Response

from api.pages.routing import Page
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor


async def show_home(request: PagesRequest, visitor: Visitor) -> Response:
    """The start page."""
    if visitor.signed_in:
        return page("home.html", visitor)
    return page("welcome.html", visitor, registration=request.state["settings"].registration)


PAGES: Final = (Page("/", show_home, is_public=True),)
