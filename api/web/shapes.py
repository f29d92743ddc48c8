"""What a type takes, in words: the names of its members, and which values are allowed.

The words come from the types that validate the input, so they say what holds. What the parser says
of a wrong value is only read for where it is.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from api.web.problems import Fault
from api.web.synonyms import meant_by, plain
from shared.allowed import alternatives, choices_of, described

_MISSING: Final = re.compile("missing required field `([^`]+)`")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[([^\]]*)\]")
_ALIKE: Final = 0.65  # of 1: `lon` and `lng` are, `device` and `cadence` are not
_LONGEST_NAME: Final = 60  # of what somebody sent, in an answer
_MOST_UNKNOWN: Final = 20  # listed in an answer
_MOST_NAMED: Final = 12  # known names, where none is near


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that somebody may have meant, by letters or by a synonym."""
    name = name[:_LONGEST_NAME]
    ours = {plain(each): each for each in known}
    if plain(name) not in ours and (meant := meant_by(name, known)):
        return meant
    if found := get_close_matches(plain(name), ours, 1, _ALIKE):
        return ours[found[0]]
    parts = [each for each in ours if len(each) > 2 and each in plain(name)]
    return ours[max(parts, key=len)] if parts else None


def unknown(name: str, known: Collection[str], path: str = "", what: str = "member") -> Fault:
    """What is wrong with a name that nothing here has, and which one may be meant."""
    meant = nearest(name, known)
    if meant:
        hint = f"did you mean `{meant}`?"
    elif not known:
        hint = "there are none"
    elif len(known) <= _MOST_NAMED:
        hint = f"there are {', '.join(f'`{each}`' for each in known)}"
    else:
        hint = "none is near it"
    return Fault(f"no {what} has this name; {hint}", path + shortened(name))


def unknown_members(value: Any, kind: Any) -> list[Fault]:
    """The members of a decoded JSON value, nested ones too, that its type does not have."""
    faults = []
    for fault in _unknown_within(value, _type_of(kind), ""):
        faults.append(fault)
        if len(faults) == _MOST_UNKNOWN:
            break
    return faults


def repeated_members(body: bytes) -> list[Fault]:
    """The members that an object of a JSON text has more than once, whatever they are in.

    Parsers keep one of them and say nothing, so they are looked for by themselves.
    """
    names: dict[str, None] = {}

    def look(pairs: list[tuple[str, Any]]) -> None:
        if len(pairs) > 1:
            counts = Counter(name for name, _ in pairs)
            names.update(dict.fromkeys(name for name, count in counts.items() if count > 1))

    with suppress(ValueError, RecursionError):  # nested too deep for a look
        json.loads(body, object_pairs_hook=look)
    return [given_twice(name) for name in list(names)[:_MOST_UNKNOWN]]


def given_twice(name: str, what: str = "member") -> Fault:
    """What is wrong with a name that is there more than once."""
    return Fault(f"this {what} is there more than once; send it once", shortened(name))


def member_names(kind: Any) -> tuple[str, ...]:
    """The names that a struct has in JSON and in queries; none without a struct."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind.__struct_encode_fields__  # without a look at what each of them is made of
    shape = _type_of(kind) if kind else None
    return _names(shape) if isinstance(shape, inspect.StructType) else ()


def fault_of(error: msgspec.ValidationError, kind: Any, value: Any = None) -> Fault:
    """What the parser refused: the member, and what is allowed there instead.

    ``value``: what was sent, of which the words name what is no secret.
    """
    said, _, path = str(error).partition(" - at ")
    where = path.rpartition("`$")[2].rstrip("`")
    if missing := _MISSING.search(said):
        return Fault("is missing", f"{where.lstrip('.')}.{missing[1]}".lstrip("."))
    member = where.lstrip(".") or None
    if isinstance(error.__cause__, ValueError):  # of a type of ours, in our words
        return Fault(said, member)
    shape, sent = _followed(where, _type_of(kind), value)
    return Fault(f"must be {described(shape)}{_named(shape, sent)}", member)


def wrong_values(kind: Any) -> Iterator[Fault]:
    """What would be said of a wrong value of each member that a struct has; none without one."""
    shape = _type_of(kind) if kind else None
    for field in shape.fields if isinstance(shape, inspect.StructType) else ():
        yield Fault(f"must be {described(field.type)}", field.encode_name)


def sentence(fault: Fault) -> str:
    """A fault as what a problem says first."""
    return f"{fault.member}: {fault.detail}" if fault.member else f"the body {fault.detail}"


def shortened(name: str) -> str:
    """A name that somebody sent, as an answer repeats it."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


@lru_cache(1000)
def _type_of(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _names(shape: inspect.StructType) -> tuple[str, ...]:
    return tuple(field.encode_name for field in shape.fields)


def _unknown_within(value: Any, shape: inspect.Type, path: str) -> Iterator[Fault]:
    shape = _chosen(shape, value)
    if isinstance(shape, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field.type for field in shape.fields}
        for name, member in value.items():
            if name not in fields:
                yield unknown(name, fields, path)
            else:
                yield from _unknown_within(member, fields[name], f"{path}{name}.")
    elif isinstance(shape, inspect.ListType) and isinstance(value, list):
        for at, item in enumerate(value):
            yield from _unknown_within(item, shape.item_type, f"{path.rstrip('.')}[{at}].")


def _chosen(shape: inspect.Type, value: Any) -> inspect.Type:
    """The alternative that an object or an array is read as; the type itself for the rest."""
    wanted: Mapping[type, type[inspect.Type]] = {
        dict: inspect.StructType,
        list: inspect.ListType,
    }
    kind = wanted.get(type(value))
    found = (each for each in alternatives(shape) if kind and isinstance(each, kind))
    return next(found, shape)


def _followed(path: str, shape: inspect.Type, value: Any) -> tuple[inspect.Type, Any]:
    """The type and the value at a path."""
    for name, index in _STEP.findall(path):
        for each in alternatives(shape):
            if name and isinstance(each, inspect.StructType) and name in _names(each):
                shape = next(field.type for field in each.fields if field.encode_name == name)
                value = value.get(name) if isinstance(value, dict) else None
                break
            if not name and isinstance(each, inspect.ListType):
                shape = each.item_type
                at = int(index) if index.isdigit() else 0
                value = value[at] if isinstance(value, list) and at < len(value) else None
                break
    return shape, value


def _named(shape: inspect.Type, sent: Any) -> str:
    """The value that was sent, where it is a number or of a choice: no other is repeated."""
    if isinstance(sent, bool) or sent is None:
        return ""
    if isinstance(sent, int | float) and any(map(_is_number, alternatives(shape))):
        return f", not {str(sent)[:20]}"
    if isinstance(sent, str) and any(map(choices_of, alternatives(shape))):
        return f", not {shortened(sent)!r}"
    return ""


def _is_number(shape: inspect.Type) -> bool:
    return isinstance(shape, inspect.IntType | inspect.FloatType)
