"""A browser without a screen: cookies, forms and the token that they carry."""

import re
from types import TracebackType
from typing import Self

import httpx2

from tests.api.sessions import PASSWORD

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Visitor:
    """Keeps cookies, and asks for HTML."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx2.Client(base_url=url, headers=HTML, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.client.close()

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """A page; headers by names with underscores."""
        return self.client.get(path, headers=_named(headers))

    def submit(self, path: str, fields: dict[str, str], **headers: str) -> httpx2.Response:
        """Send a form as the page at the path has it, token included."""
        page = self.client.get(path if path in ("/sign-in", "/register") else "/")
        return self.send(path, {"token": token_of(page.text), **fields}, **headers)

    def send(self, path: str, fields: dict[str, str], **headers: str) -> httpx2.Response:
        """Send just these fields."""
        return self.client.post(path, data=fields, headers=_named(headers))

    def sign_in(self, email: str, password: str = PASSWORD) -> httpx2.Response:
        """By the form."""
        return self.submit("/sign-in", {"email": email, "password": password})


def token_of(page: str) -> str:
    """What forms and scripts of the page send along."""
    found = re.search('name="csrf-token" content="([^"]+)"', page)
    assert found, page
    return found[1]


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
