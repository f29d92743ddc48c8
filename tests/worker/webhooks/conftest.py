import pytest

from shared.connections import Database
from tests.worker.webhooks.telling import Webhooks


@pytest.fixture
def webhooks(database: Database) -> Webhooks:
    return Webhooks(database)
