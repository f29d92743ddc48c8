"""A coach's screen: the athletes who have let the visitor in, and those who would."""

from typing import Final

from starlette.responses import Response

from api.pages.form import word_for
from api.pages.routing import Page
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.sharing import store


async def show_athletes(request: PagesRequest, visitor: Visitor) -> Response:
    """Athletes by name; those who offer it above them."""
    database, user_id = request.state["database"], visitor.user.caller.user_id
    athletes = await store.list_athletes(database, user_id)
    return page(
        "athletes.html",
        visitor,
        athletes=[(each, word_for(each.form.tsb) if each.form else "") for each in athletes],
        offered=await store.list_offers(database, user_id),
    )


PAGES: Final = (Page("/athletes", show_athletes, of_primary=True),)
