"""`make figures`: the table of figures of docs/metrics.md, from shared.figures."""

from typing import Final

from shared.figures import FIGURES
from tests.conftest import ROOT

DOCUMENT: Final = ROOT / "docs" / "metrics.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end -->"


def main() -> None:
    """Write the table where the document has it."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}{table()}{END}{after}")


def table() -> str:
    """A row a figure."""
    rows = [f"| `{each.member}` | {each.unit} | {each.definition} |\n" for each in FIGURES]
    return "".join(["| member | unit | definition |\n|---|---|---|\n", *rows])


if __name__ == "__main__":
    main()
