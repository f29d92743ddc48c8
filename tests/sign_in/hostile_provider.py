"""A provider that serves whatever a test wants, over real HTTP: what no honest one would do.

Its tokens are made by jwcrypto or by hand, so not by what verifies them.
"""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from jwcrypto import jwk, jwt

CLIENT = "hostile-client"
Answer = tuple[int, dict[str, str], bytes]


def json_answer(content: object, status: int = 200, **headers: str) -> Answer:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(content).encode()


class HostileProvider:
    """``answers``: path, or path and code → what is served there. ``forms``: what was posted."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = make_key("first")
        self.reset()

    def reset(self) -> None:
        """All but its key: a client looks for a new one every few seconds at most."""
        self.forms: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.authorization = ""
        self.hold = threading.Event()
        self.hold.set()
        self.answers: dict[str, Answer] = {}
        self.discovery: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
        }
        self.publish()

    def publish(self) -> None:
        """Discovery and keys as they are now."""
        self.answers["/.well-known/openid-configuration"] = json_answer(self.discovery)
        self.answers["/keys"] = json_answer({"keys": [self.key.export_public(as_dict=True)]})

    def claims(self, nonce: str, /, **others: Any) -> dict[str, Any]:
        """Those of a good token, with what a test would have otherwise; None leaves one out."""
        now = int(time.time())
        good = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "subject",
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "email": "hostile@example.com",
            "email_verified": True,
            "name": "Hostile",
        }
        return {name: value for name, value in (good | others).items() if value is not None}

    def give(self, id_token: str, code: str = "a code") -> None:
        """What a code is worth, as often as it is asked."""
        tokens = {"access_token": "hostile-access", "token_type": "Bearer", "id_token": id_token}
        self.answers[f"/token {code}"] = json_answer(tokens)


def make_key(name: str, alg: str = "RS256") -> Any:
    return jwk.JWK.generate(kty="RSA", size=2048, kid=name, use="sig", alg=alg)


def sign(key: Any, claims: dict[str, Any], **header: str) -> str:
    token = jwt.JWT({"alg": "RS256", "kid": key.kid, **header}, claims)
    token.make_signed_token(key)
    text: str = token.serialize()
    return text


def unsigned(claims: dict[str, Any], alg: str = "none") -> str:
    return f"{_part({'alg': alg})}.{_part(claims)}."


def signed_by_what_is_public(key: Any, claims: dict[str, Any]) -> str:
    """HS256, with the public key for a secret: good to those who let the token choose."""
    content = f"{_part({'alg': 'HS256', 'kid': key.kid})}.{_part(claims)}"
    digest = hmac.digest(key.export_to_pem(), content.encode(), hashlib.sha256)
    return f"{content}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@contextmanager
def hostile_provider() -> Iterator[HostileProvider]:
    """Serves until the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(self.path)

        def answer(self, what: str) -> None:
            provider.asked.append(what)
            provider.authorization = self.headers.get("Authorization", "")
            provider.hold.wait(30)
            status, headers, body = provider.answers.get(what, json_answer({}, 404))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            with suppress(ConnectionError):  # it was not waited for
                self.end_headers()
                self.wfile.write(body)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            provider.forms.append({name: values[0] for name, values in form.items()})
            self.answer(f"{self.path} {form['code'][0]}")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = HostileProvider(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        provider.hold.set()
        server.shutdown()
        server.server_close()
