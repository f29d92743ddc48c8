"""What waits for viewers, and how many there may be."""

import asyncio
from uuid import uuid4

import pytest

from api.live.viewers import MOST_BYTES, MOST_EVENTS, Ticket, Viewer, Viewers
from api.web.problems import TooManyRequests
from shared.settings import Settings

OWNER = uuid4()
MINE = Ticket("key", "a", OWNER)


def waiting(viewer: Viewer) -> list[bytes | None]:
    return asyncio.run(viewer.next_events())


def test_what_is_pushed_waits_in_order() -> None:
    viewer = Viewer(MINE)
    viewer.push(b"1")
    viewer.catch_up()
    viewer.push(b"2")
    assert waiting(viewer) == [b"1", None, b"2"]
    assert viewer.is_silent


def test_at_the_end_what_waits_is_sent_and_nothing_after_it() -> None:
    viewer = Viewer(MINE)
    viewer.push(b"end")
    viewer.end()
    viewer.push(b"more")
    assert waiting(viewer) == [b"end"]
    assert waiting(viewer) == []


@pytest.mark.parametrize(
    ("event", "most"), [(b"x", MOST_EVENTS), (b"x" * (MOST_BYTES // 4), 4)], ids=["many", "large"]
)
def test_a_viewer_that_does_not_read_is_dropped(event: bytes, most: int) -> None:
    viewer = Viewer(MINE)
    for _ in range(most):
        viewer.push(event)
    assert not viewer.is_silent
    viewer.push(event)
    assert waiting(viewer) == []


def test_who_reads_in_between_is_not() -> None:
    viewer = Viewer(MINE)
    for _ in range(3 * MOST_EVENTS):
        viewer.push(b"x")
        assert waiting(viewer) == [b"x"]


def test_a_place_is_free_again_once_its_viewer_has_left(settings: Settings) -> None:
    viewers = Viewers(settings)
    for _ in range(settings.max_viewers_per_key + 1):
        with viewers.admit(MINE):
            assert len(viewers) == 1
    assert len(viewers) == 0


def test_a_ticket_s_viewers_are_not_those_of_another_kind_with_the_same_id(
    settings: Settings,
) -> None:
    viewers, taken = Viewers(settings), []
    for _ in range(settings.max_viewers_per_key):
        taken.append(viewers.admit(MINE))
        taken[-1].__enter__()
    with pytest.raises(TooManyRequests):
        viewers.require_room(MINE)
    viewers.require_room(Ticket("share", "a", OWNER))
