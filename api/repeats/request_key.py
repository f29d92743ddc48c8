"""The ``Idempotency-Key`` of a request, and what follows from it. (The IETF draft of that name.)"""

import hmac
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from joserfc import jwe
from joserfc.jwk import OctKey
from starlette.requests import Request

from api.web.headers import headers
from api.web.problems import MalformedKey, about
from api.web.routing import KEY_PATTERN

NAME: Final = "Idempotency-Key"
_KEY: Final = re.compile(KEY_PATTERN)
# The key is derived for one answer, so nothing else has to be agreed upon.
_CIPHER: Final = {"alg": "dir", "enc": "A256GCM"}


@dataclass(frozen=True)
class RequestKey:
    """What is kept of an ``Idempotency-Key``, and the secret that is not.

    ``hash``: of the key and of whose it is. ``fingerprint``: of the request. All of it is derived
    by the key's text, which nobody but the client has: a dump of the database opens no answer, and
    tells of no password that was sent.
    """

    hash: bytes
    fingerprint: bytes
    _secret: bytes

    def seal(self, answer: bytes) -> bytes:
        """The answer, encrypted and signed."""
        return jwe.encrypt_compact(_CIPHER, answer, OctKey.import_key(self._secret)).encode()

    def open(self, sealed: bytes) -> bytes:
        """The answer that was sealed."""
        return jwe.decrypt_compact(sealed, OctKey.import_key(self._secret)).plaintext or b""


def request_key_of(request: Request[Any], owner: str, content: bytes) -> RequestKey | None:
    """The key of a request whose body says ``content``; None if it has none.

    ``owner``: who alone can repeat it, a user or an address. Raises MalformedKey for what is none.
    """
    text = _text_of(request)
    if text is None:
        return None
    asked = f"{request.method} {request.scope['path']} {sha256(content).hexdigest()}"
    return RequestKey(
        hash=_derive(text, "hash", owner),
        fingerprint=_derive(text, "fingerprint", owner, asked),
        _secret=_derive(text, "answer", owner),
    )


def _text_of(request: Request[Any]) -> str | None:
    sent = list(headers(request, NAME.lower().encode()))
    if not sent:
        return None
    if len(sent) > 1 or not _KEY.fullmatch(sent[0].strip()):
        detail = "is not one key of 16 to 255 letters, digits and -._~:/+=, as a UUID is"
        raise MalformedKey(f"{NAME} {detail}", about(detail, NAME))
    return sent[0].strip().strip('"')


def _derive(text: str, *purpose: str) -> bytes:
    return hmac.digest(text.encode(), "\0".join(purpose).encode(), "sha256")
