"""A worker's thread that delivers, within the test process."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from shared.connections import Database
from shared.settings import Settings
from tests.worker.webhooks.telling import Webhooks
from worker.webhooks.delivering import Deliveries
from worker.webhooks.terms import Terms

# Looks all the time, and tries again at once.
IMPATIENT = Terms(attempt=5, pauses=(0.05,), poll=0.02, rest=0, ending=0.5)

Delivering = Callable[..., AbstractContextManager[list[str]]]


@pytest.fixture
def webhooks(database: Database) -> Webhooks:
    return Webhooks(database)


@pytest.fixture
def delivering(settings: Settings) -> Delivering:
    """Delivers for as long as the block, by impatient terms but for what is named.

    Gives what became of each attempt.
    """

    @contextmanager
    def run(allow_private: bool = True, **terms: Any) -> Iterator[list[str]]:
        outcomes = list[str]()
        own = msgspec.structs.replace(settings, webhook_allow_private=allow_private)
        with closing(Deliveries(own, outcomes.append, replace(IMPATIENT, **terms))):
            yield outcomes

    return run
