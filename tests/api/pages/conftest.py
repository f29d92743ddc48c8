"""Browsers without a screen."""

from collections.abc import Iterator

import pytest

from tests.api.pages.browsing import Visitor
from tests.api.sessions import register


@pytest.fixture
def visitor(service: str, unthrottled: None) -> Iterator[Visitor]:
    """A browser that was never here."""
    with Visitor(service) as visitor:
        yield visitor


@pytest.fixture
def signed_in(visitor: Visitor) -> Visitor:
    """A browser in which a user that nobody else is has signed in."""
    assert visitor.sign_in(register(visitor.url)).headers["location"] == "/"
    return visitor
