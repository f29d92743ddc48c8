"""Registering and logging in over HTTP."""

from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final

import httpx2

PASSWORD: Final = "correct horse battery staple"


@dataclass(frozen=True)
class LoggedIn:
    """A session: whose, and the key that it is."""

    api: str
    email: str
    user: dict[str, Any]
    key: str

    def call(self, method: str, path: str, **members: Any) -> httpx2.Response:
        """A request with the session's key; ``members`` are its JSON body."""
        headers = {"Authorization": f"Bearer {self.key}"}
        body = members or None
        return httpx2.request(method, self.api + path, json=body, headers=headers, timeout=30)


def register(api: str, **members: Any) -> str:
    """A new account's address; its password is PASSWORD."""
    email: str = members.get("email") or f"{token_hex(6)}@example.com"
    wanted = {"password": PASSWORD, **members, "email": email}
    response = httpx2.post(f"{api}/api/users", json=wanted)
    assert response.status_code == 201, response.text
    return email


def log_in(api: str, email: str, password: str = PASSWORD) -> LoggedIn:
    """A new session."""
    response = httpx2.post(f"{api}/api/sessions", json={"email": email, "password": password})
    assert response.status_code == 201, response.text
    answer = response.json()
    return LoggedIn(api, email, answer["user"], answer["secret"])


def status_with(api: str, key: str, path: str = "/api/workouts") -> int:
    """What the service answers to a key."""
    return httpx2.get(api + path, headers={"X-API-Key": key}).status_code
