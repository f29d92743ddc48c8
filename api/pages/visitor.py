"""Who looks at a page: somebody with a session or a key in a cookie, or a stranger."""

import secrets
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from api.export.state import ExportRequest
from api.identity import store
from api.identity.auth import Caller
from api.identity.cookies import form_token, keep_visit, session_key, visit_secret
from api.identity.wire import Rider
from api.pages.formats import Formats, formats_of
from api.web.problems import Unauthorized
from api.web.routing import ATHLETE
from shared.settings import Settings

PagesRequest = ExportRequest  # the pages need what every room below them needs
_READ: Final = "read"


@dataclass(frozen=True)
class SignedIn:
    """A user whose browser has shown a key that may read.

    ``caller`` and ``rider``: whose data are shown; ``reader``: who looks, where that is another.
    """

    caller: Caller
    rider: Rider
    reader: Rider | None = None

    @property
    def may_change(self) -> bool:
        """Whether the key may change and delete rides."""
        return "admin" in self.caller.scopes

    @property
    def name(self) -> str:
        """How to call whoever looks."""
        user = self.reader or self.rider
        return user.display_name or user.email

    @property
    def athlete(self) -> str | None:
        """How to call the athlete whose data are shown; None where they are the user's own."""
        if self.reader is None:
            return None
        return self.rider.display_name or self.rider.email.partition("@")[0]


@dataclass(frozen=True)
class Tiles:
    """Where the tiles of maps are, and whom the map is by."""

    url: str
    attribution: str


@dataclass(frozen=True)
class Visitor:
    """``secret``: what the tokens of this browser's forms are made from.

    ``path``: what was asked for.
    """

    secret: str
    formats: Formats
    tiles: Tiles | None = None
    signed_in: SignedIn | None = None
    path: str = "/"

    @property
    def token(self) -> str:
        """For forms, and for the header of scripts."""
        return form_token(self.secret)

    @property
    def user(self) -> SignedIn:
        """Whoever has signed in. Raises Unauthorized for a stranger."""
        if self.signed_in is None:
            raise Unauthorized("sign in first")
        return self.signed_in

    @property
    def athlete_id(self) -> str | None:
        """Of the athlete whose data are shown; None where they are the user's own."""
        user = self.signed_in
        return str(user.caller.user_id) if user and user.reader else None

    def to(self, path: str) -> str:
        """The address of a path or its query, of the athlete's where one is looked at."""
        if self.athlete_id is None:
            return path
        path, mark, part = path.partition("#")
        return f"{path}{'&' if '?' in path else '?'}{ATHLETE}={self.athlete_id}{mark}{part}"


async def visitor_of(request: PagesRequest, *, takes_athlete: bool = False) -> Visitor:
    """Whoever made the request. A key that opens nothing any more makes a stranger.

    ``takes_athlete``: whether `athlete` in the query has the page show that athlete's data. Raises
    NotFound.
    """
    formats, tiles = formats_of(request), tiles_of(request.state["settings"])
    path = path_of(request)
    key = session_key(request)
    if key is None:
        secret = visit_secret(request) or secrets.token_urlsafe(32)
        return Visitor(secret, formats, tiles, path=path)
    try:
        caller = await request.state["authenticator"].open(key, _READ)
    except Unauthorized:
        return Visitor(key, formats, tiles, path=path)
    request.scope["user_id"] = caller.user_id  # for the access log
    database = request.state["database"]
    signed_in = SignedIn(caller, await store.get_profile(database, caller.user_id))
    athlete = request.query_params.get(ATHLETE) if takes_athlete else None
    if athlete:
        caller = await request.state["authenticator"].read_as(caller, athlete)
        profile = await store.get_profile(database, caller.user_id)
        signed_in = SignedIn(caller, profile, signed_in.rider)
    return Visitor(key, formats, tiles, signed_in, path)


def path_of(request: PagesRequest) -> str:
    """What is asked for, query included."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def tiles_of(settings: Settings) -> Tiles | None:
    """None unless the operator has chosen a host of tiles."""
    url = settings.map_tiles_url
    return Tiles(url, settings.map_tiles_attribution) if url else None


def recognise_later(response: Response, request: PagesRequest, visitor: Visitor) -> None:
    """Give a stranger's browser the secret by which its forms are known to be its own."""
    if session_key(request) is None and visit_secret(request) is None:
        keep_visit(response, request, visitor.secret)
