"""What a run becomes, from figures made up."""

from pathlib import Path

import msgspec
import pytest

from bench.capacity import Assumptions, capacity
from bench.figures import Against, Figure, Machine, Report, least, most
from bench.report import BEGIN, END, to_markdown, update_document

MACHINE = Machine("a processor", 2, 8.0, "Linux 6", "3.11", 0.0, {"numpy": "2"})
UPLOAD = Figure(
    section="upload",
    name="requests",
    unit="/s",
    runs=[900, 1000, 5000],
    limit_runs=[4000],
    limit="bare ASGI",
    targets=[least(0.5, Against.LIMIT), least(10, Against.PEER), most(2000)],
    digits=0,
)


def report(*figures: Figure) -> Report:
    return Report("2026-01-01T00:00Z", MACHINE, list(figures))


def test_a_target_is_met_by_the_median_or_unknown() -> None:
    assert [met for _, met in UPLOAD.verdicts()] == [False, None, True]
    assert UPLOAD.ratio(Against.LIMIT) == 0.25


def test_a_run_replaces_only_what_is_between_the_markers(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    update_document(document, report(UPLOAD))
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| upload: requests | 1,000 /s | 4,000 /s (bare ASGI) | 0.25 |" in text


def test_a_report_comes_back_from_json() -> None:
    told = report(UPLOAD)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Report) == told


def test_nothing_is_derived_from_what_was_not_measured() -> None:
    assert "Not derived: 'upload: API CPU a request, batches of 1'" in to_markdown(report(UPLOAD))


def test_a_million_riders_by_hand() -> None:
    costs = {
        "upload: API CPU a request, batches of 60": 42,  # 16,667/s · 42 µs / 0.7 = 1
        "upload: Redis commands a request, batches of 60": 2,
        "upload: Redis CPU a request, batches of 60": 12,
        "redis: memory a sample, 8 channels, batches of 60": 40,  # · 600 s · 10⁶ = 24 GB
        "fold: 1 h, kept in PostgreSQL": 30,
        "fold: archive of 1 h, nine channels": 25,
    }
    for fold in ("1 h", "10 min after 1 h"):
        costs |= {f"fold: {fold}, {of}": 6 for of in ("worker CPU", "PostgreSQL CPU", "WAL")}
    figures = [
        Figure(section=section, name=name, unit="", runs=[value])
        for (section, _, name), value in (
            (key.partition(": "), cost) for key, cost in costs.items()
        )
    ]
    page = list(capacity(report(*figures), Assumptions(batches=(60,))))
    assert "| 60 | 16,667 | 42 µs | 1 |" in page
    assert "| 60 | 24.0 GB | 33,333 | 0.2 cores | 1 |" in page
    assert "| checkpoints | 1,667 | 6.00 ms | 15 | 6.00 ms | 15 | 0.01 GB/s |" in page
    assert page[-1].startswith("PostgreSQL: 1,944 transactions/s")
    assert "6 TB a year" in page[-1]


def test_a_figure_that_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="API CPU"):
        list(capacity(report(UPLOAD), Assumptions()))
