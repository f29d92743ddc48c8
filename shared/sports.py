"""Which names of a sport mean the same: a rider's figures over many rides are of one family each.

A workout keeps the name that it was given. Names are compared by their letters and digits alone,
so that those of Strava (`MountainBikeRide`) and Garmin (`mountain_biking`) are the same as ours.
SQL compares `lower(translate(sport, '-_', ''))`: a workout's sport has no character outside ASCII.
"""

from typing import Final

CYCLING: Final = "cycling"
ALL: Final = "all"  # in place of a family: of every sport
_SEPARATORS: Final = str.maketrans("", "", "-_ ")


def sport_family(sport: str) -> str:
    """The family of a sport. One that is not in the table is a family of its own."""
    name = sport.casefold().translate(_SEPARATORS)
    return _FAMILY_OF.get(name, name)


def may_be_of_one_ride(sport: str, other: str) -> bool:
    """Whether two recordings with these sports may be of the same ride.

    One device says e-bike or hike where another one says ride or run, and names that are not in the
    table may mean anything.
    """
    one, others = (sport_family(each) for each in (sport, other))
    known = one in _FAMILIES and others in _FAMILIES
    return not known or _MOTIONS.get(one, one) == _MOTIONS.get(others, others)


def names_of(family: str) -> list[str]:
    """Every name of a family, in small letters and without separators."""
    return sorted(_FAMILIES.get(family, {family}))


def _joined(kinds: str, nouns: str, alone: str = "") -> set[str]:
    """Each kind before and after each noun, the nouns by themselves, and what stands ``alone``."""
    pairs = [(kind, noun) for kind in ("", *kinds.split()) for noun in nouns.split()]
    return (
        {kind + noun for kind, noun in pairs}
        | {noun + kind for kind, noun in pairs}
        | {*alone.split()}
    )


_CYCLING: Final = _joined(
    "road gravel mountain cyclocross track indoor outdoor virtual bmx downhill enduro recumbent "
    "fat fitness touring",
    "cycling cycle biking bike bikeride ride",
    "road gravel mountain cyclocross track indoor virtual bmx mtb enduromtb cx bicycle bicycling "
    "roadrace gravelrace bikerace criterium timetrial velodrome bikepacking spin spinning trainer "
    "indoortrainer cyclecross",
)
_FAMILIES: Final[dict[str, set[str]]] = {
    CYCLING: _CYCLING,
    "e-bike": {"electricbike", "electricbicycle", "pedelec", *("e" + name for name in _CYCLING)},
    "handcycling": _joined("indoor", "handcycling handcycle handbike handbiking"),
    "running": _joined(
        "trail treadmill track street road indoor outdoor virtual ultra mountain obstacle fell",
        "running run jogging jog",
        "trail treadmill parkrun marathon",
    ),
    "walking": _joined(
        "indoor treadmill casual speed nordic trail mountain",
        "walking walk hiking hike",
        "trekking rucking",
    ),
    "rowing": _joined("indoor virtual", "rowing row rower", "ergometer"),
    "swimming": _joined("lap pool openwater", "swimming swim"),
    "nordic-skiing": _joined("", "nordicskiing nordicski crosscountryskiing xcskiing rollerski"),
    "alpine-skiing": _joined("", "alpineskiing alpineski downhillskiing resortskiing"),
}
_MOTIONS: Final = {
    **dict.fromkeys((CYCLING, "e-bike", "handcycling"), "wheels"),
    **dict.fromkeys(("running", "walking"), "feet"),
}
_FAMILY_OF: Final = {name: family for family, names in _FAMILIES.items() for name in names}
