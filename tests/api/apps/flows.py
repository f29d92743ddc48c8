"""The part of an app in OAuth 2.1, and of the rider's browser."""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from tests.api.pages.browsing import Visitor, token_of
from tests.api.sessions import LoggedIn

REDIRECT = "https://poster.example/signed-in"


@dataclass(frozen=True)
class App:
    """A registered app, and the service that it asks."""

    service: str
    id: str
    secret: str | None

    def post(self, path: str, **fields: str) -> httpx2.Response:
        """A form; with the secret, if the app has one."""
        auth = (self.id, self.secret) if self.secret else None
        named = {} if self.secret else {"client_id": self.id}
        return httpx2.post(self.service + path, data={**named, **fields}, auth=auth, timeout=30)

    def refresh(self, token: str, **fields: str) -> httpx2.Response:
        """Ask for new tokens."""
        return self.post("/oauth/token", grant_type="refresh_token", refresh_token=token, **fields)

    def revoke(self, token: str, **fields: str) -> httpx2.Response:
        """Have a token end."""
        return self.post("/oauth/revoke", token=token, **fields)


@dataclass(frozen=True)
class Ask:
    """One request of an app to a rider."""

    app: App
    scope: str = "read"
    redirect: str = REDIRECT
    verifier: str = field(default_factory=lambda: token_urlsafe(48))
    state: str = "st/a te&"

    def query(self, **others: str | None) -> str:
        """The parameters, some of them other ones; without those that are None."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.app.id,
            "redirect_uri": self.redirect,
            "scope": self.scope,
            "state": self.state,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **others,
        }
        return urlencode({name: value for name, value in parameters.items() if value is not None})

    def path(self, **others: str | None) -> str:
        """Where the browser is sent."""
        return f"/oauth/authorize?{self.query(**others)}"

    def code(self, visitor: Visitor, **others: str | None) -> str:
        """The code that the app gets once the rider has allowed it."""
        answered = parameters_of(decide(visitor, self.path(**others)))
        assert "code" in answered, answered
        return answered["code"]

    def exchange(self, code: str, **others: str) -> httpx2.Response:
        """Ask for tokens."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect,
            "code_verifier": self.verifier,
        }
        return self.app.post("/oauth/token", **{**fields, **others})


def challenge_of(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def decide(visitor: Visitor, path: str, decision: str = "allow") -> str:
    """Answer the page of consent; where the browser is sent then."""
    page = visitor.get(path)
    assert page.status_code == 200, page.headers
    answer = visitor.send(path, {"token": token_of(page.text), "decision": decision})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def parameters_of(location: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def registered(session: LoggedIn, **members: Any) -> App:
    """An app of that rider's."""
    wanted = {"name": "Ride Poster", "redirectUris": [REDIRECT], **members}
    answer = session.call("POST", "/api/apps", **wanted)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return App(session.api, made["app"]["id"], made["clientSecret"])


class Browser(Visitor):
    """A browser, and the rider who may sign in by it."""

    def __init__(self, url: str, rider: LoggedIn) -> None:
        super().__init__(url)
        self.rider = rider


@dataclass(frozen=True)
class LetIn:
    """A rider who has let an app in, and what the app got."""

    rider: LoggedIn
    visitor: Browser
    app: App
    tokens: dict[str, Any]

    @property
    def access(self) -> str:
        return str(self.tokens["access_token"])

    @property
    def refresh(self) -> str:
        return str(self.tokens["refresh_token"])


def newcomer(visitor: Browser) -> LoggedIn:
    """The browser's rider, who has signed in."""
    visitor.client.cookies.set("session", visitor.rider.key)
    return visitor.rider


def let_in(visitor: Browser, app: App, scope: str = "read") -> LetIn:
    """A newcomer lets the app in."""
    rider = newcomer(visitor)
    ask = Ask(app, scope)
    answer = ask.exchange(ask.code(visitor))
    assert answer.status_code == 200, answer.text
    return LetIn(rider, visitor, app, answer.json())


def text_of(page: httpx2.Response) -> str:
    """Of a page, without its marks."""
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", "", page.text))
