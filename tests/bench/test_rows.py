"""The rows of the table that take no more than seconds: each is measured at all, in tiny sizes."""

from collections.abc import Iterator

import pytest

from bench.__main__ import MEASUREMENTS
from bench.system import Options, System, running_system

TINY = Options(1, 0.05, 2, shortest=0.1, hours=(1,), keys=10, stale=2)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with running_system() as system:
        yield system


@pytest.mark.parametrize("name", ["fold", "websocket", "riders", "recompute"])
def test_a_row_has_its_figures_its_limit_and_its_target(name: str, system: System) -> None:
    figures = list(MEASUREMENTS[name](system, TINY))
    assert all(min(figure.runs) >= 0 for figure in figures)
    aimed = [figure for figure in figures if figure.target]
    assert aimed
    assert all(figure.is_met is not None for figure in aimed)
    assert len({figure.name for figure in figures}) == len(figures)
