"""OAuth 2.1 by authlib, on values that are loaded before it runs and saved after it.

authlib decides: whether a request is well-formed, who asks, what may be given. It does not wait
for PostgreSQL. So its caller gives a ``Server`` what the request names, and writes what it has
collected in the transaction in which that was locked.
"""

import hmac
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, Final
from uuid import UUID

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Payload,
    OAuth2Request,
    UnsupportedResponseTypeError,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge

from api.apps.store import (
    ACCESS_LIFETIME,
    Grant,
    StoredAccess,
    StoredApp,
    StoredCode,
    StoredRefresh,
)
from api.apps.wire import SCOPES
from shared.credentials import NewKey, hash_key, make_key
from shared.redirects import is_registered

_SECRET_METHODS: Final = ["client_secret_basic", "client_secret_post"]
METHODS: Final = [*_SECRET_METHODS, "none"]
_DEFAULT_SCOPE: Final = "read"
Pairs = Sequence[tuple[str, str]]


class Client(ClientMixin):  # type: ignore[misc]
    """An app, as authlib asks about it."""

    def __init__(self, app: StoredApp) -> None:
        self.app = app

    def get_client_id(self) -> str:
        """Its id."""
        return str(self.app.id)

    def get_default_redirect_uri(self) -> str | None:
        """Where an app that names no address is answered: at the only one that it has."""
        return self.app.redirect_uris[0] if len(self.app.redirect_uris) == 1 else None

    def get_allowed_scope(self, scope: str | None) -> str:
        """The scopes that are asked for."""
        return scope or _DEFAULT_SCOPE

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether it may be answered there."""
        return is_registered(redirect_uri, self.app.redirect_uris)

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether that is its secret."""
        expected = self.app.secret_hash
        return expected is not None and hmac.compare_digest(hash_key(client_secret), expected)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Who has a secret shows it."""
        return (method == "none") == (self.app.secret_hash is None)

    def check_response_type(self, response_type: str) -> bool:
        """Codes only."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Codes, and what they give."""
        return grant_type in ("authorization_code", "refresh_token")


@dataclass(frozen=True)
class Code:
    """A code, as authlib asks about it."""

    stored: StoredCode

    @property
    def code_challenge(self) -> str:
        """The hash of what only the app that began knows."""
        return self.stored.code_challenge

    code_challenge_method = "S256"

    def get_redirect_uri(self) -> str | None:
        """Where the code went, if the app named it."""
        return self.stored.redirect_uri

    def get_scope(self) -> str:
        """What the rider has allowed."""
        return " ".join(self.stored.scopes)


@dataclass(frozen=True)
class Refresh:
    """A refresh token, as authlib asks about it."""

    grant: Grant
    stored: StoredRefresh

    def check_client(self, client: Client) -> bool:
        """Whether the app has it from us."""
        return client.app.id == self.grant.app_id

    def get_scope(self) -> str:
        """What the rider has allowed."""
        return " ".join(self.grant.scopes)


@dataclass(frozen=True)
class Revocable:
    """A token of a grant, as authlib asks about it. ``access``: of which token it is the id."""

    grant_id: UUID
    app_id: UUID
    user_id: UUID
    access: str | None = None

    def check_client(self, client: Client) -> bool:
        """Whether the app has it from us."""
        return client.app.id == self.app_id

    @classmethod
    def of_access(cls, token: StoredAccess) -> "Revocable":
        """An access token."""
        return cls(token.grant_id, token.app_id, token.user_id, token.id)

    @classmethod
    def of_refresh(cls, grant: Grant) -> "Revocable":
        """A refresh token."""
        return cls(grant.id, grant.app_id, grant.user_id)


@dataclass(frozen=True)
class Issued:
    """Tokens to save."""

    access: NewKey
    refresh: str
    scopes: list[str]


@dataclass(frozen=True)
class Reply:
    """An answer of authlib's."""

    status: int
    body: Any
    headers: list[tuple[str, str]]

    @property
    def location(self) -> str:
        """Where the browser is to go."""
        return dict(self.headers).get("Location", "")


class _Payload(OAuth2Payload):  # type: ignore[misc]
    def __init__(self, pairs: Pairs) -> None:
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            self._lists[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        return {name: values[0] for name, values in self._lists.items()}

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return self._lists

    @property
    def scope(self) -> str | None:
        """The scopes that are asked for, each once; None where none is named."""
        return " ".join(sorted(set(self.data.get("scope", "").split()))) or None


class OAuthRequest(OAuth2Request):  # type: ignore[misc]
    """A request to authlib: the parameters of a query or a form."""

    def __init__(self, method: str, pairs: Pairs, headers: Mapping[str, str] = {}) -> None:
        # authlib would refuse http. Whether there is TLS before us is the operator's to say.
        super().__init__(method, "https://localhost/", headers=dict(headers))
        self.payload = _Payload(pairs)

    @property
    def args(self) -> dict[str, str]:
        """The parameters."""
        return self.payload.data

    @property
    def form(self) -> dict[str, str]:
        """The parameters."""
        return self.payload.data


class _Pkce(CodeChallenge):  # type: ignore[misc]
    """PKCE by S256, which every app needs, with a secret or without."""

    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: Any) -> None:
        """Raises InvalidRequestError for a request without one."""
        data = grant.request.payload.data
        if not data.get("code_challenge"):
            raise InvalidRequestError("Missing 'code_challenge': PKCE is required.")
        if data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("'code_challenge_method' must be S256.")
        super().validate_code_challenge(grant, redirect_uri)

    def validate_code_verifier(self, grant: Any, result: Any) -> None:
        """Raises InvalidRequestError without one, InvalidGrantError for another one."""
        try:
            super().validate_code_verifier(grant, result)
        except InvalidGrantError:
            raise InvalidGrantError(
                "The 'code_verifier' is not the one that 'code_challenge' was made from."
            ) from None


class _NotCode(UnsupportedResponseTypeError):  # type: ignore[misc]
    description = "The 'response_type' must be 'code'."

    def get_error_description(self) -> str:
        return self.description


class _CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    @staticmethod
    def validate_authorization_redirect_uri(request: OAuthRequest, client: Client) -> str:
        uri = request.payload.redirect_uri or client.get_default_redirect_uri()
        if not uri:
            raise InvalidRequestError("Missing 'redirect_uri' in request.")
        if not client.check_redirect_uri(uri):
            raise InvalidRequestError("The app has not registered this 'redirect_uri'.")
        return str(uri)

    def save_authorization_code(self, code: str, request: OAuthRequest) -> None:
        self.server.code = code

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        held = self.server.held
        is_own = isinstance(held, Code) and held.stored.app_id == client.app.id
        return held if is_own else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """It stays, as used, so that its reuse is noticed."""

    def authenticate_user(self, authorization_code: Code) -> UUID:
        """The rider; a code that was used before gives nothing, and what it gave ends."""
        if authorization_code.stored.used:
            self.server.is_reused = True
            raise InvalidGrantError("The code was used before: what it gave has ended.")
        return authorization_code.stored.user_id


class _RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
        held = self.server.held
        return held if isinstance(held, Refresh) else None

    def authenticate_user(self, refresh_token: Refresh) -> UUID:
        """The rider; one that was used before, and not just now, ends all that came of it."""
        if refresh_token.stored.used and not refresh_token.stored.is_repeatable:
            self.server.is_reused = True
            raise InvalidGrantError("The refresh token was used before: the grant has ended.")
        return refresh_token.grant.user_id

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        """It stays, as used, so that its reuse is noticed."""


class _Revocation(RevocationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = METHODS

    def check_params(self, request: OAuthRequest, client: Client) -> None:
        """A hint is none that we need, so it may be any."""
        if not request.form.get("token"):
            raise InvalidRequestError("Missing 'token' in request.")

    def query_token(self, token_string: str, token_type_hint: str | None) -> Revocable | None:
        held = self.server.held
        return held if isinstance(held, Revocable) else None

    def revoke_token(self, token: Revocable, request: OAuthRequest) -> None:
        self.server.revoked = token


class Server(AuthorizationServer):  # type: ignore[misc]
    """Decides about one request, of one ``client``, that names what is ``held``.

    Afterwards ``code`` is the code to save, ``issued`` the tokens, ``revoked`` the token to end;
    ``is_reused``: what is held was used before, so end all that it gave.
    """

    def __init__(
        self,
        client: Client | None,
        held: Code | Refresh | Revocable | None = None,
        salted: tuple[str, bytes] | None = None,
    ) -> None:
        super().__init__(list(SCOPES))
        self.client = client
        self.held = held
        self.salted = salted
        self.code: str | None = None
        self.issued: Issued | None = None
        self.revoked: Revocable | None = None
        self.is_reused = False
        self.register_grant(_CodeGrant, [_Pkce()])
        self.register_grant(_RefreshGrant)
        self.register_endpoint(_Revocation)

    def query_client(self, client_id: str) -> Client | None:
        """The app that asks, by the id that was looked up."""
        is_it = self.client is not None and self.client.get_client_id() == client_id
        return self.client if is_it else None

    def get_authorization_grant(self, request: OAuthRequest) -> Any:
        """What gives codes. Raises OAuth2Error for a request of anything else."""
        try:
            return super().get_authorization_grant(request)
        except UnsupportedResponseTypeError as error:
            raise _NotCode(error.response_type, redirect_uri=error.redirect_uri) from None

    def authenticate_client(
        self, request: OAuthRequest, methods: Sequence[str], endpoint: str = "token"
    ) -> Client:
        """The app, proved. Raises InvalidClientError."""
        try:
            found: Client = super().authenticate_client(request, methods, endpoint)
        except InvalidClientError as error:
            error.description = self._why_not(self.client)
            raise
        return found

    @staticmethod
    def _why_not(client: Client | None) -> str:
        if client is None:
            return "No app has this 'client_id', or none was sent."
        if client.app.secret_hash is None:
            return "The client has no secret: send its 'client_id' alone."
        return "The client's secret is wrong, or none was sent."

    def generate_token(self, *, scope: str, **_: Any) -> dict[str, Any]:
        """New tokens; after a refresh token, those that it gives whenever it is asked."""
        access, refresh = _make_tokens(*self.salted) if self.salted else (make_key(), _new_token())
        self.issued = Issued(access, refresh, scope.split())
        return {
            "token_type": "Bearer",
            "access_token": access.text,
            "expires_in": ACCESS_LIFETIME,
            "refresh_token": refresh,
            "scope": " ".join(self.issued.scopes),
        }

    def save_token(self, token: dict[str, Any], request: OAuthRequest) -> None:
        """Nothing yet: ``issued`` is saved by who asks."""

    def create_oauth2_request(self, request: OAuthRequest) -> OAuthRequest:
        """It is one already."""
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Reply:
        """What authlib answers."""
        return Reply(status, body, headers)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""


def _new_token() -> str:
    return _refresh_text(make_key().text.encode())


def _make_tokens(old: str, salt: bytes) -> tuple[NewKey, str]:
    """What comes after a refresh token: for who has both the token and the salt, always the same.

    A client whose answer was lost gets it again; neither the token alone, nor what is stored, tells
    it to anybody else.
    """
    id_, access, refresh = (
        hmac.digest(old.encode(), salt + label, sha256) for label in (b"id", b"access", b"refresh")
    )
    text = f"bpt_{id_[:8].hex()}_{access.hex()}"
    return NewKey(id_[:8].hex(), text, hash_key(text)), _refresh_text(refresh)


def _refresh_text(secret: bytes) -> str:
    return f"bpr_{sha256(secret).hexdigest()}"
