"""Apps of others: what one asks for, which are let in, and which the rider has registered."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from api.apps import store
from api.apps.authorizing import Asked, Malformed, allow, deny, read_asked
from api.apps.issuer import AUTHORIZE_PATH
from api.apps.registered import MOST_APPS
from api.apps.wire import SCOPES, Connection
from api.pages.routing import Fields, Page, go_to
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.web.security_headers import page_headers
from shared.redirects import MOST_REDIRECTS, host_of, source_of

PATH: Final = "/account/apps"
_POLICY: Final = "Content-Security-Policy"
# What a scope lets an app do, as the rider is asked, and in short.
ASKED: Final = {
    "upload": "send rides as yours: start, fill and end them",
    "read": "read everything of yours: rides with where you rode, your heart rate and weight,"
    " records, hidden places, whom you have let in, and your email address",
}
_USES: Final = {"upload": "send rides", "read": "read everything"}


@dataclass(frozen=True)
class ConnectionRow:
    """An app that is let in, and what it may do."""

    app: Connection
    uses: str


async def show_consent(request: PagesRequest, visitor: Visitor) -> Response:
    """Ask whether an app may be let in; or say what is wrong with what it asks."""
    try:
        asked = await read_asked(request.state, request.url.query)
    except Malformed as malformed:
        return _refuse(visitor, malformed)
    let_in = await _let_in(request, asked, visitor)
    response = page("consent.html", visitor, **_consent(asked, visitor), let_in=let_in)
    # The form leads to the app in the end, and browsers look at that, too.
    policy = dict(page_headers(""))[_POLICY]
    to_app = f"form-action 'self' {source_of(asked.redirect_uri)};"
    response.headers[_POLICY] = policy.replace("form-action 'self';", to_app)
    return response


async def decide(request: PagesRequest, visitor: Visitor, fields: Fields) -> Response:
    """Let the app in, or not, and go back to it."""
    try:
        asked = await read_asked(request.state, request.url.query)
    except Malformed as malformed:
        return _refuse(visitor, malformed)
    if fields.get("decision") == "allow":
        return go_to(await allow(request.state, asked, visitor.user.caller))
    return go_to(deny(request.state, asked))


async def show_apps(request: PagesRequest, visitor: Visitor) -> Response:
    """The apps that are let in, and the rider's own ones."""
    database, user_id = request.state["database"], visitor.user.caller.user_id
    connections = await store.list_connections(database, user_id)
    return page(
        "apps.html",
        visitor,
        connections=[_row(each) for each in connections],
        apps=await store.list_apps(database, user_id),
        most=MOST_APPS,
        most_redirects=MOST_REDIRECTS,
    )


def _refuse(visitor: Visitor, malformed: Malformed) -> Response:
    if malformed.location:
        return go_to(malformed.location)
    detail = malformed.detail
    return page("consent_refused.html", visitor, HTTPStatus.BAD_REQUEST, detail=detail)


def _consent(asked: Asked, visitor: Visitor) -> dict[str, Any]:
    app, own = asked.app, visitor.user.caller.user_id
    return {
        "app": app,
        "asks": [ASKED[scope] for scope in SCOPES if scope in asked.scopes],
        "host": host_of(asked.redirect_uri),
        "by": "operator" if app.user_id is None else "you" if app.user_id == own else "rider",
    }


async def _let_in(request: PagesRequest, asked: Asked, visitor: Visitor) -> str | None:
    """What the app may do already; None if it is not let in."""
    user_id = visitor.user.caller.user_id
    connections = await store.list_connections(request.state["database"], user_id)
    rows = [_row(each) for each in connections if each.app_id == asked.app.id]
    return rows[0].uses if rows else None


def _row(connection: Connection) -> ConnectionRow:
    uses = [text for scope, text in _USES.items() if scope in connection.scopes]
    return ConnectionRow(connection, ", ".join(uses))


PAGES: Final = (
    Page(AUTHORIZE_PATH, show_consent, decide, of_primary=True),  # the app is another's
    Page(PATH, show_apps),
)
