"""`make settings`: the table of settings of docs/operating.md, from the code and .env.example."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from shared.allowed import allowed
from shared.settings import Hours, Positive, Seconds, Settings

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = ROOT / "docs" / "operating.md"
BEGIN, END = "<!-- settings -->\n", "<!-- end of settings -->\n"
_HEAD: Final = "| setting | takes | default | what it is |\n|---|---|---|---|\n"


def main() -> None:
    """Write the table where the document has it."""
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))


def with_table(document: str) -> str:
    """The document with the table as it is now."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def table() -> str:
    """A row a setting; what several are about stands at the first of them."""
    about = dict(_explained())
    rows = [
        f"| `{field.name.upper()}` | {_takes(field.type)} | {_default(field)} |"
        f" {about[field.name.upper()]} |\n"
        for field in msgspec.structs.fields(Settings)
    ]
    return _HEAD + "".join(rows)


def _explained() -> Iterator[tuple[str, str]]:
    """Each setting of .env.example, with the comment before it; of the next ones, "as above"."""
    said = list[str]()
    is_first = True
    for line in (ROOT / ".env.example").read_text().splitlines():
        if found := re.match(r"(?:# )?([A-Z_]+)=", line):
            yield found[1], _cell(" ".join(said)) if is_first else "as above"
            is_first = False
        elif line.startswith("# "):
            said = [line[2:]] if not is_first else [*said, line[2:]]
            is_first = True
        elif not line:
            said, is_first = [], True


def _cell(text: str) -> str:
    """Markdown of a cell: no bar, and braces and stars as they are."""
    return re.sub(r"([|*<>])", r"\\\1", text)


def _takes(kind: Any) -> str:
    """In words, what a setting's type lets through."""
    if kind in (Positive, Seconds, Hours):
        return allowed(kind)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if kind is bool:
        return "`0`, `1`"
    if kind == tuple[str, ...]:
        return "a list, parted by commas"
    if get_origin(kind) is tuple:
        return "JSON"
    return "a whole number" if kind is int or int in get_args(kind) else "text"


def _default(field: Any) -> str:
    if field.required:
        return "must be set"
    value = field.default
    if value in ("", ()):
        return "none"
    return f"`{int(value) if isinstance(value, bool | float) else value}`"


if __name__ == "__main__":
    main()
