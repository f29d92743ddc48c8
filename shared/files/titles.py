"""A title for a ride that has none: "Morning ride", in the rider's language."""

from datetime import datetime
from typing import Final, NamedTuple

# Hours from which each part of the day is: night, morning, afternoon, evening, night.
_PARTS: Final = ((22, 0), (17, 3), (12, 2), (5, 1), (0, 0))
_SPORTS: Final = {
    "run": {"running", "run", "jogging"},
    "swim": {"swimming", "swim"},
    "walk": {"walking", "hiking", "walk", "hike"},
    "ride": {"cycling", "biking", "bike", "cyclocross", "bmx", "ride"},
}


class _Words(NamedTuple):
    """``parts``: night, morning, afternoon, evening; the kinds; and how the two are joined."""

    parts: tuple[str, str, str, str]
    ride: str
    run: str
    swim: str
    walk: str
    other: str
    joined: str = "{kind} {part}"


_WORDS: Final = {
    "en": _Words(
        ("Night", "Morning", "Afternoon", "Evening"),
        *("ride", "run", "swim", "walk", "workout", "{part} {kind}"),
    ),
    "de": _Words(
        ("Nacht", "Morgen", "Nachmittags", "Abend"),
        *("fahrt", "lauf", "schwimmen", "spaziergang", "training", "{part}{kind}"),
    ),
    "es": _Words(
        ("de noche", "por la mañana", "por la tarde", "por la noche"),
        *("Bicicleta", "Carrera", "Natación", "Paseo", "Entrenamiento"),
    ),
    "fr": _Words(
        ("de nuit", "du matin", "de l’après-midi", "du soir"),
        *("Sortie vélo", "Course à pied", "Natation", "Marche", "Séance"),
    ),
    "it": _Words(
        ("notturna", "del mattino", "del pomeriggio", "della sera"),
        *("Pedalata", "Corsa", "Nuotata", "Camminata", "Sessione"),
    ),
    "pt": _Words(
        ("noturna", "matinal", "à tarde", "ao anoitecer"),
        *("Pedalada", "Corrida", "Natação", "Caminhada", "Sessão"),
    ),
    "ja": _Words(
        ("夜の", "朝の", "午後の", "夕方の"),
        *("ライド", "ラン", "スイム", "ウォーキング", "トレーニング", "{part}{kind}"),
    ),
    "nl": _Words(
        ("Nacht", "Ochtend", "Middag", "Avond"),
        *("rit", "loop", "zwemtraining", "wandeling", "training", "{part}{kind}"),
    ),
}


def title_of(began: datetime | None, sport: str | None, language: str = "en") -> str:
    """For instance "Evening run". ``began``: by the clock of the place, None where unknown.

    ``language``: a tag such as `de-CH`; English where it is none of the table's. A file that does
    not name its sport is taken for a ride's.
    """
    words = _WORDS.get(language[:2].lower(), _WORDS["en"])
    kind: str = getattr(words, _kind(sport))
    if began is None:
        return kind[0].upper() + kind[1:]
    part = next(index for hour, index in _PARTS if began.hour >= hour)
    return words.joined.format(part=words.parts[part], kind=kind)


def _kind(sport: str | None) -> str:
    words = set((sport or "cycling").split("-"))
    return next((kind for kind, names in _SPORTS.items() if words & names), "other")
