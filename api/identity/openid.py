"""A client of OpenID providers: the code flow with PKCE, and ID tokens, by authlib."""

import logging
import time
from secrets import token_urlsafe
from typing import Annotated, Any, Final, TypeVar

import httpx2
import msgspec
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from msgspec import Meta, Struct

from api.identity.outbound import BoundedTransport
from api.web.cache import Cache
from api.web.problems import BadRequest, ProviderUnavailable, Unauthorized
from shared.openid import OpenIdProvider, is_as_secure

logger = logging.getLogger(__name__)
T = TypeVar("T")
_PUBLISHED_FOR: Final = 3600.0  # seconds for which metadata and keys of a provider are cached
_KEYS_PAUSE: Final = 5.0  # seconds before keys are fetched again for one that is not among them
_LEEWAY: Final = 60  # seconds by which the provider's clock may differ


class Secrets(Struct):
    """Random texts that tie a provider's answer to one attempt to sign in."""

    state: str
    nonce: str
    code_verifier: str


def make_secrets() -> Secrets:
    """Secrets for one attempt."""
    return Secrets(*(token_urlsafe(32) for _ in range(3)))


class Claims(Struct):
    """What a provider says of a user, in its ID token or its userinfo."""

    sub: Annotated[str, Meta(min_length=1, max_length=255, pattern="^[^\x00]*$")]
    email: str | None = None
    email_verified: bool | str | None = None
    name: str | None = None

    @property
    def has_verified_email(self) -> bool:
        """Whether the provider has verified the address. Some write the boolean as a text."""
        return self.email_verified in (True, "true")


class _Metadata(Struct):
    """The members used here of what a provider publishes by OpenID Connect Discovery."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _Tokens(Struct):
    access_token: str
    id_token: str


class ProviderClient:
    """This service as a client of one provider."""

    def __init__(
        self, provider: OpenIdProvider, redirect_uri: str, transport: BoundedTransport
    ) -> None:
        self.name = provider.name
        self.issuer = provider.issuer
        self._provider = provider
        self._redirect_uri = redirect_uri
        self._transport = transport
        self._metadata = Cache[str, _Metadata](1, _PUBLISHED_FOR, _PUBLISHED_FOR)
        self._keys = Cache[str, KeySet](1, _PUBLISHED_FOR, _PUBLISHED_FOR)
        self._keys_fetched_at = 0.0

    async def address(self, secrets: Secrets) -> str:
        """Where to send the browser for the user to sign in. Raises ProviderUnavailable."""
        metadata = await self._read_metadata()
        async with self._client(metadata) as client:
            url, _ = client.create_authorization_url(
                metadata.authorization_endpoint,
                state=secrets.state,
                nonce=secrets.nonce,
                code_verifier=secrets.code_verifier,
            )
        return str(url)

    async def identify(self, code: str, secrets: Secrets) -> Claims:
        """Redeem a code; what the provider says of the user.

        Raises BadRequest for a code that is not good, Unauthorized for an ID token that is not,
        ProviderUnavailable.
        """
        metadata = await self._read_metadata()
        tokens = await self._exchange(metadata, code, secrets)
        try:
            claims = _as(Claims, await self._verify(tokens, secrets.nonce))
        except (JoseError, msgspec.ValidationError, ValueError) as error:
            self._log("sent an ID token that is not valid", error)
            reason = getattr(error, "error", "malformed")
            raise Unauthorized(f"{self.name}'s ID token is not valid: {reason}") from None
        if claims.email is None and metadata.userinfo_endpoint:
            return await self._ask_userinfo(metadata.userinfo_endpoint, tokens, claims)
        return claims

    async def require_sender(self, issuer: str | None) -> None:
        """Raises BadRequest if an answer comes from another provider (RFC 9207)."""
        metadata = await self._read_metadata()
        expected = metadata.authorization_response_iss_parameter_supported
        if (issuer is not None or expected) and issuer != metadata.issuer:
            raise BadRequest(f"this answer is not from {self.name}; begin again")

    async def _read_metadata(self) -> _Metadata:
        return await self._metadata.get(self.name, self._discover)

    async def _discover(self) -> _Metadata:
        url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        metadata = self._decoded(_Metadata, await self._get(url))
        endpoints = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
        if metadata.issuer != self.issuer:
            raise self._unavailable("names another issuer", metadata.issuer)
        for endpoint in (*endpoints, metadata.userinfo_endpoint or self.issuer):
            if not is_as_secure(endpoint, self.issuer):
                raise self._unavailable("names an endpoint that is not secure", endpoint)
        return metadata

    async def _exchange(self, metadata: _Metadata, code: str, secrets: Secrets) -> _Tokens:
        try:
            async with self._client(metadata) as client:
                tokens = await client.fetch_token(
                    metadata.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=secrets.code_verifier,
                    redirect_uri=self._redirect_uri,
                )
        except OAuthError as error:
            if error.error != "invalid_grant":
                raise self._unavailable("refuses this service", error.error) from None
            raise BadRequest(f"{self.name} does not know the code; begin again") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError) as error:
            raise self._unavailable("does not answer", repr(error)) from None
        return self._converted(_Tokens, tokens)

    async def _verify(self, tokens: _Tokens, nonce: str) -> CodeIDToken:
        """The claims of an ID token. Raises JoseError, ValueError, ProviderUnavailable."""
        try:
            token = self._decode(tokens.id_token, await self._read_keys())
        except (InvalidKeyIdError, BadSignatureError):  # the provider may have a new key
            self._drop_keys()
            token = self._decode(tokens.id_token, await self._read_keys())
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": self.issuer},
                "aud": {"essential": True, "value": self._provider.client_id},
            },
            params={
                "nonce": nonce,
                "client_id": self._provider.client_id,
                "access_token": tokens.access_token,
            },
        )
        claims.validate(leeway=_LEEWAY)
        return claims

    def _decode(self, id_token: str, keys: KeySet) -> jwt.Token:
        return jwt.decode(id_token, keys, algorithms=self._provider.algorithms)

    async def _read_keys(self) -> KeySet:
        return await self._keys.get(self.name, self._fetch_keys)

    async def _fetch_keys(self) -> KeySet:
        metadata = await self._read_metadata()
        self._keys_fetched_at = time.monotonic()
        content = await self._get(metadata.jwks_uri)
        try:
            return KeySet.import_key_set(msgspec.json.decode(content))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise self._unavailable("publishes no keys", repr(error)) from None

    def _drop_keys(self) -> None:
        if time.monotonic() - self._keys_fetched_at >= _KEYS_PAUSE:
            self._keys.drop(self.name)

    async def _ask_userinfo(self, url: str, tokens: _Tokens, claims: Claims) -> Claims:
        content = await self._get(url, {"Authorization": f"Bearer {tokens.access_token}"})
        userinfo = self._decoded(Claims, content)
        if userinfo.sub != claims.sub:
            raise Unauthorized(f"{self.name}'s userinfo is of somebody else")
        return userinfo

    async def _get(self, url: str, headers: dict[str, str] | None = None) -> bytes:
        try:
            async with httpx2.AsyncClient(transport=self._transport) as client:
                response = await client.get(url, headers=headers)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise self._unavailable("does not answer", repr(error)) from None
        if response.status_code != httpx2.codes.OK:  # a redirect is not followed
            raise self._unavailable("answers", str(response.status_code))
        return response.content

    def _client(self, metadata: _Metadata) -> AsyncOAuth2Client:
        """A client for one exchange: it would keep the tokens for the next one."""
        provider, methods = self._provider, metadata.token_endpoint_auth_methods_supported
        basic = "client_secret_basic" in methods or "client_secret_post" not in methods
        method = "client_secret_basic" if basic else "client_secret_post"
        return AsyncOAuth2Client(
            provider.client_id,
            provider.client_secret,
            token_endpoint_auth_method=method if provider.client_secret else "none",
            scope=provider.scopes,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            transport=self._transport,
        )

    def _decoded(self, kind: type[T], content: bytes) -> T:
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.DecodeError as error:
            raise self._unavailable("sends what is not understood", str(error)) from None

    def _converted(self, kind: type[T], content: Any) -> T:
        try:
            return _as(kind, content)
        except msgspec.ValidationError as error:
            raise self._unavailable("sends what is not understood", str(error)) from None

    def _unavailable(self, what: str, detail: str) -> ProviderUnavailable:
        self._log(what, detail)
        return ProviderUnavailable(
            f"{self.name} does not answer as it should; begin again later",
            headers={"Retry-After": "5"},
        )

    def _log(self, what: str, detail: object) -> None:
        logger.warning("the provider %s %s: %r", self.name, what, str(detail)[:200])


def _as(kind: type[T], members: Any) -> T:
    return msgspec.convert(dict(members), kind)
