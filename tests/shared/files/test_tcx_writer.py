import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from shared.files.recording import Figures, Lap, Pause, Recording
from shared.files.tcx import read_tcx
from shared.files.tcx_writer import write_tcx
from shared.samples.columns import Samples
from tests.shared.files.written import RECEIVED, T0, ride, samples

NAMES = {
    "": "{http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2}",
    "ns3": "{http://www.garmin.com/xmlschemas/ActivityExtension/v2}",
}
# What the schema allows within each element, in its order.
ORDER = {
    "Activity": "Id Lap Notes Training Creator Extensions",
    "Lap": "TotalTimeSeconds DistanceMeters MaximumSpeed Calories AverageHeartRateBpm "
    "MaximumHeartRateBpm Intensity Cadence TriggerMethod Track Notes Extensions",
    "Trackpoint": "Time Position AltitudeMeters DistanceMeters HeartRateBpm Cadence SensorState "
    "Extensions",
    "Position": "LatitudeDegrees LongitudeDegrees",
    "TPX": "Speed RunCadence Watts Extensions",
    "LX": "AvgSpeed MaxBikeCadence AvgRunCadence MaxRunCadence Steps AvgWatts MaxWatts Extensions",
    "Creator": "Name UnitId ProductID Version PartNumber",
}
REQUIRED = {
    "Activity": {"Id", "Lap"},
    "Lap": {"TotalTimeSeconds", "DistanceMeters", "Calories", "Intensity", "TriggerMethod"},
    "Trackpoint": {"Time"},
    "Position": {"LatitudeDegrees", "LongitudeDegrees"},
    "Creator": {"Name", "UnitId", "ProductID", "Version"},
}


def name_of(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def root_of(recording: Recording) -> ET.Element:
    return ET.fromstring(write_tcx(recording))


def found_in(root: ET.Element, name: str) -> list[ET.Element]:
    return [each for each in root.iter() if name_of(each) == name]


def read(recording: Recording) -> Recording:
    (found,) = read_tcx(write_tcx(recording).decode(), RECEIVED)
    return found


@pytest.mark.parametrize("recording", [ride(), Recording(samples(power=[200.0] * 8))])
def test_elements_are_the_schemas_in_its_order(recording: Recording) -> None:
    root = root_of(recording)
    assert root.tag == f"{NAMES['']}TrainingCenterDatabase"
    for element in root.iter():
        children = [name_of(child) for child in element]
        if name_of(element) in ORDER:
            places = [ORDER[name_of(element)].split().index(name) for name in children]
            assert all(before <= after for before, after in pairwise(places)), children
            assert REQUIRED.get(name_of(element), set()) <= set(children)


def test_watts_and_speed_stand_in_garmins_extension() -> None:
    points = found_in(root_of(ride()), "Trackpoint")
    assert len(points) == 8
    (watts,) = points[4].iter(f"{NAMES['ns3']}Watts")
    (speed,) = points[4].iter(f"{NAMES['ns3']}Speed")
    assert (watts.text, speed.text) == ("250", "7.100")


def test_what_was_not_measured_has_no_element() -> None:
    point = found_in(root_of(ride()), "Trackpoint")[2]
    names = [name_of(each) for each in point]
    assert names == ["Time", "DistanceMeters", "HeartRateBpm", "Extensions"]
    assert [name_of(each) for each in point.iter()][-2:] == ["TPX", "Speed"]


def test_a_pause_parts_the_tracks_of_its_lap() -> None:
    laps = found_in(root_of(ride()), "Lap")
    assert [[len(track) for track in found_in(lap, "Track")] for lap in laps] == [[3], [1, 4]]
    assert read(ride()).pauses == (Pause(T0 + 3000, T0 + 63_000),)


def test_laps_and_words_are_read_again() -> None:
    found = read(ride())
    assert [(lap.start, lap.end) for lap in found.laps] == [
        *((T0, T0 + 3000), (T0 + 3000, T0 + 66_000)),
    ]
    assert found.laps[0].figures.avg_power == 137
    assert found.description == 'With "Ana"  and rain'  # XML has no place for the control character
    assert (found.device.product, found.device.serial) == ("Edge 810", "12345")
    assert found.sport == "gravel-cycling"


def test_a_lap_that_does_not_say_its_distance_has_what_the_odometer_ran() -> None:
    """From 24.9 m at 3 s to 47.25 m."""
    assert read(ride()).laps[1].figures.total_distance == 22.35


def test_a_lap_without_samples_keeps_its_place() -> None:
    laps = (Lap(T0, T0 + 2000), Lap(T0 + 2000, T0 + 2000), Lap(T0 + 2000, T0 + 66_000))
    written = found_in(root_of(ride(laps=laps, pauses=())), "Lap")
    assert [len(found_in(lap, "Trackpoint")) for lap in written] == [2, 0, 6]


def test_samples_before_the_first_lap_are_the_first_laps() -> None:
    written = found_in(root_of(ride(laps=(Lap(T0 + 2000, T0 + 66_000),))), "Lap")
    assert [len(found_in(lap, "Trackpoint")) for lap in written] == [8]


def test_times_between_two_seconds_are_kept() -> None:
    times = T0 + np.array([0, 250, 500], np.int64)
    quick = Recording(Samples(times, {"power": np.array([100.0, 200, 300])}))
    assert read(quick).samples.timestamps.tolist() == times.tolist()


def test_figures_that_have_no_room_in_the_schema_are_left_out() -> None:
    figures = Figures(max_cadence=300.0, avg_heartrate=0.0, calories=70_000.0, max_speed=12.5)
    text = write_tcx(ride(laps=(), figures=figures)).decode()
    assert "MaxBikeCadence" not in text
    assert "AverageHeartRateBpm" not in text
    assert "<Calories>65535</Calories>" in text
    assert "<MaximumSpeed>12.500</MaximumSpeed>" in text


def test_readings_that_have_no_room_in_the_schema_are_left_out() -> None:
    """A byte holds 254 turns, and a heart that beats 0.4 times a minute is written as none."""
    text = write_tcx(
        Recording(samples(heartrate=[0.4] + [140.0] * 7, cadence=[300.0] + [80.0] * 7))
    ).decode()
    assert text.count("<HeartRateBpm>") == text.count("<Cadence>80") == 7
    assert "<Cadence>300" not in text


@pytest.mark.parametrize(
    ("sport", "written"),
    [("e-bike", "Biking"), ("trail-running", "Running"), ("rowing", "Other"), (None, "Other")],
)
def test_the_sport_is_one_of_three(sport: str | None, written: str) -> None:
    text = write_tcx(ride(sport=sport)).decode()
    assert re.findall('Sport="(.*?)"', text) == [written]


@pytest.mark.parametrize(
    "sport", ["e-bike", "walking", "hiking", "indoor-rowing", "pool-swimming", "virtual-cycling"]
)
def test_the_sport_itself_stands_in_an_extension_and_is_read_again(sport: str) -> None:
    assert read(ride(sport=sport)).sport == sport
