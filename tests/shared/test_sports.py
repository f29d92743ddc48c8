"""The names of sports, those of Strava and Garmin among them."""

import pytest

from shared.sports import may_be_of_one_ride, names_of, sport_family

NAMES = {
    "cycling": (
        "cycling Cycling road gravel mountain cyclocross track indoor virtual Ride VirtualRide "
        "GravelRide MountainBikeRide road_biking mountain_biking gravel_cycling indoor_cycling "
        "track_cycling virtual_ride road-cycling mtb MTB bike bmx recumbent_cycling BIKING_ROAD "
        "cycling_mountain downhill_biking bike_indoor gravel-race spinning"
    ),
    "e-bike": (
        "e-bike ebike E-Bike EBikeRide EMountainBikeRide e_biking e_bike_fitness e_bike_mountain "
        "e_enduro_mtb e-mtb electric-bike pedelec"
    ),
    "running": (
        "running Run TrailRun VirtualRun trail treadmill treadmill_running trail_running "
        "track_running street_running jogging"
    ),
    "walking": "walking Walk hiking Hike casual_walking",
    "rowing": "rowing Rowing indoor_rowing VirtualRow",
    "swimming": "Swim lap_swimming open_water_swimming",
    "handcycling": "Handcycle hand_cycling",
    "nordic-skiing": "NordicSki",
}


@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family, row in NAMES.items() for name in row.split()]
)
def test_a_name_belongs_to_its_family(family: str, name: str) -> None:
    assert sport_family(name) == family


def test_words_may_be_apart() -> None:
    assert sport_family("E-Bike ride") == "e-bike"
    assert sport_family("Mountain bike ride") == "cycling"


def test_an_unknown_sport_is_a_family_of_its_own() -> None:
    assert {sport_family(name) for name in ("Polo", "polo", "POLO")} == {"polo"}
    assert {sport_family(name) for name in ("water-polo", "WaterPolo")} == {"waterpolo"}
    assert names_of("polo") == ["polo"]


@pytest.mark.parametrize("family", NAMES)
def test_a_family_has_its_own_name_and_no_name_of_another(family: str) -> None:
    assert sport_family(family) == family
    assert {sport_family(name) for name in names_of(family)} == {family}


@pytest.mark.parametrize(
    ("sport", "other", "may"),
    [
        ("virtual-cycling", "indoor-cycling", True),
        ("road-cycling", "MountainBikeRide", True),
        ("e-bike", "cycling", True),  # which a watch cannot tell
        ("hiking", "trail-running", True),
        ("training", "cycling", True),  # which says nothing
        ("running", "cycling", False),
        ("open-water-swimming", "running", False),
        ("indoor-rowing", "virtual-cycling", False),
    ],
)
def test_recordings_of_different_motions_are_of_different_rides(
    sport: str, other: str, may: bool
) -> None:
    assert may_be_of_one_ride(sport, other) is may
    assert may_be_of_one_ride(other, sport) is may
