"""The sport of a file in our words, from those of FIT, TCX and GPX."""

import re
from typing import Final

from shared.samples.columns import Samples
from shared.sports import CYCLING, sport_family

# By FIT's sport and sub-sport; what is in neither table keeps its own name, with hyphens.
_OF_KIND: Final = {
    ("cycling", "road"): "road-cycling",
    ("cycling", "mountain"): "mountain-biking",
    ("cycling", "downhill"): "mountain-biking",
    ("cycling", "gravel_cycling"): "gravel-cycling",
    ("cycling", "mixed_surface"): "gravel-cycling",
    ("cycling", "cyclocross"): "cyclocross",
    ("cycling", "track_cycling"): "track-cycling",
    ("cycling", "bmx"): "bmx",
    ("cycling", "recumbent"): "recumbent-cycling",
    ("cycling", "hand_cycling"): "handcycling",
    ("cycling", "indoor_hand_cycling"): "indoor-handcycling",
    ("cycling", "indoor_cycling"): "indoor-cycling",
    ("cycling", "spin"): "indoor-cycling",
    ("cycling", "virtual_activity"): "virtual-cycling",
    ("cycling", "e_bike_fitness"): "e-bike",
    ("cycling", "e_bike_mountain"): "e-mountain-bike",
    ("e_biking", "e_bike_mountain"): "e-mountain-bike",
    ("fitness_equipment", "indoor_cycling"): "indoor-cycling",
    ("fitness_equipment", "spin"): "indoor-cycling",
    ("fitness_equipment", "indoor_rowing"): "indoor-rowing",
    ("fitness_equipment", "treadmill"): "treadmill-running",
    ("fitness_equipment", "indoor_running"): "treadmill-running",
    ("running", "trail"): "trail-running",
    ("running", "track"): "track-running",
    ("running", "treadmill"): "treadmill-running",
    ("running", "indoor_running"): "indoor-running",
    ("running", "virtual_activity"): "virtual-running",
    ("running", "ultra"): "ultra-running",
    ("rowing", "indoor_rowing"): "indoor-rowing",
    ("rowing", "virtual_activity"): "virtual-rowing",
    ("swimming", "lap_swimming"): "pool-swimming",
    ("swimming", "open_water"): "open-water-swimming",
}
_OF_SPORT: Final = {
    "e_biking": "e-bike",
    "cross_country_skiing": "nordic-skiing",
    "fitness_equipment": "training",
}
_NOT_SAID: Final = {None, "", "generic", "all", "other", "invalid", "unknown", "default", "workout"}

# By the words in a TCX or GPX file, letters alone; the first that is part of the words decides.
_BY_WORD: Final = (
    ("emountain", "e-mountain-bike"),
    ("emtb", "e-mountain-bike"),
    ("ebike", "e-bike"),
    ("ebiking", "e-bike"),
    ("electric", "e-bike"),
    ("pedelec", "e-bike"),
    ("handcycl", "handcycling"),
    ("gravel", "gravel-cycling"),
    ("cyclocross", "cyclocross"),
    ("mountainbik", "mountain-biking"),
    ("mtb", "mountain-biking"),
    ("trackcycl", "track-cycling"),
    ("roadbik", "road-cycling"),
    ("roadcycl", "road-cycling"),
    ("indoorcycl", "indoor-cycling"),
    ("indoorbik", "indoor-cycling"),
    ("spinning", "indoor-cycling"),
    ("trailrun", "trail-running"),
    ("treadmill", "treadmill-running"),
    ("cycl", "cycling"),
    ("bik", "cycling"),
    ("ride", "cycling"),
    ("velo", "cycling"),
    ("fahrrad", "cycling"),
    ("run", "running"),
    ("jog", "running"),
    ("walk", "walking"),
    ("hik", "hiking"),
    ("openwater", "open-water-swimming"),
    ("swim", "swimming"),
    ("row", "rowing"),
    ("nordicski", "nordic-skiing"),
    ("rollerski", "nordic-skiing"),
    ("crosscountryski", "nordic-skiing"),
    ("ski", "alpine-skiing"),
)
_VIRTUAL: Final = {"running": "virtual-running", "rowing": "virtual-rowing"}
_STRAVA_NUMBERS: Final = {"1": "cycling", "4": "hiking", "9": "running", "10": "walking"}
_OURS: Final = {
    *(*_OF_KIND.values(), *_OF_SPORT.values(), *_VIRTUAL.values()),
    *(name for _, name in _BY_WORD),
}
_LONGEST: Final = 50  # characters of a workout's sport


def sport_of_fit(sport: object, sub_sport: object) -> str | None:
    """The sport of a FIT session; None where it does not say."""
    if not isinstance(sport, str) or sport in _NOT_SAID:
        return None
    kind = _OF_KIND.get((sport, str(sub_sport)))
    return kind or _OF_SPORT.get(sport) or _plain(sport)


def sport_of_words(words: str | None) -> str | None:
    """The sport that a TCX or GPX file names in words, or by Strava's numbers; else None."""
    if not words or words.strip().casefold() in _NOT_SAID:
        return None
    if words in _OURS:
        return words
    number = _STRAVA_NUMBERS.get(words.strip())
    letters = re.sub("[^a-z]", "", words.casefold())
    known = next((name for word, name in _BY_WORD if word in letters), None)
    if "virtual" in letters:
        known = virtual(known)
    return number or known or _plain(words)


def virtual(sport: str | None) -> str:
    """The sport on a screen: a ride where nothing else is known to be done on one."""
    return _VIRTUAL.get(sport_family(sport or ""), "virtual-cycling")


def sport_of_others(samples: Samples) -> str:
    """Of a file that calls its sport a general or unknown one: a ride where power was measured."""
    return CYCLING if "power" in samples.channels else "other"


def _plain(words: str) -> str | None:
    """A name that a workout's sport may have; None where no letter of it can stay."""
    return re.sub("[^a-z0-9]+", "-", words.casefold()).strip("-")[:_LONGEST].strip("-") or None
