"""Style sheet, scripts and icons, at addresses that change with their content.

All of them share one address: a browser keeps them for a year, and asks anew once any of them has
changed. A script is sent with all that it imports, as one.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.pages.modules import join_modules
from api.web.headers import header
from api.web.security_headers import STATIC_PATH

PATH: Final = f"{STATIC_PATH}/{{version}}/{{name:path}}"
FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOREVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class _File:
    media: str
    plain: bytes
    packed: bytes


@cache
def _files() -> dict[str, _File]:
    found = {}
    scripts = {path.stem: path.read_text() for path in FOLDER.glob("*.js")}
    for path in sorted(FOLDER.iterdir()):
        if media := _TYPES.get(path.suffix):
            is_script = path.suffix == ".js"
            plain = join_modules(scripts, path.stem).encode() if is_script else path.read_bytes()
            found[path.name] = _File(media, plain, gzip.compress(plain, mtime=0))
    return found


@cache
def _version() -> str:
    """A hash of all of them."""
    digest = sha256()
    for name, file in _files().items():
        digest.update(name.encode() + b"\0" + file.plain)
    return digest.hexdigest()[:12]


def address_of(name: str) -> str:
    """Where a browser finds the file. Raises KeyError if there is none."""
    _files()[name]
    return f"{STATIC_PATH}/{_version()}/{name}"


async def send(request: Request) -> Response:
    """A file. Under another version's address, as while servers are replaced, it is not kept."""
    file = _files().get(request.path_params["name"])
    if file is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    is_current = request.path_params["version"] == _version()
    headers = {"Cache-Control": _FOREVER if is_current else "no-cache", "Vary": "Accept-Encoding"}
    if "gzip" not in header(request, b"accept-encoding"):
        return Response(file.plain, headers=headers, media_type=file.media)
    packed = {**headers, "Content-Encoding": "gzip"}
    return Response(file.packed, headers=packed, media_type=file.media)
