"""Figures of a ride as others see them. Pure."""

from typing import Any, Final

# They tell the athlete's weight, or beside the power that is shown a threshold: normalized power
# over the intensity factor is FTP, and W′ balance against power gives critical power.
OF_THE_BODY: Final = (
    "wattsPerKilogram",
    "intensityFactor",
    "trainingStressScore",
    "wPrimeBalanceMin",
    "powerZones",
    "heartrateZones",
)


def without_hints(
    summary: dict[str, Any], metres: float | None, *, is_hidden: bool
) -> dict[str, Any]:
    """A summary without weight and thresholds, nor what they can be computed from.

    The figures are as round as the original service has them. Where anything of the track
    ``is_hidden``, the distance is that of what is shown (``metres``), and no speed times a
    duration tells another one.
    """
    shown = {**summary, "parameters": {}, **dict.fromkeys(OF_THE_BODY)}
    shown["precise"] = dict.fromkeys(summary.get("precise", {}))
    hidden = ("wattsPerKilogram", "avgSpeed") if is_hidden else ("wattsPerKilogram",)
    intervals = summary.get("intervals")
    if intervals is not None:
        shown["intervals"] = [{**each, **dict.fromkeys(hidden)} for each in intervals]
    if is_hidden:
        shown |= {"totalDistance": metres, "avgSpeed": None}
    return shown


def running_without_hints(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures of a ride that goes on, of which something is always hidden; or its final summary.

    The mean speed of so many seconds from the door on would tell the metres to there.
    """
    shown = dict(figures)
    if summary := figures.get("summary"):
        shown["summary"] = without_hints(summary, None, is_hidden=True)
    if "bests" in figures:
        shown["bests"] = [each for each in figures["bests"] if each["metric"] != "speed"]
    if "wPrimeBalance" in figures:
        shown["wPrimeBalance"] = None
    return shown


def laps_without_hints(laps: list[dict[str, Any]], *, is_hidden: bool) -> list[dict[str, Any]]:
    """Laps without what their device said of them; none where anything of the track is hidden.

    Devices press laps by distance, say every 5 km: what the first one lacks is the way to the door.
    """
    if is_hidden:
        return []
    return [{name: lap[name] for name in lap if name != "device"} for lap in laps]
