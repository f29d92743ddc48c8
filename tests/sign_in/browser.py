"""A rider's browser, as far as signing in takes one: cookies, redirects and forms."""

from collections.abc import Mapping
from html.parser import HTMLParser
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2

PASSWORD = "of the rider"


class Browser:
    """Keeps cookies as browsers do: by host, whatever the port."""

    def __init__(self) -> None:
        self.client = httpx2.Client(timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.client.close()

    def sign_in(self, start: str, username: str, **query: str) -> httpx2.Response:
        """All the way: what the API answers at the end."""
        return self.client.get(self.way_back(start, username, query))

    def way_back(
        self, start: str, username: str, query: Mapping[str, str] = {}, *, consents: bool = True
    ) -> str:
        """Log in at the provider; where it sends the browser then, which has not yet gone."""
        response = self.client.get(start, params=query)
        while True:
            if response.is_redirect:
                target = urljoin(str(response.url), response.headers["location"])
                if "/callback" in urlsplit(target).path:
                    return target
                response = self.client.get(target)
            else:
                assert response.status_code == 200, response.text
                filled_in = {"username": username, "password": PASSWORD}
                form = hidden_fields(response.text) | filled_in
                if consents:
                    form["allow"] = "Authorize"
                response = self.client.post(response.url, data=form)


def hidden_fields(page: str) -> dict[str, str]:
    """What a form sends along by itself."""
    found: dict[str, str] = {}

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            of = dict(attrs)
            if tag == "input" and of.get("type") == "hidden":
                found[of["name"] or ""] = of.get("value") or ""

    Parser().feed(page)
    return found


def query_of(url: str) -> dict[str, str]:
    """The parameters of an address, each once."""
    pairs = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert all(len(values) == 1 for values in pairs.values())
    return {name: values[0] for name, values in pairs.items()}
