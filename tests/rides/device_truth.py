"""`make device-truth`: the table of docs/metrics.md, from real rides through HTTP and a worker."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.demo.ride_player import play_ride, read_ride
from ops.demo.run import start_service
from ops.embedded.servers import embedded_servers
from tests.conftest import ROOT, reachable_folder
from tests.rides.truth import Entry, Figure, device_figures

DOCUMENT = ROOT / "docs" / "metrics.md"
BEGIN, END = "<!-- device-truth -->\n", "<!-- end -->"
FIGURES = {
    "normalizedPower": "normalized power, W",
    "avgPower": "average power, W",
    "maxPower": "maximum power, W",
    "totalEnergy": "work, kJ",
    "totalDistance": "distance, m",
    "totalElevationGain": "ascent, m",
    "avgHeartrate": "average heart rate, bpm",
    "maxHeartrate": "maximum heart rate, bpm",
    "avgCadence": "average cadence, rpm",
    "avgCadenceWithZeros": "average cadence with zeros, rpm",
}


def main() -> None:
    """Play every ride that has device truth, and write the table."""
    folder = Path(os.environ.get("RIDES_DIR") or ROOT.parent / "shared" / "data")
    if not (folder / "manifest.json").exists():
        sys.exit(f"no real rides in {folder}: set RIDES_DIR to a folder that has them")
    rides = json.loads((folder / "manifest.json").read_text())["rides"]
    rows = [row for entry, summary in play(folder, rides) for row in rows_of(entry, summary)]
    head = "| ride | figure | device | ours | error |\n|---|---|---:|---:|---:|\n"
    before, rest = DOCUMENT.read_text().split(BEGIN)
    after = rest.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}{head}{''.join(rows)}{END}{after}")


def play(folder: Path, rides: list[Entry]) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """Each ride with its summary, by a service of its own."""
    with reachable_folder() as data_dir, embedded_servers(data_dir) as urls:
        migrations.apply(urls["DATABASE_URL"])
        account = create_account(urls["DATABASE_URL"], "truth@example.com", "device-truth")
        with start_service({**os.environ, **urls}, data_dir, port=0) as (url, _):
            for entry in rides:
                lines = read_ride(folder / entry["ndjson"])
                workout = play_ride(url, account.api_key, lines, entry["file"], lambda _: None)
                yield entry, workout["summary"]


def rows_of(entry: Entry, summary: dict[str, Any]) -> Iterator[str]:
    """A line of the table for each figure that the device gave."""
    ride = entry["file"].rpartition(".")[0]
    found = {**summary, **summary["precise"]}
    for member, device, tolerance in map(Figure._make, device_figures(entry)):
        ours = found[member]
        error = f"{(ours / device - 1) * 100:+.2f} %"
        mark = "" if abs(ours - device) <= tolerance else " (!)"
        yield f"| {ride} | {FIGURES[member]} | {device:.6g} | {ours:.6g} | {error}{mark} |\n"


if __name__ == "__main__":
    main()
