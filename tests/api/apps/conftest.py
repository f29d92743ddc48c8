"""An app of somebody's, and a rider who lets it in. Both riders have sessions, and no passwords."""

from collections.abc import Callable, Iterator

import pytest

from tests.api.apps.flows import App, Browser, LetIn, let_in, registered
from tests.api.conftest import MakeKey
from tests.api.sessions import LoggedIn
from tests.conftest import Rider

MakeSession = Callable[[], LoggedIn]


@pytest.fixture
def make_session(
    make_rider: Callable[[], Rider], make_api_key: MakeKey, service: str
) -> MakeSession:
    """Makes riders who have just signed in."""

    def make() -> LoggedIn:
        account = make_rider().account
        key = make_api_key(account.user_id, session=True)
        return LoggedIn(service, account.email, {"id": account.user_id}, key)

    return make


@pytest.fixture
def session(make_session: MakeSession) -> LoggedIn:
    """Of a rider who is not asked."""
    return make_session()


@pytest.fixture
def visitor(service: str, make_session: MakeSession, unthrottled: None) -> Iterator[Browser]:
    """A browser that was never here."""
    with Browser(service, make_session()) as visitor:
        yield visitor


@pytest.fixture
def app(session: LoggedIn) -> App:
    """One that can keep no secret."""
    return registered(session)


@pytest.fixture
def let(visitor: Browser, app: App) -> LetIn:
    """A rider who lets the app read."""
    return let_in(visitor, app)
