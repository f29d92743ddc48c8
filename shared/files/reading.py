"""Any file, to the rides in it: what it is, its bytes say."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from shared.files import archives, fit, fit_messages, gpx, tables, tcx, xml, zones
from shared.files.recording import Recording, UnreadableFile

_WEB_PAGE: Final = (
    "this is a web page, not a ride's file: download the file itself, logged in where it lies"
)

_NO_DURATION: Final = "readings of a single moment are no ride"


def read_rides(
    data: bytes, received: int, limits: archives.Limits = archives.LIMITS
) -> Sequence[Recording]:
    """The rides of a FIT, TCX or GPX file, our own CSV or JSON, or one of them in `.gz`.

    There is at least one. ``received``: when the file arrived, in ms: a ride of a device without a
    date ended then, and none can end a day later. Raises NotAnActivity or UnreadableFile, and
    nothing else, whatever the bytes; a file that would take all memory or time is a matter of the
    process's limits.
    """
    problem = None
    if archives.is_gzip(data):
        data, problem = archives.gunzip(data, limits)
    rides = _read(data, received)
    return [_with_zone(ride) for ride in (*rides[:-1], rides[-1].warned(problem))]


def _read(data: bytes, received: int) -> list[Recording]:
    if not data.strip(b"\0 \t\r\n"):
        raise UnreadableFile("this file is empty")
    if fit_messages.is_fit(data):
        return _that_last(fit.read_fit(data, received))
    if archives.is_archive(data):
        raise UnreadableFile("this archive is of a kind that is not opened here")
    text = xml.text_of(data)
    if tables.is_json(text):
        return tables.read_json(text, received)
    if tables.is_table(text):
        return tables.read_csv(text, received)
    return _read_xml(text, received)


def _read_xml(text: str, received: int) -> list[Recording]:
    if xml.is_web_page(text):
        raise UnreadableFile(_WEB_PAGE)
    match xml.root_of(text):
        case tcx.ROOT:
            return _that_last(tcx.read_tcx(text, received))
        case gpx.ROOT:
            return _that_last(gpx.read_gpx(text, received))
    raise UnreadableFile(
        "this is neither a FIT, nor a TCX, nor a GPX file, nor CSV or JSON of ours"
    )


def _that_last(rides: list[Recording]) -> list[Recording]:
    """Those that took time: a moment is no ride. Our own exports come back whatever they hold."""
    lasting = [ride for ride in rides if ride.end > ride.start]
    if not lasting:
        raise UnreadableFile("; ".join((_NO_DURATION, *rides[-1].warnings)))
    left_out = len(rides) - len(lasting)
    told = f"{left_out} of the file's {len(rides)} rides left out: {_NO_DURATION}"
    return [*lasting[:-1], lasting[-1].warned(told if left_out else None)]


def _with_zone(ride: Recording) -> Recording:
    return replace(ride, time_zone=zones.zone_of(ride))
