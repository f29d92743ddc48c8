"""Signing in by OpenID Connect: there and back, bound to one browser, each time once."""

import hmac
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from api.identity.accounts import checked_email, create_user, require_registration
from api.identity.openid import Identity, ProviderClient, Secrets
from api.identity.outbound import BoundedTransport
from api.identity.sessions import Session, open_session
from api.identity.state import IdentityRequest, IdentityState
from api.web.problems import BadRequest, Conflict, Forbidden
from api.web.query import read_query
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from shared.credentials import hash_key
from shared.settings import Settings
from shared.sql import load_queries

QUERIES = load_queries("users")
PATH: Final = "/api/sign-in"
_LIFETIME: Final = 600  # seconds to sign in at the provider
_LONGEST_NAME: Final = 100

Parameter = Annotated[str, Meta(max_length=4096)]


class Provider(Struct):
    """A provider by whom to sign in: send the rider's browser to `url`."""

    name: str
    url: str


class SignInOptions(Struct):
    """Who may make an account, and by which providers one may sign in."""

    registration: Literal["open", "invite", "closed"]
    providers: list[Provider]


class StartQuery(Struct):
    """`invitation`: a code from whoever runs the service, where a new account needs one."""

    invitation: Annotated[str, Meta(max_length=100)] | None = None


class CallbackQuery(Struct):
    """What the provider sends back by the rider's browser."""

    state: Parameter | None = None
    code: Parameter | None = None
    iss: Parameter | None = None
    error: Parameter | None = None
    error_description: Parameter | None = None


class _Transaction(Struct):
    """A rider who was sent to a provider. ``browser``: the hash of its cookie."""

    provider: str
    secrets: Secrets
    browser: bytes
    invitation: str | None


def open_providers(settings: Settings, transport: BoundedTransport) -> dict[str, ProviderClient]:
    """The providers of the settings, by name. Asks them nothing yet."""
    return {
        provider.name: ProviderClient(
            provider, _url(settings, provider.name, "callback"), transport
        )
        for provider in settings.oidc_providers
    }


async def list_providers(request: IdentityRequest) -> Response:
    """How one may register and sign in here."""
    settings = request.state["settings"]
    providers = [Provider(name, _url(settings, name)) for name in request.state["providers"]]
    return json_response(SignInOptions(settings.registration, providers))


async def start_sign_in(request: IdentityRequest) -> Response:
    """Send a browser to an OpenID provider, which sends it back to the callback."""
    state, provider = request.state, _provider_of(request)
    wanted = read_query(request, StartQuery)
    await state["throttle"].admit_sign_in(request)
    made = Secrets(*(secrets.token_urlsafe(32) for _ in range(3)))
    address = await provider.address(made)
    browser = secrets.token_urlsafe(32)
    name = provider.provider.name
    transaction = _Transaction(name, made, hash_key(browser), wanted.invitation)
    await state["redis"].set(_key(made.state), msgspec.json.encode(transaction), ex=_LIFETIME)
    response = RedirectResponse(address, HTTPStatus.FOUND)
    _set_cookie(response, state["settings"], browser, _LIFETIME)
    return response


async def finish_sign_in(request: IdentityRequest) -> Response:
    """Open a session for whom the provider vouches; who is new here gets an account.

    The provider sends the browser here. Begin at the path above, not with this.
    """
    state, provider = request.state, _provider_of(request)
    answer = read_query(request, CallbackQuery)
    await state["throttle"].admit_sign_in(request)
    transaction = await _take_transaction(request, answer.state or "", provider)
    _require_consent(provider, answer)  # first: some providers do not sign a refusal with `iss`
    await provider.require_sender(answer.iss)
    identity = await provider.identify(answer.code or "", transaction.secrets)
    user_id = await _user_of(request, provider, identity, transaction.invitation)
    response = await open_session(state, user_id, provider.provider.name)
    _set_cookie(response, state["settings"], "", 0)
    return response


def _provider_of(request: IdentityRequest) -> ProviderClient:
    """Raises HTTPException for an unknown one, as an unknown path does."""
    providers: Mapping[str, ProviderClient] = request.state["providers"]
    provider = providers.get(request.path_params["provider"])
    if provider is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return provider


async def _take_transaction(
    request: IdentityRequest, state: str, provider: ProviderClient
) -> _Transaction:
    """What was begun in this browser, once. Raises BadRequest."""
    browser = hash_key(request.cookies.get(_cookie_name(request.state["settings"]), ""))
    stored = await request.state["redis"].getdel(_key(state))
    if stored is not None:
        transaction = msgspec.json.decode(stored, type=_Transaction)
        same_browser = hmac.compare_digest(transaction.browser, browser)
        if same_browser and transaction.provider == provider.provider.name:
            return transaction
    raise BadRequest("this sign-in was not begun in this browser, or is over; begin again")


def _require_consent(provider: ProviderClient, answer: CallbackQuery) -> None:
    """Raises Forbidden with the provider's own words, BadRequest without a code."""
    if answer.error is not None:
        said = f"{answer.error}: {answer.error_description or 'it does not say why'}"
        raise Forbidden(f"{provider.provider.name} does not vouch for you: {said[:500]}")
    if answer.code is None:
        raise BadRequest(f"{provider.provider.name} sent no code; begin again")


async def _user_of(
    request: IdentityRequest, provider: ProviderClient, identity: Identity, invitation: str | None
) -> UUID:
    """The user of an identity, made if need be. Raises Conflict, Forbidden, TooManyRequests."""
    known = {"provider": provider.provider.issuer, "provider_id": identity.sub}
    user_id = await _find_user(request.state, known)
    if user_id is not None:
        return user_id
    require_registration(request.state, invitation)
    person = {**known, **_person_of(provider, identity)}
    await request.state["throttle"].admit_registration(request)
    try:
        return await _register(request.state, person, invitation)
    except Conflict:  # by the same rider, in another window?
        user_id = await _find_user(request.state, known)
        if user_id is None:
            raise
        return user_id


async def _find_user(state: IdentityState, known: dict[str, str]) -> UUID | None:
    """Raises Forbidden if the user is shut out."""
    async with state["database"].connection() as connection:
        cursor = await connection.execute(QUERIES["find_identity"], known)
        row = await cursor.fetchone()
    if row is None:
        return None
    if row["disabled"]:
        raise Forbidden("this account is disabled")
    user_id: UUID = row["id"]
    return user_id


def _person_of(provider: ProviderClient, identity: Identity) -> dict[str, str | None]:
    """What is stored of a new user. Raises Forbidden: an address must be the rider's own."""
    if identity.email is None:
        raise Forbidden(f"{provider.provider.name} gives no email address of yours")
    if not identity.has_verified_email:
        raise Forbidden(f"{provider.provider.name} has not verified your email address")
    name = (identity.name or "").replace("\x00", "").strip()[:_LONGEST_NAME]
    return {
        "email": checked_email(identity.email),
        "password_hash": None,
        "display_name": name or None,
    }


async def _register(
    state: IdentityState, person: dict[str, str | None], invitation: str | None
) -> UUID:
    async with state["database"].connection() as connection, connection.transaction():
        return await create_user(connection, person, state, invitation)


def _key(state: str) -> str:
    return f"sign-in:{state}"


def _url(settings: Settings, *names: str) -> str:
    return "/".join((settings.public_url.rstrip("/") + PATH, *names))


def _cookie_name(settings: Settings) -> str:
    """With https one that browsers let no other host set, not even a neighbour by its domain."""
    return "__Host-sign-in" if _is_https(settings) else "sign-in"


def _set_cookie(response: Response, settings: Settings, value: str, max_age: int) -> None:
    name, secure = _cookie_name(settings), _is_https(settings)
    # `__Host-` asks for the path /; and Lax lets it come along when the provider sends one back.
    response.set_cookie(
        name, value, max_age, path="/", secure=secure, httponly=True, samesite="lax"
    )


def _is_https(settings: Settings) -> bool:
    return urlsplit(settings.public_url).scheme == "https"


_NO_PROVIDER: Final = {
    HTTPStatus.SERVICE_UNAVAILABLE: "The provider does not answer; begin again after Retry-After",
    HTTPStatus.TOO_MANY_REQUESTS: "Tried too often; wait for Retry-After",
}

OPERATIONS = Operations(
    "sign_in",
    "By an OpenID provider",
    (
        Operation("GET", "/api/sign-in", list_providers, {HTTPStatus.OK: SignInOptions}),
        Operation(
            "GET",
            "/api/sign-in/{provider}",
            start_sign_in,
            {HTTPStatus.FOUND: None},
            query=StartQuery,
            headers=("Location", "Set-Cookie"),
            refusals=_NO_PROVIDER,
        ),
        Operation(
            "GET",
            "/api/sign-in/{provider}/callback",
            finish_sign_in,
            {HTTPStatus.CREATED: Session},
            query=CallbackQuery,
            headers=("Cache-Control",),
            refusals={
                **_NO_PROVIDER,
                HTTPStatus.BAD_REQUEST: "It was not begun in this browser, or is over",
                HTTPStatus.UNAUTHORIZED: "The provider's proof does not hold",
                HTTPStatus.FORBIDDEN: "The provider or this service does not let the rider in",
                HTTPStatus.CONFLICT: "Another account has the email address",
            },
        ),
    ),
)
