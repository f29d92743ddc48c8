"""`make device-truth`: the tables of docs/metrics.md, from real rides through HTTP and a worker."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import httpx2

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.demo.ride_player import play_ride, read_ride
from ops.demo.run import start_service
from ops.embedded.servers import embedded_servers
from tests.conftest import ROOT, reachable_folder
from tests.rides import independent
from tests.rides.truth import Entry, device_figures, thresholds_of

Summary = dict[str, Any]

DOCUMENT = ROOT / "docs" / "metrics.md"
END = "<!-- end -->"
HEAD = "| ride | figure | device | ours | error |\n|---|---|---:|---:|---:|\n"
FIGURES = {
    "normalizedPower": "normalized power, W",
    "avgPower": "average power, W",
    "maxPower": "maximum power, W",
    "totalEnergy": "work, kJ",
    "trainingStressScore": "stress (TSS)",
    "calories": "calories, kcal; ours: work, kJ",
    "recordingInterval": "recording interval, s",
    "totalDistance": "distance, m",
    "totalElevationGain": "ascent, m",
    "avgHeartrate": "average heart rate, bpm",
    "maxHeartrate": "maximum heart rate, bpm",
    "avgCadence": "average cadence, rpm",
    "avgCadenceWithZeros": "average cadence with zeros, rpm",
}


def main() -> None:
    """Play every ride that has device truth, and write the tables."""
    folder = Path(os.environ.get("RIDES_DIR") or ROOT.parent / "shared" / "data")
    if not (folder / "manifest.json").exists():
        sys.exit(f"no real rides in {folder}: set RIDES_DIR to a folder that has them")
    manifest = json.loads((folder / "manifest.json").read_text())
    write("device-truth", device_table(list(play(folder, manifest["rides"]))))
    write("independent", independent_table(folder, manifest))


def written(name: str) -> str:
    """The table of that name, as the document has it."""
    return DOCUMENT.read_text().partition(f"<!-- {name} -->\n")[2].partition(END)[0]


def write(name: str, table: str) -> None:
    """Write the table where the document has it."""
    before, begin, rest = DOCUMENT.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{begin}{table}{end}{after}")


def device_table(played: list[tuple[Entry, Summary]]) -> str:
    """A line a figure of a ride, and the mean error of the ascents."""
    rows = [row for entry, summary in played for row in rows_of(entry, summary)]
    errors = [error for entry, summary in played for error in ascent_errors(entry, summary)]
    ascents = f"{mean(errors):.1%} over {len(errors)} rides"
    return (
        f"{HEAD}{''.join(rows)}\nMean absolute error of the ascent: {ascents} of more than 100 m.\n"
    )


def independent_table(folder: Path, manifest: dict[str, Any]) -> str:
    """A line for each figure that others define too."""
    return independent.HEAD + "".join(
        comparison.line(name)
        for name, ride in independent.rides_with_power(folder, manifest)
        for comparison in independent.compare(ride)
    )


def play(folder: Path, rides: list[Entry]) -> Iterator[tuple[Entry, Summary]]:
    """Each ride with its summary, by a service of its own."""
    with reachable_folder() as data_dir, embedded_servers(data_dir) as urls:
        migrations.apply(urls["DATABASE_URL"])
        account = create_account(urls["DATABASE_URL"], "truth@example.com", "device-truth")
        with start_service({**os.environ, **urls}, data_dir, port=0) as (url, _):
            for entry in rides:
                lines = read_ride(folder / entry["ndjson"])
                if thresholds := thresholds_of(entry):
                    put_thresholds(url, account.api_key, thresholds)
                workout = play_ride(url, account.api_key, lines, entry["file"], lambda _: None)
                yield entry, workout["summary"]


def put_thresholds(url: str, api_key: str, thresholds: dict[str, Any]) -> None:
    """Tell the service the FTP that the device had."""
    headers = {"Authorization": f"Bearer {api_key}"}
    answer = httpx2.put(f"{url}/api/users/me/thresholds", json=thresholds, headers=headers)
    answer.raise_for_status()


def rows_of(entry: Entry, summary: Summary) -> Iterator[str]:
    """A line of the table for each figure that the device gave."""
    found = {**summary, **summary["precise"]}
    for member, device, tolerance, name in device_figures(entry):
        ours = found[member]
        shown = "– | –" if ours is None else f"{ours:.6g} | {(ours / device - 1) * 100:+.2f} %"
        mark = " (!)" if ours is not None and abs(ours - device) > tolerance else ""
        figure = FIGURES[name or member]
        yield f"| {independent.name_of(entry)} | {figure} | {device:.6g} | {shown}{mark} |\n"


def ascent_errors(entry: Entry, summary: Summary) -> Iterator[float]:
    """That of the ride as a share of the device's; none if the device climbed too little."""
    for figure in device_figures(entry):
        if figure.member == "totalElevationGain":
            yield abs(summary["totalElevationGain"] / figure.device - 1)


if __name__ == "__main__":
    main()
