"""Which files an import finds."""

from pathlib import Path

from ops.importing.client import Kind, Outcome
from ops.importing.run import Report, table_of
from ops.importing.sources import files_at
from tests.api.files.ride_files import gpx, zip_of

TABLE = (
    b"Activity ID,Activity Date,Activity Name,Activity Type,Activity Description,Filename\n"
    b"1,x,Here,Ride,,activities/1.gpx\n2,x,Lost,Ride,,activities/2.gpx\n"
)


def problems_at(path: Path) -> dict[str, bool]:
    return {each.file.name: bool(each.file.problem) for each in files_at([path])}


def test_a_ride_of_strava_s_table_without_its_file_is_told(tmp_path: Path) -> None:
    folder, packed = tmp_path / "export", tmp_path / "export.zip"
    (folder / "activities").mkdir(parents=True)
    (folder / "activities.csv").write_bytes(TABLE)
    (folder / "activities" / "1.gpx").write_bytes(gpx(60))
    assert problems_at(folder) == {"activities/1.gpx": False, "activities/2.gpx": True}
    packed.write_bytes(zip_of(**{"activities__csv": TABLE, "activities/1__gpx": gpx(60)}))
    assert problems_at(packed) == {"export.zip/activities/1.gpx": False, "activities/2.gpx": True}


def test_one_file_and_one_ride_are_not_counted_as_many() -> None:
    report = Report()
    report.add(Outcome("a.fit", Kind.NEW, rides=("1",)))
    assert table_of(report).title == "1 file: 1 ride is new"
    report.add(Outcome("b.fit", Kind.NEW, rides=("2",)))
    assert table_of(report).title == "2 files: 2 rides are new"
