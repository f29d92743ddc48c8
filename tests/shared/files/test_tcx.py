"""TCX documents, made by hand, to recordings."""

import numpy as np
import pytest

from shared.files.recording import Device, NotAnActivity, Pause, Recording, UnreadableFile
from shared.files.tcx import read_tcx

MS = 1_591_023_160_000  # 2020-06-01T14:52:40Z
RECEIVED = MS + 86_400_000

NAMESPACES = (
    'xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2" '
    'xmlns:ns3="http://www.garmin.com/xmlschemas/ActivityExtension/v2"'
)


def document(activities: str) -> str:
    database = "TrainingCenterDatabase"
    return f"<{database} {NAMESPACES}><Activities>{activities}</Activities></{database}>"


def activity(laps: str, sport: str = "Biking", more: str = "") -> str:
    return f'<Activity Sport="{sport}"><Id>2020-06-01T14:52:40Z</Id>{laps}{more}</Activity>'


def lap(tracks: str, figures: str = "", start: str = "2020-06-01T14:52:40Z") -> str:
    return f'<Lap StartTime="{start}">{figures}{tracks}</Lap>'


def point(second: int, content: str = "<AltitudeMeters>5</AltitudeMeters>") -> str:
    time = f"2020-06-01T14:52:{second:02}.000Z"
    return f"<Trackpoint><Time>{time}</Time>{content}</Trackpoint>"


def track(*points: str) -> str:
    return "<Track>" + "".join(points) + "</Track>"


def only(rides: list[Recording]) -> Recording:
    (ride,) = rides
    return ride


def test_every_channel_is_read() -> None:
    content = (
        "<Position><LatitudeDegrees>52.1577628</LatitudeDegrees>"
        "<LongitudeDegrees>-4.49106798</LongitudeDegrees></Position>"
        "<AltitudeMeters>-20.2000007</AltitudeMeters><DistanceMeters>142.35</DistanceMeters>"
        "<HeartRateBpm><Value>154</Value></HeartRateBpm><Cadence>94</Cadence>"
        "<Extensions><ns3:TPX><ns3:Speed>7.0630002</ns3:Speed><ns3:Watts>231</ns3:Watts>"
        "</ns3:TPX></Extensions>"
    )
    ride = only(read_tcx(document(activity(lap(track(point(40, content))))), RECEIVED))
    assert {name: values.tolist() for name, values in ride.samples.channels.items()} == {
        "power": [231],
        "cadence": [94],
        "heartrate": [154],
        "speed": [7.063],
        "distance": [142.35],
        "altitude": [-20.2],
        "lat": [52.1577628],
        "lng": [-4.491068],
    }
    assert ride.samples.timestamps.tolist() == [MS]
    assert (ride.sport, ride.utc_offset, ride.warnings) == ("cycling", None, ())


def test_what_a_point_lacks_is_missing() -> None:
    with_heart = "<HeartRateBpm><Value>120</Value></HeartRateBpm>"
    ride = only(
        read_tcx(document(activity(lap(track(point(40), point(41, with_heart))))), RECEIVED)
    )
    assert np.isnan(ride.samples.channel("heartrate")).tolist() == [True, False]


def test_the_cadence_of_a_run_is_cadence() -> None:
    cadence = "<Extensions><TPX><RunCadence>91</RunCadence></TPX></Extensions>"
    ride = only(read_tcx(document(activity(lap(track(point(40, cadence))), "Running")), RECEIVED))
    assert ride.samples.channel("cadence").tolist() == [91]
    assert ride.sport == "running"


def test_laps_carry_their_figures_and_a_lone_one_is_the_ride() -> None:
    figures = (
        "<TotalTimeSeconds>26.0</TotalTimeSeconds><DistanceMeters>142.35</DistanceMeters>"
        "<MaximumSpeed>7.063</MaximumSpeed><Calories>4</Calories>"
        "<AverageHeartRateBpm><Value>154</Value></AverageHeartRateBpm>"
        "<MaximumHeartRateBpm><Value>155</Value></MaximumHeartRateBpm><Cadence>94</Cadence>"
    )
    extension = (
        "<Extensions><ns3:LX><ns3:AvgWatts>154</ns3:AvgWatts><ns3:MaxWatts>434</ns3:MaxWatts>"
        "</ns3:LX></Extensions>"
    )
    ride = only(read_tcx(document(activity(lap(track(point(40)), figures + extension))), RECEIVED))
    (found,) = ride.laps
    assert (found.start, found.end) == (MS, MS + 26_000)
    assert found.figures == ride.figures
    assert ride.figures.calories == 4
    assert (ride.figures.avg_power, ride.figures.max_power) == (154, 434)
    assert (ride.figures.avg_heartrate, ride.figures.max_heartrate) == (154, 155)
    assert ride.figures.avg_cadence == 94


def test_several_laps_add_up_and_have_no_average_of_the_device() -> None:
    def of(seconds: int, metres: int, heart: int) -> str:
        return (
            f"<TotalTimeSeconds>{seconds}</TotalTimeSeconds>"
            f"<DistanceMeters>{metres}</DistanceMeters>"
            f"<MaximumHeartRateBpm><Value>{heart}</Value></MaximumHeartRateBpm>"
            f"<AverageHeartRateBpm><Value>{heart}</Value></AverageHeartRateBpm>"
        )

    laps = lap(track(point(40)), of(10, 100, 150)) + lap(track(point(50)), of(20, 150, 140))
    ride = only(read_tcx(document(activity(laps)), RECEIVED))
    assert ride.figures.elapsed_time == 30
    assert ride.figures.total_distance == 250
    assert ride.figures.max_heartrate == 150
    assert ride.figures.avg_heartrate is None


def test_a_maximum_speed_in_another_unit_is_no_figure() -> None:
    """18,720 m/s stands in a file of Movescount."""
    figures = "<MaximumSpeed>18720.0</MaximumSpeed>"
    ride = only(read_tcx(document(activity(lap(track(point(40)), figures))), RECEIVED))
    assert ride.figures.max_speed is None


def test_a_lap_of_two_tracks_was_paused_between_them_and_two_laps_were_not() -> None:
    paused = lap(track(point(40), point(41)) + track(point(50)))
    ride = only(read_tcx(document(activity(paused + lap(track(point(59))))), RECEIVED))
    assert ride.pauses == (Pause(MS + 1000, MS + 10_000),)


def test_several_activities_are_several_rides_nested_ones_too() -> None:
    sessions = (
        "<MultiSportSession><FirstSport>"
        + activity(lap(track(point(40))), "Running")
        + "</FirstSport><NextSport>"
        + activity(lap(track(point(50))), "Biking")
        + "</NextSport></MultiSportSession>"
    )
    rides = read_tcx(document(sessions), RECEIVED)
    assert [(ride.sport, ride.start) for ride in rides] == [
        ("running", MS),
        ("cycling", MS + 10_000),
    ]


def test_another_sport_is_a_ride_only_with_power() -> None:
    watts = "<Extensions><TPX><Watts>200</Watts></TPX></Extensions>"
    for content, sport in (("<Cadence>60</Cadence>", "other"), (watts, "cycling")):
        text = document(activity(lap(track(point(40, content))), "Other"))
        assert only(read_tcx(text, RECEIVED)).sport == sport


def test_notes_and_creator_are_kept_but_not_the_author() -> None:
    creator = "<Creator><Name>Garmin Edge 1000</Name><UnitId>3907354759</UnitId></Creator>"
    more = "<Notes>Windy.</Notes>" + creator
    ride = only(read_tcx(document(activity(lap(track(point(40))), more=more)), RECEIVED))
    assert ride.description == "Windy."
    assert ride.device == Device(None, "Garmin Edge 1000", "3907354759")


@pytest.mark.parametrize(
    ("time", "ms", "offset", "warned"),
    [
        ("2020-06-01T14:52:40Z", MS, None, False),
        ("2020-06-01T14:52:40.250Z", MS + 250, None, False),
        ("2020-06-01T16:52:40+02:00", MS, 7200, False),
        ("2020-06-01T09:22:40.5-05:30", MS + 500, -19_800, False),
        ("2020-06-01T14:52:40", MS, None, True),
        ("2020-06-01 14:52:40", MS, None, True),
    ],
)
def test_times_with_an_offset_or_none(time: str, ms: int, offset: int | None, warned: bool) -> None:
    content = f"<Trackpoint><Time>{time}</Time><Cadence>80</Cadence></Trackpoint>"
    ride = only(read_tcx(document(activity(lap(track(content)))), RECEIVED))
    assert (ride.start, ride.utc_offset) == (ms, offset)
    assert bool(ride.warnings) == warned


def test_decimals_with_a_comma_are_numbers_and_words_are_none() -> None:
    content = "<DistanceMeters>12,5</DistanceMeters><AltitudeMeters>high</AltitudeMeters>"
    ride = only(read_tcx(document(activity(lap(track(point(40, content))))), RECEIVED))
    assert {name: values.tolist() for name, values in ride.samples.channels.items()} == {
        "distance": [12.5]
    }


def test_points_without_a_time_are_left_out() -> None:
    timeless = "<Trackpoint><Time>soon</Time><Cadence>80</Cadence></Trackpoint>"
    ride = only(read_tcx(document(activity(lap(track(timeless, point(41))))), RECEIVED))
    assert ride.samples.timestamps.tolist() == [MS + 1000]


def test_what_stands_before_the_damage_is_kept_and_said() -> None:
    text = document(activity(lap(track(*(point(second) for second in range(40, 50))))))
    ride = only(read_tcx(text[: text.index("14:52:45") - 4], RECEIVED))
    assert len(ride.samples) == 5
    assert ride.warnings == ("the file is damaged or cut off in line 1: what follows is lost",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<Courses><Course>{track}</Course></Courses>", "holds a course, not a ride"),
        ("<Workouts><Workout><Name>x</Name></Workout></Workouts>", "holds a planned workout"),
        ("<Activities/>", "holds no readings with times"),
    ],
)
def test_what_holds_no_ride_is_refused_with_the_reason(content: str, words: str) -> None:
    """The points of a course have times."""
    text = content.format(track=track(point(40)))
    with pytest.raises(NotAnActivity, match=words):
        read_tcx(f"<TrainingCenterDatabase>{text}</TrainingCenterDatabase>", RECEIVED)


def test_a_ride_that_is_all_in_the_future_is_refused_for_its_date() -> None:
    with pytest.raises(UnreadableFile, match="every reading of this file is dated in the future"):
        read_tcx(document(activity(lap(track(point(40))))), MS - 86_400_001)


def test_a_document_damaged_before_its_first_reading_is_unreadable() -> None:
    with pytest.raises(UnreadableFile, match="damaged before its first reading"):
        read_tcx("<TrainingCenterDatabase><Activities><Activity", RECEIVED)
