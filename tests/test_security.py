"""SECURITY.md names tests, files and settings that there are, and every bound that can be set."""

import re
from typing import Any, Final

import msgspec
import pytest

from shared.settings import Settings
from tests.conftest import ROOT

GUIDE: Final = (ROOT / "SECURITY.md").read_text()
TABLES: Final = GUIDE.partition("## Every bound")[2].partition("\n## ")[0]
ROWS: Final = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLES.splitlines()
    if line.startswith("| ") and not line.startswith("| what ")
]
DEFAULTS: Final[dict[str, Any]] = {
    field.name.upper(): field.default for field in msgspec.structs.fields(Settings)
}
NO_BOUNDS: Final = {"PORT", "LISTEN_FD", "METRICS_PORT", "BACKUP_HOURS"}


def settings_of(row: list[str]) -> list[str]:
    return re.findall(r"`([A-Z_]+)`", row[3])


def test_every_file_and_test_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:api|ops|shared|tests|worker)/[\w./]*)(?:::(\w+))?`", GUIDE)
    assert len(named) > len(ROWS)
    for file, test in named:
        assert (ROOT / file).exists(), file
        assert not test or f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_bound_says_how_much_whose_by_what_and_which_test_holds_it(row: list[str]) -> None:
    what, much, whose, _, test = row
    assert what
    assert whose
    assert settings_of(row) or "/" in row[3]
    assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`", test)
    for name in settings_of(row):
        assert re.search(rf"(?<![\d,]){DEFAULTS[name]:,.0f}(?![\d,])", much), name


def test_every_setting_that_is_a_number_is_a_bound_in_the_tables() -> None:
    numbers = {
        name
        for name, default in DEFAULTS.items()
        if isinstance(default, int | float) and not isinstance(default, bool)
    }
    assert {name for row in ROWS for name in settings_of(row)} == numbers - NO_BOUNDS
