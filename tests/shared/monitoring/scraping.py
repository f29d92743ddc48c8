"""Figures as Prometheus reads them: each sample by its name and labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from socket import socket

import httpx2
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Reading:
    """One sample of a scrape."""

    name: str
    labels: Mapping[str, str]
    value: float


def scrape(url: str) -> list[Reading]:
    """What a process tells now."""
    response = httpx2.get(url, timeout=30)
    assert response.headers["content-type"].startswith("text/plain")
    return [
        Reading(sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    ]


def total(readings: list[Reading], name: str, **labels: str) -> float:
    """The sum over the samples of a name that have these labels."""
    return sum(
        each.value
        for each in readings
        if each.name == name and labels.items() <= each.labels.items()
    )


def free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
