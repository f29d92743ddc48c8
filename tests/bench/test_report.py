"""What a run becomes, from figures made up."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from bench.figures import Figure, least, most, series
from bench.report import (
    BEGIN,
    END,
    Kept,
    Report,
    read_kept,
    this_machine,
    to_markdown,
    to_table,
    update_document,
)

UPLOAD = Figure(
    "requests",
    "/s",
    [900, 1000, 5000],
    "bare ASGI",
    [4000],
    target=least(0.5, "limit"),
    section="upload",
)


def report(*figures: Figure) -> Report:
    return Report("2026-01-01T00:00Z", "a machine", list(figures))


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (least(0.25, "limit"), True),  # 1,000 beside 4,000
        (least(0.26, "limit"), False),
        (most(0.25, "limit"), True),
        (most(1000), True),  # the mean of the runs, 2,300, would be more
        (least(1001), False),
        (least(10, "peer"), None),  # was not measured
    ],
)
def test_a_target_is_met_by_the_median_or_unknown(target: object, met: bool | None) -> None:
    assert replace(UPLOAD, target=target).is_met is met


def test_a_figure_has_one_value_of_each_run_that_measured_it() -> None:
    assert series([{"p50": 1.0}, {"p50": 3.0, "p99": 4.0}], "p50") == [1, 3]
    assert series([{"p50": 1.0}, {"p50": 3.0, "p99": 4.0}], "p99") == [4]


def test_a_run_replaces_only_what_is_between_the_markers(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    update_document(document, report(UPLOAD))
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert (
        "| upload: requests | 1,000 /s | 4,000 /s (bare ASGI) | 0.25 |  |  "
        "| ≥ 0.5 × limit | not met |"
    ) in text


def test_a_run_is_compared_with_the_one_that_was_kept(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"{BEGIN}\n{END}\n")
    memory = Figure("memory", "B", [9000.0], peer_runs=[90_000.0], section="redis")
    wal = Figure("WAL", "KB", [32.0], section="fold")
    update_document(document, report(UPLOAD, memory, wal))
    kept = read_kept(document)
    assert kept.told.startswith("Measured 2026-01-01T00:00Z on a machine")
    # 1,000 beside 4,000; now 1,000 beside 2,000 on a slower machine: twice the ratio.
    assert kept.change_of(replace(UPLOAD, limit_runs=[2000])) == 2
    assert kept.change_of(replace(memory, runs=[9000.0], peer_runs=[180_000.0])) == 0.5
    assert kept.change_of(replace(wal, runs=[48.0])) == 1.5
    assert kept.change_of(replace(wal, name="new")) is None
    assert "| 2.00 |" in to_table([replace(UPLOAD, limit_runs=[2000])], kept)


def test_nothing_is_compared_with_a_document_that_keeps_no_run(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"{BEGIN}\n{END}\n")
    assert read_kept(document) == Kept()
    assert to_table([UPLOAD], Kept()).splitlines()[-1].endswith("not met |  |")


def test_a_document_without_markers_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("nothing measured")
    with pytest.raises(ValueError, match="measured: begin"):
        update_document(document, report(UPLOAD))
    assert document.read_text() == "nothing measured"


def test_the_peer_and_a_target_of_its_own_unit_are_shown() -> None:
    memory = Figure("memory", "B", [9.0], peer_runs=[90.0], target=most(10), section="redis")
    assert "| redis: memory | 9.0 B |  |  | 90.0 B | 0.10 | ≤ 10 B | met |" in to_markdown(
        report(memory)
    )


def test_a_figure_without_a_target_gets_no_verdict() -> None:
    figure = Figure("WAL", "KB", [32.274], section="fold")
    assert "| fold: WAL | 32.27 KB |  |  |  |  |  |  |" in to_markdown(report(figure))


def test_a_report_comes_back_from_json() -> None:
    told = report(UPLOAD)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Report) == told


def test_nothing_is_derived_from_what_was_not_measured() -> None:
    assert "Not derived: 'upload: API CPU a request, batches of 1'" in to_markdown(report(UPLOAD))


def test_the_machine_is_told_with_the_versions_that_matter() -> None:
    assert f"msgspec {msgspec.__version__}" in this_machine()
