"""The athlete's figures that held on the day of a ride."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Athlete:
    """Watts, joules and beats a minute; None where none was given for the day."""

    ftp: float | None = None
    critical_power: float | None = None
    w_prime: float | None = None
    threshold_heartrate: float | None = None
    max_heartrate: float | None = None
    weight: float | None = None
