"""The OpenID providers by which users may sign in, as the settings describe them."""

from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

# Those with a key pair: whoever learns a shared secret can forge tokens; `none` signs nothing.
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
Text = Annotated[str, Meta(min_length=1)]


class OpenIdProvider(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A provider, and the client that this service is registered as there.

    ``name`` is its name in the API's paths. ``algorithms``: what its ID tokens may be signed by.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    issuer: Text
    client_id: Text
    client_secret: Text | None = None
    scopes: Annotated[str, Meta(pattern=r"\bopenid\b")] = "openid email profile"
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = ("RS256",)

    def __post_init__(self) -> None:
        if not is_secure(self.issuer) or "?" in self.issuer:
            raise ValueError("the issuer must be an https address, or one of this machine")

    def __repr__(self) -> str:
        """Leaves the secret out: settings end up in logs."""
        return f"OpenIdProvider({self.name!r}, {self.issuer!r})"


def is_secure(url: str) -> bool:
    """Whether nobody else can read or change what is sent there: https, or this machine itself."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # raises ValueError
    except ValueError:
        return False
    if not host or parts.fragment or "@" in parts.netloc or not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def is_as_secure(url: str, issuer: str) -> bool:
    """Whether ``url`` is secure, and uses https unless its provider's ``issuer`` does not."""
    return is_secure(url) and urlsplit(url).scheme in ("https", urlsplit(issuer).scheme)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
