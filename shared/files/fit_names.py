"""The numbers by which FIT knows sports, makers and Garmin's devices, from our names of them."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

import fitdecode.profile

from shared.files.recording import Device
from shared.files.sport_names import sport_of_fit, sport_of_words
from shared.sports import sport_family

DEVELOPMENT: Final = 255  # the maker of what has no number
_GARMIN: Final = 1
_GENERIC: Final = (0, 0)
# Which of the kinds that are read as one sport is not the one to write.
_SECOND_BEST: Final = {"fitness_equipment", "spin"}


def fit_sport(name: str | None) -> tuple[int, int]:
    """Sport and sub-sport; "generic" where FIT has none like it."""
    names = (name, sport_of_words(name), sport_family(name or ""))
    known = (_kinds().get(each) for each in names if each)
    return next((kind for kind in known if kind), _GENERIC)


def maker_number(device: Device) -> int:
    """The number of the device's maker."""
    return _numbers("manufacturer").get(_letters(device.maker), DEVELOPMENT)


def product_number(device: Device) -> int:
    """The number of a device of Garmin's; 0 where it is none that has one."""
    if maker_number(device) != _GARMIN:
        return 0
    return _numbers("garmin_product").get(_letters(device.product), 0)


@cache
def _kinds() -> Mapping[str, tuple[int, int]]:
    """Our sports as they are read from FIT; of several kinds, the plainest."""
    sports, subs = _enumeration("sport"), _enumeration("sub_sport")
    kinds: dict[str, tuple[int, int]] = {}
    for sub, sub_number in _plainest_first(subs):
        for sport, number in _plainest_first(sports):
            kinds.setdefault(sport_of_fit(sport, sub) or "", (number, sub_number))
    return kinds


def _plainest_first(names: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(names.items(), key=lambda each: (each[0] in _SECOND_BEST, each[1]))


@cache
def _numbers(kind: str) -> Mapping[str, int]:
    return {_letters(name): number for name, number in _enumeration(kind).items()}


def _enumeration(kind: str) -> dict[str, int]:
    numbers = fitdecode.profile.FIELD_TYPES[kind].enum
    return {str(name): int(number) for number, name in numbers.items()}


def _letters(name: str | None) -> str:
    """``Forerunner 945`` as ``fr945``, which is how FIT has it."""
    return re.sub("[^a-z0-9]", "", (name or "").casefold()).replace("forerunner", "fr")
