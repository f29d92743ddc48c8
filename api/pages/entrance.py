"""The way in and out: sign in by password, provider or key; register; sign out."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from api.apps.authorizing import Malformed, read_asked
from api.apps.issuer import AUTHORIZE_PATH
from api.identity.accounts import Registration, create_account
from api.identity.auth import Caller
from api.identity.cookies import drop_session, keep_session
from api.identity.logins import LogIn, end_session, open_by_password
from api.pages.routing import SIGN_IN, Fields, Page, go_to, local_path
from api.pages.templates import page
from api.pages.visitor import PagesRequest, Visitor
from api.web.problems import Forbidden, Problem, Unauthorized, Unprocessable
from api.web.query import time_zone_of
from api.web.shapes import fault_of, sentence

_FEWEST: Final = 8  # characters of a password


@dataclass(frozen=True)
class _Failure:
    """What was wrong with a form, and what stays filled in."""

    detail: str
    fields: Fields


async def show_sign_in(request: PagesRequest, visitor: Visitor) -> Response:
    """The form, unless somebody has signed in already."""
    wanted = local_path(request.query_params.get("next", "/"))
    is_again = "again" in request.query_params  # a session that is too old for what is wanted
    if visitor.signed_in and not is_again:
        return go_to(wanted)
    return await _sign_in_page(request, visitor, wanted)


async def sign_in(request: PagesRequest, visitor: Visitor, fields: Fields) -> Response:
    """Open a session with the password, or take a key as it is."""
    wanted = local_path(fields.get("next", "/"))
    try:
        response = go_to(wanted)
        await _open(request, response, fields)
    except (Unauthorized, Forbidden, Unprocessable) as problem:
        return await _sign_in_page(request, visitor, wanted, _failure_of(problem, fields))
    return response


async def show_register(request: PagesRequest, visitor: Visitor) -> Response:
    """The form of a new account."""
    wanted = local_path(request.query_params.get("next", "/"))
    if visitor.signed_in:
        return go_to(wanted)
    return await _register_page(request, visitor, wanted)


async def register(request: PagesRequest, visitor: Visitor, fields: Fields) -> Response:
    """Create the account, sign in, and go on to what was wanted."""
    wanted = local_path(fields.get("next", "/"))
    try:
        if len(fields.get("password", "")) < _FEWEST:
            raise Unprocessable(f"a password has at least {_FEWEST} characters")
        await create_account(request.state, request, _registration_of(fields))
        response = go_to(wanted)
        await _open(request, response, fields)
    except Problem as problem:
        return await _register_page(request, visitor, wanted, _failure_of(problem, fields))
    return response


async def sign_out(request: PagesRequest, visitor: Visitor, fields: Fields) -> Response:
    """End the session. A key that was typed in is forgotten, and goes on opening elsewhere.

    ``next`` among the fields: where to go then, as to sign in as somebody else.
    """
    if visitor.signed_in and visitor.signed_in.caller.session_since:
        await end_session(request.state, visitor.signed_in.caller)
    response = go_to(local_path(fields.get("next", "/")))
    drop_session(response, request)
    return response


async def _open(request: PagesRequest, response: Response, fields: Fields) -> None:
    """Have the browser keep a key. Raises Unauthorized, Forbidden."""
    if key := fields.get("key", "").strip():
        await request.state["throttle"].admit_sign_in(request)
        caller = await _caller_with(request, key)
        keep_session(response, request, key, caller.expires_at)
        return
    wanted = LogIn(fields.get("email", "").strip()[:320], fields.get("password", "")[:1000])
    session = await open_by_password(request.state, request, wanted)
    keep_session(response, request, session.secret, session.key.expires_at)


async def _caller_with(request: PagesRequest, key: str) -> Caller:
    try:
        return await request.state["authenticator"].open(key, "read")
    except Unauthorized:
        raise Unauthorized("this key is mistyped, unknown, revoked or expired") from None
    except Forbidden:
        raise Forbidden("this key may only upload: the pages need one that may read") from None


def _registration_of(fields: Fields) -> Registration:
    members = {
        "email": fields.get("email", "").strip(),
        "password": fields.get("password", ""),
        "displayName": fields.get("name", "").strip() or None,
        "invitation": fields.get("invitation", "").strip() or None,
        "timeZone": _zone_of(fields.get("zone", "")),
    }
    try:
        return msgspec.convert(members, Registration)
    except msgspec.ValidationError as error:
        fault = fault_of(error, Registration)
        raise Unprocessable(sentence(fault), [fault]) from None


def _zone_of(text: str) -> str:
    """The browser's time zone, so that days are the rider's; UTC where it names none that is known.

    Nobody has typed it in, so nobody is told.
    """
    try:
        return time_zone_of(text, "zone")
    except Unprocessable:
        return "UTC"


def _failure_of(problem: Problem, fields: Fields) -> _Failure:
    detail = problem.detail.removeprefix("email: ")
    return _Failure(detail[:1].upper() + detail[1:], fields)


async def _sign_in_page(
    request: PagesRequest, visitor: Visitor, wanted: str, failure: _Failure | None = None
) -> Response:
    return page(
        "sign_in.html",
        visitor,
        HTTPStatus.UNPROCESSABLE_ENTITY if failure else HTTPStatus.OK,
        failure=failure,
        **await _ways_in(request, wanted),
    )


async def _register_page(
    request: PagesRequest, visitor: Visitor, wanted: str, failure: _Failure | None = None
) -> Response:
    return page(
        "register.html",
        visitor,
        HTTPStatus.UNPROCESSABLE_ENTITY if failure else HTTPStatus.OK,
        failure=failure,
        fewest=_FEWEST,
        invitation=request.query_params.get("invitation", ""),
        **await _ways_in(request, wanted),
    )


async def _ways_in(request: PagesRequest, wanted: str) -> dict[str, object]:
    state = request.state
    return {
        "wanted": wanted,
        "app": await _waiting_app(request, wanted),
        "registration": state["settings"].registration,
        "providers": list(state["providers"]),
    }


async def _waiting_app(request: PagesRequest, wanted: str) -> str | None:
    """The name of the app that has sent the rider here to be let in, if one has."""
    path, _, query = wanted.partition("?")
    if path != AUTHORIZE_PATH:
        return None
    try:
        return (await read_asked(request.state, query)).app.name
    except (Malformed, ValueError):  # said once somebody has signed in
        return None


PAGES: Final = (
    Page(SIGN_IN, show_sign_in, sign_in, is_public=True),
    Page("/register", show_register, register, is_public=True),
    Page("/sign-out", act=sign_out, is_public=True),
)
