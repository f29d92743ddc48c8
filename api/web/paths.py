"""What there is near a path that does not exist."""

from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any, Final

from starlette.requests import HTTPConnection, Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from api.web.problems import NoSuchPath, answer_to
from api.web.synonyms import meant_path

_LONGEST: Final = 120  # characters: comparing takes time by their square
_ALIKE: Final = 0.75


class Paths:
    """The paths of the service, by the templates of its routes."""

    def __init__(self, templates: Iterable[str], sockets: Iterable[str]) -> None:
        self._templates = sorted({*templates})
        self._sockets = ", ".join(sockets)
        self.nearest: Callable[[str], str | None] = lru_cache(1000)(self._look)

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or the handshake of a WebSocket, to a path that does not exist."""
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            await socket.send_denial_response(await answer_to(socket, self._no_socket()))
        elif scope["type"] == "http":
            raise self.refusal(Request(scope))

    def refusal(self, request: HTTPConnection[Any]) -> NoSuchPath:
        """What is said of the path of a request: the nearest that there is."""
        path: str = request.scope["path"]
        meant = self.nearest(path)
        hint = f"did you mean {meant}?" if meant else "/docs shows what there is"
        return NoSuchPath(f"there is nothing at this path; {hint}")

    def _no_socket(self) -> NoSuchPath:
        return NoSuchPath(f"no WebSocket is served at this path, but at {self._sockets}")

    def _look(self, path: str) -> str | None:
        if len(path) > _LONGEST:
            return None
        steps = path.lower().rstrip("/").split("/")
        readings = (steps, meant_path(steps))
        likeness = {
            each: max(_likeness(each.lower().split("/"), one) for one in readings)
            for each in self._templates
        }
        best = max(likeness, key=likeness.__getitem__)
        return best if likeness[best] >= _ALIKE else None


def _likeness(template: list[str], steps: list[str]) -> float:
    """0 to 1: how far the words agree, leaving out what stands at the template's places."""
    places = [at for at, part in enumerate(template) if part.startswith("{")]
    words = ["*" if at in places and step else step for at, step in enumerate(steps)]
    wanted = ["*" if at in places else part for at, part in enumerate(template)]
    compared = SequenceMatcher(None, "/".join(wanted), "/".join(words))
    if compared.real_quick_ratio() < _ALIKE or compared.quick_ratio() < _ALIKE:
        return 0
    return compared.ratio()
