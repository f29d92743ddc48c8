import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from shared.files.gpx import read_gpx
from shared.files.gpx_writer import write_gpx
from shared.files.recording import Pause, Recording
from shared.samples.columns import Samples
from tests.shared.files.written import RECEIVED, T0, ride, samples

GPX = "{http://www.topografix.com/GPX/1/1}"
TPX = "{http://www.garmin.com/xmlschemas/TrackPointExtension/v2}"
POWER = "{http://www.garmin.com/xmlschemas/PowerExtension/v1}PowerInWatts"
# What the schemas allow within each element, in their order.
ORDER = {
    f"{GPX}gpx": "metadata wpt rte trk extensions",
    f"{GPX}trk": "name cmt desc src link number type extensions trkseg",
    f"{GPX}trkpt": "ele time magvar geoidheight name cmt desc src link sym type fix sat hdop vdop "
    "pdop ageofdgpsdata dgpsid extensions",
    f"{TPX}TrackPointExtension": "atemp wtemp depth hr cad speed course bearing Extensions",
}


def root_of(recording: Recording) -> ET.Element:
    return ET.fromstring(write_gpx(recording))


def points_of(recording: Recording) -> list[ET.Element]:
    return list(root_of(recording).iter(f"{GPX}trkpt"))


def read(recording: Recording) -> Recording:
    (found,) = read_gpx(write_gpx(recording).decode(), RECEIVED)
    return found


@pytest.mark.parametrize("recording", [ride(), Recording(samples(power=[200.0] * 8))])
def test_elements_are_the_schemas_in_its_order(recording: Recording) -> None:
    root = root_of(recording)
    assert root.tag == f"{GPX}gpx"
    assert root.attrib["version"] == "1.1"
    for element in root.iter():
        if element.tag in ORDER:
            names = [child.tag.rpartition("}")[2] for child in element]
            places = [ORDER[element.tag].split().index(name) for name in names]
            assert all(before <= after for before, after in pairwise(places)), names


def test_every_point_has_a_position_as_the_schema_asks() -> None:
    """In a tunnel it is the last one, marked as no fix, so that no program jumps across the map."""
    points = points_of(ride())
    assert [(each.get("lat"), each.get("lon")) for each in points[1:4]] == [
        ("47.1235000", "8.7655000")
    ] * 3
    fixes = [each.find(f"{GPX}fix") for each in points]
    assert [fix is not None and fix.text for fix in fixes[:4]] == [False, False, "none", "none"]


def test_before_the_first_fix_the_position_is_the_first_one() -> None:
    late = ride(samples=samples(lat=[np.nan] * 6 + [47, 47.1], lng=[np.nan] * 6 + [8, 8.1]))
    assert {each.get("lat") for each in points_of(late)[:7]} == {"47.0000000"}
    assert np.count_nonzero(~np.isnan(read(late).samples.channel("lat"))) == 2


def test_a_ride_without_positions_is_nowhere_and_read_as_such() -> None:
    found = read(Recording(samples(power=[200.0] * 8)))
    assert list(found.samples.channels) == ["power"]


def test_sensors_stand_in_extensions_of_garmin() -> None:
    (point,) = points_of(ride())[4:5]
    assert [each.text for each in point.iter(POWER)] == ["250"]
    (garmin,) = point.iter(f"{TPX}TrackPointExtension")
    values = {each.tag.removeprefix(TPX): each.text for each in garmin}
    assert values == {"atemp": "20.0", "hr": "120", "cad": "80", "speed": "7.100"}
    assert [each.text for each in point.iter(f"{GPX}power")] == ["250"]


def test_a_pause_parts_the_segments() -> None:
    segments = root_of(ride()).iter(f"{GPX}trkseg")
    assert [len(segment) for segment in segments] == [4, 4]
    assert read(ride()).pauses == (Pause(T0 + 3000, T0 + 63_000),)


def test_words_are_read_again() -> None:
    found = read(ride())
    assert (found.title, found.sport) == ("Over the hill & <back>", "gravel-cycling")
    assert found.description == 'With "Ana"  and rain'
    assert found.device.product == "Edge 810"


def test_samples_are_read_again_to_the_formats_resolution() -> None:
    found = read(ride()).samples
    expected = samples()
    for name in ("cadence", "speed", "distance", "altitude", "lat", "lng", "temperature"):
        np.testing.assert_allclose(found.channel(name), expected.channel(name), err_msg=name)
    assert found.channel("power")[4] == 250
    assert "balance" not in found.channels


def test_times_between_two_seconds_are_kept() -> None:
    times = T0 + np.array([0, 250, 500], np.int64)
    quick = Recording(Samples(times, {"power": np.array([100.0, 200, 300])}))
    assert read(quick).samples.timestamps.tolist() == times.tolist()


def test_the_date_line_is_in_the_west() -> None:
    """GPX counts to 180° east, without it."""
    east = ride(samples=samples(lat=[0.5] * 8, lng=[179.9] * 7 + [180]))
    assert points_of(east)[7].get("lon") == "-180.0000000"
