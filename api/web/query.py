"""Query parameters, and the preferences of a ``Prefer`` header (RFC 7240)."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta
from starlette.requests import HTTPConnection

from api.web.headers import headers
from api.web.problems import Fault, NotFound, RepeatedName, UnknownName, Unprocessable
from api.web.shapes import (
    fault_of,
    given_twice,
    member_names,
    sentence,
    shortened,
    unknown,
)
from shared.allowed import in_words

T = TypeVar("T")
LONGEST_WAIT: Final = 30.0  # seconds
# What the ``Prefer`` header may ask for, as the document says it.
PREFER_WAIT: Final = "`wait=N`: answer when the result is there, or after N seconds"
PREFER_LENIENT: Final = "`handling=lenient`: store the good samples, and list what was left out"


class WaitQuery(msgspec.Struct):
    """As `Prefer: wait=N`."""

    wait: Annotated[float, Meta(ge=0, description="Seconds to wait for the result")] | None = None


_MOST_UNKNOWN: Final = 20  # listed in an answer
_SOME_UUID: Final = "8e03978e-40d5-43e8-bc93-6894a57f9324"
_OF_NOBODY: Final = (0, 2**128 - 1)  # the nil UUID, and the one of all ones (RFC 9562)
_UNIX_MS: Final = re.compile("^-?[0-9]{1,13}$")
# What `read_moment` reads, as JSON Schema can say it.
Moment = Annotated[
    str,
    Meta(
        extra_json_schema={
            "anyOf": [
                {
                    "type": "string",
                    "format": "date-time",
                    "description": "RFC 3339; without an offset, a time of the rider's time zone",
                },
                {
                    "type": "string",
                    "format": "date",
                    "description": "The first moment of that day in the rider's time zone",
                },
                {"type": "string", "pattern": _UNIX_MS.pattern, "description": "Unix milliseconds"},
            ]
        }
    ),
]
# The same as a member of a JSON body.
MomentMember = Annotated[
    int | float | str,
    Meta(
        description="Unix milliseconds, RFC 3339, or a date: the first moment of that day; without"
        " an offset, of the rider's time zone",
        examples=[1_700_000_000_000, "2023-11-14T22:13:20Z", "2023-11-14"],
        extra=in_words("Unix milliseconds, a time as in RFC 3339 or a date"),
    ),
]
TimeZone = Annotated[str, Meta(description="Of the IANA database", examples=["Europe/Zurich"])]


def preferences(request: HTTPConnection[Any]) -> dict[str, str]:
    """The preferences of all ``Prefer`` headers; a bare one has an empty value."""
    found: dict[str, str] = {}
    for value in headers(request, b"prefer"):
        for preference in value.split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def is_lenient(request: HTTPConnection[Any]) -> bool:
    """Whether bad samples should be left out rather than the batch refused."""
    return preferences(request).get("handling", "").lower() == "lenient"


def wait_of(request: HTTPConnection[Any]) -> float:
    """Seconds to wait for a result: ``?wait=N``, or ``Prefer: wait=N``; 0 for none.

    Raises Unprocessable for a parameter that is no number of seconds; a preference that is none
    is ignored, as RFC 7240 asks.
    """
    wait = read_query(request, WaitQuery).wait
    if wait is None:
        text = preferences(request).get("wait", "")
        wait = float(text) if text.isascii() and text.isdigit() else 0.0
    return min(wait, LONGEST_WAIT)


def workout_id_of(request: HTTPConnection[Any]) -> UUID:
    """The id in the path. A malformed one names no workout, as an absent one does."""
    return workout_id_in(request.path_params["id"])


def workout_id_in(text: str) -> UUID:
    """The id that a text is. Raises NotFound for one that is none."""
    try:
        return _uuid(text)
    except ValueError as error:
        raise NotFound(f"no such workout: {error}") from None


def new_workout_id_of(request: HTTPConnection[Any]) -> UUID:
    """The id in the path, of a workout to be made. Raises Unprocessable for what is no new UUID."""
    try:
        workout_id = _uuid(request.path_params["id"])
        if workout_id.int in _OF_NOBODY:
            raise ValueError(f"{workout_id} stands for no id: make up a random UUID")
    except ValueError as error:
        raise Unprocessable(f"id: {error}", [Fault(str(error), "id")]) from None
    return workout_id


def id_in_path(request: HTTPConnection[Any], place: str, what: str) -> UUID:
    """The UUID at a place of the path. A malformed one names nothing, as an absent one does."""
    try:
        return _uuid(request.path_params[place])
    except ValueError as error:
        raise NotFound(f"no such {what}: {error}") from None


@lru_cache(100_000)
def _uuid(text: str) -> UUID:
    """Raises ValueError, in words, for what is none or is written in another way."""
    try:
        found = UUID(text)
    except ValueError:
        raise ValueError(f"{shortened(text)!r} is no UUID; one looks like {_SOME_UUID}") from None
    if str(found) != text.lower():  # the other spellings of a UUID are not its address
        raise ValueError(f"{shortened(text)!r} is a UUID that is written {found} here")
    return found


def read_query(request: HTTPConnection[Any], kind: type[T]) -> T:
    """The query string as ``kind``. Raises Unprocessable naming the parameter."""
    parameters = {name: value for name, value in request.query_params.items() if value != ""}
    try:
        query = msgspec.convert(parameters, kind, strict=False)
    except msgspec.ValidationError as error:
        fault = fault_of(error, kind, parameters)
        raise Unprocessable(sentence(fault), [fault]) from None
    _require_values(query, kind, parameters)
    return query


def _require_values(query: object, kind: type[Any], parameters: Mapping[str, str]) -> None:
    """Raises Unprocessable for the text `null`, which msgspec takes for an absent value."""
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name in parameters and getattr(query, field.name) is None:
            raise Unprocessable(
                f"{name}={parameters[name]!r} is no value", [Fault("is no value", name)]
            )


def require_known(
    request: HTTPConnection[Any], kind: type | None, beside: tuple[str, ...] = ()
) -> None:
    """Raises UnknownName for parameters that neither ``kind`` has, nor are ``beside``.

    Raises RepeatedName for one that is there twice: only the last of them would be read.
    """
    known = (*member_names(kind), *beside)
    faults = [
        unknown(name, known, what="parameter") for name in request.query_params if name not in known
    ]
    if faults:
        raise UnknownName(sentence(faults[0]), faults[:_MOST_UNKNOWN])
    counts = Counter(name for name, _ in request.query_params.multi_items())
    if repeated := [name for name, count in counts.items() if count > 1]:
        faults = [given_twice(name, what="parameter") for name in repeated]
        raise RepeatedName(sentence(faults[0]), faults)


def no_cursor(text: str | None) -> Unprocessable:
    """What is said of a cursor that is not one of the list that was asked for."""
    detail = f"{shortened(text or '')!r} is not a nextCursor of this list"
    return Unprocessable(f"cursor={detail}", [Fault("is not a nextCursor of this list", "cursor")])


def time_zone_of(text: str, name: str) -> str:
    """The text, if it names a time zone of the IANA database. Raises Unprocessable."""
    if text not in time_zones():
        allowed = "must be a time zone of the IANA database, such as Europe/Zurich"
        fault = Fault(f"{allowed}, not {shortened(text)!r}", name)
        raise Unprocessable(sentence(fault), [fault])
    return text


@cache
def time_zones() -> frozenset[str]:
    """Every name in the package: the machine's own folder has others, which PostgreSQL may lack."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())


def read_moment(given: str | float | None, name: str) -> datetime | None:
    """A moment given as Unix milliseconds, RFC 3339, or a date: its midnight.

    Without a time zone where the text names none: a day or a time of wherever the rider lives.
    """
    if given is None:
        return None
    try:
        if not isinstance(given, str) or _UNIX_MS.fullmatch(given):
            return datetime.fromtimestamp(float(given) / 1000, UTC)
        return datetime.fromisoformat(given)
    except (ValueError, OverflowError, OSError):
        detail = "is neither Unix milliseconds nor RFC 3339 nor a date"
        said = f"{name}={shortened(str(given))!r} {detail}"
        raise Unprocessable(said, [Fault(detail, name)]) from None
