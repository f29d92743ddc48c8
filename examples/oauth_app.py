"""Show a rider's last rides, without a password or a key: an app that is let in by OAuth 2.1.

One file to copy, of Python 3.11's standard library alone. It is a native app: it opens the rider's
browser, and listens on this machine for the code that the browser brings back. Register it once,
without a secret, as http://127.0.0.1/signed-in (under Account, Apps; the port may be any):

    python oauth_app.py https://tracker.example CLIENT_ID

The tokens are kept in a file that only its owner can read. An access token is good for an hour; the
refresh token that came with it gives the next pair, and is then used up. So the new pair is written
before it is used. If the answer gets lost, send the same refresh token again within half a minute.
"""

import argparse
import base64
import hashlib
import json
import os
import secrets
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

_TIMEOUT: Final = 30  # seconds for an answer
_EARLY: Final = 60  # seconds before its end at which a token counts as expired


class Refused(Exception):
    """The service or the rider said no; the text says why."""


class App:
    """One rider's connection with the service. ``tokens``: the file that keeps it."""

    def __init__(
        self,
        service: str,
        client_id: str,
        tokens: Path,
        open_browser: Callable[[str], object] = webbrowser.open,
    ) -> None:
        self._client_id = client_id
        self._tokens = tokens
        self._open_browser = open_browser
        address = service.rstrip("/") + "/.well-known/oauth-authorization-server"
        self._server: dict[str, Any] = _ask(Request(address))
        self._service = service.rstrip("/")

    def get(self, path: str) -> Any:
        """What the API answers; the rider is asked first, if need be."""
        try:
            return _ask(Request(self._service + path, headers=self._bearer()))
        except HTTPError as error:
            if error.code != 401:
                raise
        # It has ended early: the rider, or the service, has taken it back.
        self.sign_in()
        return _ask(Request(self._service + path, headers=self._bearer()))

    def sign_in(self) -> None:
        """Ask the rider in the browser. Raises Refused."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        with _Listener(("127.0.0.1", 0), _Handler) as listener:
            redirect = f"http://127.0.0.1:{listener.server_port}/signed-in"
            parameters = {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": redirect,
                "scope": "read",
                "state": state,
                "code_challenge": _challenge(verifier),
                "code_challenge_method": "S256",
            }
            self._open_browser(f"{self._server['authorization_endpoint']}?{urlencode(parameters)}")
            answer = listener.wait_for(state)
        if answer.get("iss") != self._server["issuer"]:
            raise Refused("the answer is not from this service")
        if "code" not in answer:
            raise Refused(answer.get("error_description") or answer.get("error", "no code"))
        self._get_tokens(
            grant_type="authorization_code",
            code=answer["code"],
            redirect_uri=redirect,
            code_verifier=verifier,
        )

    def sign_out(self) -> None:
        """End it on both sides."""
        if self._tokens.exists():
            token = json.loads(self._tokens.read_text())["refresh_token"]
            _post(self._server["revocation_endpoint"], token=token, client_id=self._client_id)
            self._tokens.unlink()

    def _bearer(self) -> dict[str, str]:
        """The header that opens the API, by a token that is good for a minute at least."""
        if not self._tokens.exists():
            self.sign_in()
        kept = json.loads(self._tokens.read_text())
        if kept["expires_at"] - _EARLY < time.time():
            self._refresh(kept["refresh_token"])
            kept = json.loads(self._tokens.read_text())
        return {"Authorization": f"Bearer {kept['access_token']}"}

    def _refresh(self, token: str) -> None:
        try:
            self._get_tokens(grant_type="refresh_token", refresh_token=token)
        except Refused:  # it has ended: the rider is asked again
            self.sign_in()

    def _get_tokens(self, **fields: str) -> None:
        """Raises Refused."""
        got = _post(self._server["token_endpoint"], **fields, client_id=self._client_id)
        got["expires_at"] = time.time() + got["expires_in"]
        # Whole or not at all: what is lost here means that the rider must be asked again.
        fresh = self._tokens.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            json.dump(got, file)
        fresh.replace(self._tokens)


class _Listener(HTTPServer):
    """Waits for the browser, which brings one answer."""

    answer: Mapping[str, str] | None = None
    state = ""

    def wait_for(self, state: str) -> Mapping[str, str]:
        """The answer to the question of that state; others are none."""
        self.state = state
        while self.answer is None:
            self.handle_request()
        return self.answer


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        """Take the answer, and tell the rider to come back."""
        asked = urlsplit(self.path)
        answer = {name: values[0] for name, values in parse_qs(asked.query).items()}
        state = answer.get("state", "")
        is_ours = asked.path == "/signed-in" and secrets.compare_digest(
            state.encode(), self.server.state.encode()
        )
        if is_ours:
            self.server.answer = answer
        said = b"You may close this window now." if is_ours else b"This was not asked for."
        self.send_response(200 if is_ours else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Say nothing: the address has the code in it."""


def _challenge(verifier: str) -> str:
    """What the service compares the verifier with, so that a code that leaks is of no use."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _post(address: str, **fields: str) -> Any:
    """The answer to a form. Raises Refused."""
    try:
        return _ask(Request(address, data=urlencode(fields).encode()))
    except HTTPError as error:
        if error.code not in (400, 401):  # 429 and 503 mean later, and not that it has ended
            raise
        said = json.loads(error.read())
        raise Refused(said.get("error_description") or said["error"]) from None


def _ask(request: Request) -> Any:
    with urlopen(request, timeout=_TIMEOUT) as answer:
        return json.load(answer)


def main() -> None:
    """Print the last rides."""
    parser = argparse.ArgumentParser(description="Show a rider's last rides.")
    parser.add_argument("service", help="as https://tracker.example")
    parser.add_argument("client_id")
    parser.add_argument("--tokens", type=Path, default=Path("tokens.json"))
    parser.add_argument("--sign-out", action="store_true")
    arguments = parser.parse_args()
    app = App(arguments.service, arguments.client_id, arguments.tokens)
    if arguments.sign_out:
        app.sign_out()
        return
    for ride in app.get("/api/workouts?limit=5")["workouts"]:
        figures = ride["summary"] or {}
        print(ride["startTime"], ride["title"] or "Ride", figures.get("avgPower", "–"), "W")


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(str(refused))
