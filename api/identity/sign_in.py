"""Sign in by OpenID Connect: to the provider, and back with an identity that it confirms."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct
from starlette.responses import RedirectResponse, Response

from api.identity import attempts, store
from api.identity.attempts import Attempt
from api.identity.cookies import keep_session
from api.identity.openid import Claims, ProviderClient, make_secrets
from api.identity.outbound import BoundedTransport
from api.identity.registration import checked_email, create_user, require_registration
from api.identity.sessions import Session, open_session
from api.identity.state import IdentityRequest, IdentityState
from api.identity.store import NewUser
from api.web.problems import BadRequest, Conflict, Forbidden, NotFound
from api.web.query import TimeZone, read_query, time_zone_of
from api.web.responses import json_response
from api.web.routing import Operation, Operations
from shared.settings import Settings

PATH: Final = "/api/sign-in"
_LONGEST_NAME: Final = 100

Parameter = Annotated[str, Meta(max_length=4096)]


class Provider(Struct):
    """A provider by whom to sign in: send the rider's browser to `url`."""

    name: str
    url: str


class SignInOptions(Struct):
    """Who may make an account, and by which providers one may sign in."""

    registration: Annotated[Literal["open", "invite", "closed"], Meta(title="RegistrationMode")]
    providers: list[Provider]


class StartQuery(Struct, rename="camel"):
    """`invitation`: a code from whoever runs the service, where a new account needs one.

    `page`: come back to the start page, signed in by a cookie, instead of to a session as JSON.
    `timeZone`: of a new account.
    """

    invitation: Annotated[
        Annotated[str, Meta(max_length=100)] | None,
        Meta(description="A code from whoever runs the service, if a new account needs one"),
    ] = None
    page: Annotated[bool, Meta(description="Come back to the page, not to JSON")] = False
    time_zone: TimeZone = "UTC"


class CallbackQuery(Struct):
    """What the provider sends back by the user's browser."""

    state: Annotated[Parameter | None, Meta(description="Which sign-in it is")] = None
    code: Annotated[Parameter | None, Meta(description="Proof that the user agreed")] = None
    iss: Annotated[Parameter | None, Meta(description="The provider's issuer")] = None
    error: Annotated[Parameter | None, Meta(description="Why there is no code")] = None
    error_description: Annotated[Parameter | None, Meta(description="The same in words")] = None


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
    time_zone = time_zone_of(wanted.time_zone, "timeZone")
    await state["throttle"].admit_sign_in(request)
    secrets = make_secrets()
    response = RedirectResponse(await provider.address(secrets), HTTPStatus.FOUND)
    cookie = await attempts.save(
        state["redis"], provider.name, secrets, wanted.invitation, time_zone, page=wanted.page
    )
    attempts.set_cookie(response, state["settings"], cookie)
    return response


async def finish_sign_in(request: IdentityRequest) -> Response:
    """Open a session for whom the provider vouches; who is new here gets an account.

    The provider sends the browser here. Begin at the path above, not with this.
    """
    state, provider = request.state, _provider_of(request)
    answer = read_query(request, CallbackQuery)
    await state["throttle"].admit_sign_in(request)
    attempt = await attempts.take(request, answer.state or "", provider.name)
    claims = await _claims_of(provider, answer, attempt)
    user_id = await _user_of(request, provider, claims, attempt)
    session = await open_session(state, user_id, provider.name)
    response = _signed_in(request, session) if attempt.page else _answer(session)
    attempts.clear_cookie(response, state["settings"])
    return response


def _answer(session: Session) -> Response:
    return json_response(session, HTTPStatus.CREATED)


def _signed_in(request: IdentityRequest, session: Session) -> Response:
    """To the start page, with the session in a cookie."""
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    keep_session(response, request, session.secret, session.key.expires_at)
    return response


def _provider_of(request: IdentityRequest) -> ProviderClient:
    """The provider in the path. Raises NotFound for an unknown one."""
    providers: Mapping[str, ProviderClient] = request.state["providers"]
    provider = providers.get(request.path_params["provider"])
    if provider is None:
        raise NotFound(f"no provider is called so; {PATH} lists those that there are")
    return provider


async def _claims_of(provider: ProviderClient, answer: CallbackQuery, attempt: Attempt) -> Claims:
    """What the provider says of the user, once its answer has been checked."""
    code = _require_code(provider, answer)  # first: some providers do not sign a refusal with `iss`
    await provider.require_sender(answer.iss)
    return await provider.identify(code, attempt.secrets)


def _require_code(provider: ProviderClient, answer: CallbackQuery) -> str:
    """Raises Forbidden with the provider's own words for a refusal, BadRequest without a code."""
    if answer.error is not None:
        said = f"{answer.error}: {answer.error_description or 'it does not say why'}"
        raise Forbidden(f"{provider.name} does not vouch for you: {said[:500]}")
    if answer.code is None:
        raise BadRequest(f"{provider.name} sent no code; begin again")
    return answer.code


async def _user_of(
    request: IdentityRequest, provider: ProviderClient, claims: Claims, attempt: Attempt
) -> UUID:
    """The user with these claims, created if need be.

    Raises Conflict, Forbidden, TooManyRequests, Unprocessable.
    """
    user_id = await _find_user(request.state, provider, claims)
    if user_id is not None:
        return user_id
    require_registration(request.state["settings"], attempt.invitation)
    user = _new_user(provider, claims, attempt.time_zone)
    await request.state["throttle"].admit_registration(request)
    try:
        return await create_user(request.state, user, attempt.invitation)
    except Conflict:  # by the same user, in another window?
        user_id = await _find_user(request.state, provider, claims)
        if user_id is None:
            raise
        return user_id


async def _find_user(state: IdentityState, provider: ProviderClient, claims: Claims) -> UUID | None:
    """Raises Forbidden if the user is disabled."""
    user = await store.find_provider_user(state["database"], provider.issuer, claims.sub)
    if user is None:
        return None
    if user.disabled:
        raise Forbidden("this account is disabled")
    return user.id


def _new_user(provider: ProviderClient, claims: Claims, time_zone: str) -> NewUser:
    """Raises Forbidden unless the provider has verified the email address; Unprocessable."""
    if claims.email is None:
        raise Forbidden(f"{provider.name} gives no email address of yours")
    if not claims.has_verified_email:
        raise Forbidden(f"{provider.name} has not verified your email address")
    email = checked_email(claims.email)
    name = (claims.name or "").replace("\x00", "").strip()[:_LONGEST_NAME]
    return NewUser(email, name or None, time_zone, provider=provider.issuer, provider_id=claims.sub)


def _url(settings: Settings, *names: str) -> str:
    return "/".join((settings.public_url.rstrip("/") + PATH, *names))


_NO_PROVIDER: Final = {
    HTTPStatus.SERVICE_UNAVAILABLE: "The provider does not answer; begin again after Retry-After",
    HTTPStatus.TOO_MANY_REQUESTS: "Tried too often; wait for Retry-After",
}

OPERATIONS = Operations(
    "sign-in",
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
            {HTTPStatus.CREATED: Session, HTTPStatus.SEE_OTHER: None},
            query=CallbackQuery,
            is_open=True,  # providers add parameters of their own
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
