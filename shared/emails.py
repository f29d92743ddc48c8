"""Email addresses: the normal form, by which users are found, and which get no account."""

import re
import unicodedata
from typing import Final

from email_validator import EmailNotValidError, validate_email

# A Latin letter that looks like no other, with whatever mark: é, ø, æ. Not ı, ɑ, ɡ, or ɩ.
_LATIN: Final = re.compile(
    r"LATIN (SMALL|CAPITAL) (LETTER ([A-Z]|AE|ETH|THORN|ENG|SHARP S)|LIGATURE OE)( WITH .+)?"
)
# Alphabets that are written together with Latin letters, and not mistaken for them.
_BESIDE_LATIN: Final = {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL"}
# Small letters of other alphabets that look like Latin ones.
_LIKE_LATIN: Final = frozenset("авеѕіјкмнорстухһԁԛԝɡ" + "αικνορτυχ" + "օոսցհյզ")
_PARTS: Final = re.compile(r"[.@_+-]")


class LookAlike(EmailNotValidError):
    """The address has letters that look like others: use one alphabet, and plain letters."""


def normal_email(text: str) -> str:
    """An address in its normal form. Raises EmailNotValidError."""
    return validate_email(text, check_deliverability=False).normalized


def new_email(text: str) -> str:
    """The normal form of an address that is to have an account. Raises EmailNotValidError.

    One that could be taken for another is refused as LookAlike: two accounts must not look like
    one, neither to PostgreSQL, which compares what `lower` makes of them, nor to the operator. Who
    has such an account already goes on logging in.
    """
    email = normal_email(text)
    if unicodedata.normalize("NFKC", email) != email or any(
        map(_looks_like_another, _parts(email))
    ):
        raise LookAlike(LookAlike.__doc__)
    return email


def email_to_find(text: str) -> str:
    """The normal form of an address; a text that is no address as it is, which finds nobody."""
    try:
        return normal_email(text)
    except EmailNotValidError:
        return text


def _parts(email: str) -> list[str]:
    """The words of an address that are not plain ASCII."""
    return [part for part in _PARTS.split(email) if not part.isascii()]


def _looks_like_another(part: str) -> bool:
    letters = [letter for letter in part if not letter.isdecimal() or not letter.isascii()]
    alphabets = {unicodedata.name(letter, "").partition(" ")[0] for letter in letters}
    return (
        any(map(_is_ambiguous, letters))
        or not (len(alphabets) == 1 or alphabets <= _BESIDE_LATIN)
        or all(letter in _LIKE_LATIN for letter in part.lower())
    )


def _is_ambiguous(letter: str) -> bool:
    """Whether it is invisible, another letter once it is written large and small, or like one."""
    small, large, name = letter.lower(), letter.upper(), unicodedata.name(letter, "")
    return (
        unicodedata.category(letter)[0] not in "LMN"
        or name.startswith(("VARIATION", "COMBINING"))
        or len(small) > 1
        or (len(large) == 1 and large.lower() != small)
        or (name.startswith("LATIN") and not _LATIN.fullmatch(name))
    )
