"""Deliveries as workers write them."""

from collections.abc import Callable
from functools import partial

import pytest

from shared.connections import Database
from tests.api.webhooks.rows import write_delivery

Deliver = Callable[..., int]


@pytest.fixture
def deliver(database: Database) -> Deliver:
    """Writes a delivery of a webhook; gives its id."""
    return partial(write_delivery, database)
