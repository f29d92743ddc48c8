"""The simulated ride, shared with whoever opens the front page."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx2

from ops.demo.requests import ask, attempt, open_client
from ops.private_files import write_private

FRONT_RIDE: Final = "front-ride"  # in the data folder: the path of the link
_OPENS_FOR: Final = timedelta(days=365)


def share_simulated(url: str, api_key: str, marker: Path, file: Path) -> str | None:
    """The path of a link to the ride that ``marker`` names, of the run before if it opens still.

    None if there is no such ride: another's is shown to nobody. Nothing of the simulated one is
    hidden, as nobody lives where it begins.
    """
    with open_client(url, api_key) as client:
        known = file.read_text() if file.exists() else ""
        if known and attempt(client, "GET", f"/api{known}").is_success:
            return known
        file.unlink(missing_ok=True)
        workout = marker.read_text() if marker.exists() else ""
        if not workout or not attempt(client, "GET", f"/api/workouts/{workout}").is_success:
            return None
        link = f"/shared/{_share(client, workout)}"
    write_private(file, link)
    return link


def _share(client: httpx2.Client, workout_id: str) -> str:
    """The token of a new link."""
    ends = datetime.now(UTC) + _OPENS_FOR
    wanted = {"expiresAt": ends.isoformat(), "hideMetres": 0, "hidePlaces": False}
    token: str = ask(client, "POST", f"/api/workouts/{workout_id}/share", json=wanted)["token"]
    return token
