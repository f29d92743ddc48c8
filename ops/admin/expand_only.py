"""What a migration must not do while the version before still runs, and while riders upload.

It only adds: whatever the version before reads or writes stays as it is. And no lock that others
wait for is held while rows are read or written. A statement that is harmless all the same says why
in a comment before it: ``-- expand-only: the table is new``. What no version uses any more is
dropped that way, once ``PREVIOUS`` is of a version that does not use it.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple


class Rule(NamedTuple):
    """What a statement looks like, what is wrong with it, and what of it is harmless."""

    pattern: re.Pattern[str]
    complaint: str
    unless: re.Pattern[str] | None = None


def _rule(pattern: str, complaint: str, unless: str = "") -> Rule:
    return Rule(re.compile(pattern), complaint, re.compile(unless) if unless else None)


_USED: Final = "the version before may use it"
_CONCURRENTLY: Final = "it keeps others from writing: CONCURRENTLY, with `-- transactional: false`"
_RULES: Final = [
    _rule(r"\bDROP (TABLE|VIEW|TYPE|FUNCTION|SCHEMA|TRIGGER|COLUMN)\b", _USED),
    _rule(r"\bRENAME\b", _USED),
    _rule(r"\bALTER COLUMN \S+ (SET DATA )?TYPE\b", "it rewrites the table under a lock"),
    _rule(r"\bSET NOT NULL\b", "the version before may write null, and all rows are read"),
    _rule(r"\bDROP DEFAULT\b", "the version before may rely on it"),
    _rule(
        r"\bADD COLUMN\b[^,]*\bNOT NULL\b", "the version before writes no such column", r"DEFAULT"
    ),
    _rule(
        r"\bADD COLUMN\b.*(\bSTORED\b|\bIDENTITY\b|SERIAL\b|DEFAULT (?!NOW)\w*(RANDOM|CLOCK)\w*\()",
        "it rewrites the table under a lock",
    ),
    _rule(
        r"\bADD (CONSTRAINT \S+ )?(CHECK|FOREIGN KEY)\b",
        "all rows are checked under a lock: NOT VALID, and VALIDATE in a transaction of its own",
        r"NOT VALID",
    ),
    _rule(
        r"\bADD (CONSTRAINT \S+ )?(UNIQUE|PRIMARY KEY)\b",
        "an index is built under a lock: build it before, CONCURRENTLY",
        r"USING INDEX",
    ),
    _rule(r"^CREATE (UNIQUE )?INDEX\b", _CONCURRENTLY, r"CONCURRENTLY"),
    _rule(r"^(DROP INDEX|REINDEX)\b", _CONCURRENTLY, r"CONCURRENTLY"),
    _rule(r"^(LOCK|TRUNCATE|CLUSTER|VACUUM FULL)\b", "it keeps everybody else out"),
    _rule(r"^(UPDATE|DELETE)\b", "all rows at a time: in portions, each a transaction of its own"),
]
_VALIDATE: Final = _rule(
    r"\bVALIDATE CONSTRAINT\b", "rows are read in a transaction that holds locks: apart from others"
)
_COMMENT: Final = re.compile(r"--[^\n]*")
_QUOTED: Final = re.compile(r"\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
_HARMLESS: Final = re.compile(r"--\s*expand-only: \S")
_ALONE: Final = re.compile(r"^--\s*transactional: false", re.MULTILINE)
_NEW: Final = re.compile(r"\bCREATE TABLE (?:IF NOT EXISTS )?(\w+)")
_TABLE: Final = re.compile(r"(?:\bON|^ALTER TABLE(?: IF EXISTS)?(?: ONLY)?|^UPDATE) (\w+)")


def complaints(migration: str) -> Iterator[str]:
    """What is wrong with a migration's text: a line for each statement and rule."""
    rules = _RULES if _ALONE.search(migration) else [*_RULES, _VALIDATE]
    made = set(_NEW.findall(_plain(migration)))
    for text in _QUOTED.sub("''", migration).split(";"):
        statement = _plain(text)
        table = _TABLE.search(statement)
        if _HARMLESS.search(text) or (table and table[1] in made):
            continue
        for rule in rules:
            if rule.pattern.search(statement) and not (
                rule.unless and rule.unless.search(statement)
            ):
                yield f"{statement[:80]}: {rule.complaint}"


def _plain(text: str) -> str:
    """On one line in upper case, without comments and what is quoted."""
    return " ".join(_COMMENT.sub("", _QUOTED.sub("''", text)).split()).upper()
