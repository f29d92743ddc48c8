"""The ride that strangers may look at on the front page, where the operator has named one."""

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from api.sharing.opening import opens
from api.web.state import State

_LINK: Final = re.compile("/shared/([A-Za-z0-9_-]{43})", re.ASCII)


async def find_front_ride(state: State) -> str | None:
    """The path of its page, for as long as the link opens.

    The file is read each time: whoever serves may name another ride, or none, at any moment.
    """
    name = state["settings"].front_ride_file
    link = _LINK.fullmatch(await asyncio.to_thread(_read, Path(name))) if name else None
    if link is None or not await opens(state["database"], link[1]):
        return None
    return link[0]


def _read(path: Path) -> str:
    """The beginning of a file; nothing of one that is not there, or is none of text."""
    with suppress(OSError, UnicodeDecodeError), path.open(encoding="utf-8") as file:
        return file.read(200).strip()
    return ""
