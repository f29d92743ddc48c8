"""Cadence."""

from worker.metrics.series import Series


def average_cadence(cadence: Series) -> float | None:
    """Mean cadence in rpm while pedalling (zeros left out); None without any."""
    pedalling = cadence.values[cadence.values > 0]
    return float(pedalling.mean()) if len(pedalling) else None


def average_cadence_with_zeros(cadence: Series) -> float | None:
    """Mean cadence in rpm, coasting included; None without cadence."""
    return float(cadence.values.mean()) if len(cadence) else None
