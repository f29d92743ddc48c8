"""The published types of this room."""

from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from api.web.routing import Scope
from shared.allowed import SEEN
from shared.moments import Instant
from shared.redirects import LONGEST_REDIRECT, MOST_REDIRECTS

# What riders are shown must not look like another name: nothing in it is unseen or turns the text.
AppName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=SEEN,
        description="Begins with no space, and has nothing in it that is not seen",
    ),
]
RedirectUri = Annotated[str, Meta(min_length=1, max_length=LONGEST_REDIRECT)]
RedirectUris = Annotated[list[RedirectUri], Meta(min_length=1, max_length=MOST_REDIRECTS)]
# What an app may ask for, in the order in which riders read it. `admin` is not for apps.
SCOPES: Final = ("upload", "read")


class CreateApp(Struct, rename="camel"):
    """An app to register.

    `redirectUris`: where browsers may bring its codes: `https://…`; for an app on the rider's own
    machine `http://127.0.0.1/…`, with whatever port it asks with; for one on a phone
    `com.example.app:/…`. `confidential`: it runs on a server, where it can keep a secret.
    """

    name: AppName
    redirect_uris: RedirectUris
    confidential: bool = False


class ChangeApp(Struct, rename="camel"):
    """What is left out stays as it is."""

    name: AppName | UnsetType = UNSET
    redirect_uris: RedirectUris | UnsetType = UNSET


class App(Struct, rename="camel"):
    """An app. Its `id` is the `client_id` that it asks with."""

    id: UUID
    name: str
    redirect_uris: list[str]
    confidential: Annotated[bool, Meta(description="It has a secret")]
    created_at: Instant


class AppChange(Struct):
    """An app as it is after the change."""

    app: App
    success: bool = True


class AppList(Struct):
    """The apps that the caller has registered, newest first."""

    apps: list[App]


class FreshApp(Struct, rename="camel"):
    """An app, and its new `clientSecret`, if it is confidential: that is shown this once."""

    app: App
    client_secret: str | None = None
    success: bool = True


class AppDeletion(Struct):
    """The app is gone, and so is all that riders let it in by, everywhere within five seconds."""

    success: bool = True


class Connection(Struct, rename="camel"):
    """An app that the caller has let in: what it may do, since when, and when it last did."""

    app_id: UUID
    name: str
    scopes: list[Scope]
    since: Instant
    last_used_at: Instant | None


class ConnectionList(Struct):
    """The apps that the caller has let in, the last used first."""

    connections: list[Connection]


class Disconnection(Struct):
    """The app reads and sends nothing more of the caller's, everywhere within five seconds."""

    success: bool = True


class Tokens(Struct):
    """The answer of the token endpoint, as RFC 6749 has it."""

    token_type: str
    access_token: str
    expires_in: int
    refresh_token: str
    scope: str
