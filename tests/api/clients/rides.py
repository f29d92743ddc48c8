"""A ride as a phone sends it: a sample a second, with what may be missing."""

from typing import Any

from tests.api.answers import T0


def a_ride(seconds: int) -> list[dict[str, Any]]:
    """Power and cadence throughout, a heart rate but for every tenth second."""
    return [
        {
            "timestamp": T0 + 1000 * second,
            "power": 150 + (second * 37) % 120,
            "cadence": 85 + second % 7,
            **({} if second % 10 == 0 else {"heartrate": 120 + second // 10}),
        }
        for second in range(seconds)
    ]
