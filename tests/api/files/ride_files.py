"""Files of rides made by hand, and sending them."""

import io
import zipfile
from datetime import UTC, datetime
from typing import Any

import httpx2

from tests.api.answers import T0
from tests.conftest import Rider
from tests.shared.files.fit_bytes import activity, file_id, fit_file, lap, record, session

OCTETS = {"Content-Type": "application/octet-stream"}
WAIT = {"Prefer": "wait=30"}


def gpx(seconds: int, start: int = T0, name: str | None = "A ride", **values: float) -> bytes:
    """A point a second, from ``start`` (ms) on, to the east; ``power``, ``hr`` and the like."""
    said = "".join(f"<{each}>{value}</{each}>" for each, value in values.items())
    points = "".join(
        f'<trkpt lat="47" lon="{8 + second * 1e-4:.4f}"><time>{_time(start + 1000 * second)}</time>'
        f"<extensions>{said}</extensions></trkpt>"
        for second in range(seconds)
    )
    title = f"<name>{name}</name>" if name else ""
    return f"<gpx><trk>{title}<trkseg>{points}</trkseg></trk></gpx>".encode()


def tcx(seconds: int, start: int = T0, sport: str = "Biking", heartrate: int = 120) -> bytes:
    """A trackpoint a second."""
    points = "".join(
        f"<Trackpoint><Time>{_time(start + 1000 * second)}</Time>"
        f"<HeartRateBpm><Value>{heartrate}</Value></HeartRateBpm></Trackpoint>"
        for second in range(seconds)
    )
    lapped = f'<Lap StartTime="{_time(start)}"><Track>{points}</Track></Lap>'
    activities = f'<Activity Sport="{sport}"><Id>{_time(start)}</Id>{lapped}</Activity>'
    return (
        f"<TrainingCenterDatabase><Activities>{activities}</Activities></TrainingCenterDatabase>"
    ).encode()


def fit(seconds: int, power: int = 200, laps: int = 2, second: int = 0) -> bytes:
    """A record a second from ``second`` after T0 on, in laps of equal lengths."""
    each = seconds // laps
    return fit_file(
        file_id(),
        *(record(second + at, power=power, heartrate=140) for at in range(seconds)),
        *(lap(second + at * each, each) for at in range(laps)),
        session(second, seconds, np=215, tss=12, ftp=250, calories=99),
        activity(second + seconds),
    )


def zip_of(**files: bytes) -> bytes:
    """A zip; in names, ``__`` stands for the dot."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    return packed.getvalue()


def post(rider: Rider, data: bytes, name: str = "ride", **query: str) -> httpx2.Response:
    """Send the file as the body; answered at once."""
    params = {"filename": name, **query}
    return rider.client.post("/api/uploads", content=data, params=params, headers=OCTETS)


def send(rider: Rider, data: bytes, name: str = "ride", **query: str) -> dict[str, Any]:
    """The upload once it is ended, however long a busy machine takes."""
    response = post(rider, data, name, **query)
    assert response.status_code == 202, response.text
    return ended(rider, response.json()["upload"]["id"])


def ended(rider: Rider, upload_id: str) -> dict[str, Any]:
    """The upload once it is ended: sending it again is how to wait, but this one asks."""
    path = f"/api/uploads/{upload_id}"
    while True:
        upload: dict[str, Any] = rider.client.get(path, params={"wait": 30}).json()["upload"]
        if upload["status"] not in ("queued", "processing"):
            return upload


def imported(rider: Rider, data: bytes, **query: str) -> str:
    """The id of the one workout that the file makes or changes."""
    upload = send(rider, data, **query)
    assert upload["status"] == "done", upload
    (workout_id,) = upload["workoutIds"]
    return str(workout_id)


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
