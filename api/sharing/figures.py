"""Figures of a ride as others see them. Pure."""

from typing import Any, Final

# They tell of the athlete's body, or by themselves how far it is to what is hidden.
_OF_THE_BODY: Final = ("wattsPerKilogram",)
_OF_THE_WAY: Final = ("totalDistance", "avgSpeed")


def without_hints(
    summary: dict[str, Any], metres: float | None, *, is_hidden: bool
) -> dict[str, Any]:
    """A summary without weight and thresholds.

    Where anything of the track ``is_hidden``, the distance is that of what is shown (``metres``),
    and no speed times a duration tells another one.
    """
    shown = {**summary, "parameters": {}, **dict.fromkeys(_OF_THE_BODY)}
    hidden = (*_OF_THE_BODY, "avgSpeed") if is_hidden else _OF_THE_BODY
    intervals = summary.get("intervals")
    if intervals is not None:
        shown["intervals"] = [{**each, **dict.fromkeys(hidden)} for each in intervals]
    if is_hidden:
        shown |= {"totalDistance": metres, "avgSpeed": None}
    return shown


def laps_without_hints(laps: list[dict[str, Any]], *, is_hidden: bool) -> list[dict[str, Any]]:
    """Laps without what their device said of them; likewise without distance and mean speed."""
    shown = [{name: lap[name] for name in lap if name != "device"} for lap in laps]
    if is_hidden:
        for lap in shown:
            if lap.get("summary"):
                lap["summary"] = {**lap["summary"], **dict.fromkeys(_OF_THE_WAY)}
    return shown
