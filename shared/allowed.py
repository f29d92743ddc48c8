"""What a type takes, in words: for whoever sent a value, or set a variable, that is none of it."""

from typing import Any, Final

from msgspec import inspect

# A name that is seen whole: what is not seen could make it look like another one.
_UNSEEN: Final = "\x00-\x1f\x7f-\x9f\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
SEEN: Final = rf"^[^\s\u200d{_UNSEEN}][^{_UNSEEN}]*$(?!\n)"
# What the patterns of our types mean. A test sees that none is missing.
PATTERNS: Final = {
    "^[^\x00]*$": "without NUL characters",
    SEEN: "without characters that are not seen, and begin with no space",
    r"^[A-Za-z0-9_-]+$(?!\n)": "of the letters A to Z, digits, `-` and `_`",
    r"^[A-Za-z0-9_-]*$(?!\n)": "of the letters A to Z, digits, `-` and `_`",
    "^[0-9a-f]{64}$(?!\\n)": "of 64 hexadecimal digits, a to f in lower case",
    r"^https://[!-~]+$": "that begins with `https://`, without spaces",
    r"^\d+([kmg]b?)?$": "such as 512mb or 1gb",
}
_PLAIN: Final = {
    inspect.BoolType: "true or false",
    inspect.NoneType: "null",
    inspect.DateType: "a date, such as 2026-05-17",
    inspect.UUIDType: "a UUID",
}


def in_words(words: str) -> dict[str, str]:
    """The ``extra`` of a `Meta` that says better what is allowed than its parts would."""
    return {"words": words}


def allowed(kind: Any) -> str:
    """What values of a type may be."""
    return described(inspect.type_info(kind))


def described(shape: inspect.Type) -> str:
    """What is allowed, beside null, which says as much as leaving the member out."""
    if words := _words_of(shape):
        return words
    every = alternatives(shape)
    told = [each for each in every if not isinstance(each, inspect.NoneType)]
    return " or ".join(dict.fromkeys(map(_one, told or every)))


def _words_of(shape: inspect.Type) -> str | None:
    """What the type says of itself, by `in_words`."""
    if isinstance(shape, inspect.Metadata):
        return (shape.extra or {}).get("words") or _words_of(shape.type)
    parts = shape.types if isinstance(shape, inspect.UnionType) else ()
    return next(filter(None, map(_words_of, parts)), None)


def _one(shape: inspect.Type) -> str:
    if choices := choices_of(shape):
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    match shape:
        case inspect.IntType() | inspect.FloatType():
            noun = "a whole number" if isinstance(shape, inspect.IntType) else "a number"
            above = f" above {shape.gt:.15g}" if shape.gt is not None else ""
            return f"{noun}{above}{_range(shape.ge, shape.le)}"
        case inspect.StrType():
            return f"text{_length(shape, 'characters')}{_pattern(shape.pattern)}"
        case inspect.ListType():
            return f"an array{_length(shape, 'items')}"
        case inspect.DateTimeType():
            return "a time as in RFC 3339 with an offset, such as 2026-05-17T08:30:00Z"
    return _PLAIN.get(type(shape), "an object")


def choices_of(shape: inspect.Type) -> list[str]:
    """The values of a type that lists them; none of any other."""
    if isinstance(shape, inspect.EnumType):
        return [str(each.value) for each in shape.cls]
    return list(map(str, shape.values)) if isinstance(shape, inspect.LiteralType) else []


def _range(least: float | None, most: float | None) -> str:
    match least, most:
        case None, None:
            return ""
        case None, _:
            return f" of at most {most:.15g}"
        case _, None:
            return f" of at least {least:.15g}"
    return f" from {least:.15g} to {most:.15g}"


def _length(shape: inspect.StrType | inspect.ListType, unit: str) -> str:
    least, most = shape.min_length, shape.max_length
    if least and most:
        return f" of {least} to {most} {unit}"
    if least:
        return f" of at least {least} {unit}"
    return f" of at most {most} {unit}" if most else ""


def _pattern(pattern: str | None) -> str:
    return f" {PATTERNS.get(pattern, 'of another form')}" if pattern else ""


def alternatives(shape: inspect.Type) -> list[inspect.Type]:
    """The types that a union is of; of any other, the type itself."""
    if isinstance(shape, inspect.Metadata):
        return alternatives(shape.type)
    if isinstance(shape, inspect.UnionType):
        return [each for part in shape.types for each in alternatives(part)]
    return [shape]
