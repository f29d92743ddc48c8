"""What others call what is here: words of FIT, GPX, Strava and Garmin, and of other services.

Such a word is far from ours letter by letter. Each names the members that may be meant by it, of
which only those count that there are at its place.
"""

import re
from collections.abc import Collection, Iterator
from itertools import product
from typing import Final

_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_MOST_WORDS: Final = 4  # of a name, whose meanings are combined
# Ours → what others say, in small letters and in one word.
_ALSO_CALLED: Final = {
    "altitude": "alt ele elevation enhancedaltitude height",
    "balance": "leftrightbalance lrbalance",
    "cadence": "cad rpm",
    "description": "comment comments desc note notes",
    "displayName": "fullname name nickname username",
    "distance": "dist enhanceddistance",
    "email": "emailaddress login mail username",
    "from": "after begin beginning since start starttime",
    "ftp": "functionalthresholdpower threshold thresholdpower",
    "heartrate": "bpm heart hr hrm pulse",
    "lat": "latitude positionlat",
    "limit": "count pagesize perpage size",
    "lng": "lon long longitude positionlong",
    "password": "pass passwd pwd secret",
    "power": "pwr watt watts",
    "q": "find query search",
    "scopes": "permissions rights roles scope",
    "speed": "enhancedspeed kmh kph mps velocity velocitysmooth",
    "sport": "activity activitytype discipline sporttype type",
    "startTime": "begin beginat date start startdate startedat starttimelocal time",
    "temperature": "atemp temp",
    "thresholdHeartrate": "lthr",
    "timeZone": "tz timezone",
    "timestamp": "date datetime epoch ms time ts utc",
    "title": "name subject",
    "to": "before end endtime finish stop until",
    "weight": "bodyweight kg kilograms mass",
}
_MEANT: Final[dict[str, list[str]]] = {}
for _ours, _words in _ALSO_CALLED.items():
    for _word in _words.split():
        _MEANT.setdefault(_word, []).append(_ours)
# A step of a path → those that are meant.
_STEPS: Final = {
    "activities": "workouts",
    "activity": "workouts",
    "athlete": "users/me",
    "auth": "sessions",
    "end": "complete",
    "files": "uploads",
    "finish": "complete",
    "ftp": "users/me/thresholds",
    "login": "sessions",
    "me": "users/me",
    "profile": "users/me",
    "register": "users",
    "redoc": "docs",
    "samples": "telemetry",
    "signup": "users",
    "stop": "complete",
    "streams": "telemetry",
    "swagger": "docs",
    "user": "users/me",
    "zones": "users/me/thresholds",
}


def plain(name: str) -> str:
    """A name in small letters, without what joins its words."""
    return re.sub("[_. -]", "", name).lower()


def meant_by(name: str, known: Collection[str]) -> str | None:
    """The known name that a synonym stands for, whole or word by word: `max_hr`, `hrBpm`."""
    ours = {plain(each): each for each in known}
    whole = (ours.get(plain(each)) for each in _MEANT.get(plain(name), ()))
    return next((each for each in (*whole, *map(ours.get, _combined(name))) if each), None)


def meant_path(steps: list[str]) -> list[str]:
    """The steps of a path, with ours in place of synonyms."""
    return "/".join(_STEPS.get(step, step) for step in steps).split("/")


def _combined(name: str) -> Iterator[str]:
    """Every way to read the words of a name; one that is said twice counts once."""
    words = [each.lower() for each in _WORD.findall(name)]
    if len(words) <= _MOST_WORDS:
        for read in product(*([word, *map(plain, _MEANT.get(word, ()))] for word in words)):
            yield "".join(dict.fromkeys(read))
