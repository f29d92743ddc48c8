"""Server-sent events, told apart line by line."""

import asyncio
from collections.abc import AsyncIterator

from ops.live.events import Event, parse


async def lines_of(text: str) -> AsyncIterator[str]:
    for line in text.splitlines():
        yield line


def events_of(text: str, last_id: str = "") -> list[Event]:
    async def collect() -> list[Event]:
        return [each async for each in parse(lines_of(text), last_id)]

    return asyncio.run(collect())


def test_a_named_event_has_its_name_its_data_and_the_id_so_far() -> None:
    text = 'id: 7-0\nevent: samples\ndata: {"power": [210]}\n\nevent: end\ndata: {}\n\n'
    first, last = events_of(text)
    assert first == Event("samples", {"power": [210]}, "7-0")
    assert last == Event("end", {}, "7-0")
    assert (first.is_last, last.is_last) == (False, True)


def test_events_without_names_are_called_by_the_type_in_their_data() -> None:
    text = 'data: {"type":"connected","streamName":"a"}\n\ndata: {"type":"stream_deleted"}\n\n'
    first, last = events_of(text)
    assert (first.name, last.name) == ("connected", "stream_deleted")
    assert (first.is_last, last.is_last) == (False, True)


def test_comments_are_passed_over_and_an_id_alone_is_remembered() -> None:
    text = "retry: 1000\n\n: still here\n\nid: 9-1\n\n"
    assert events_of(text, "7-0") == [Event("", {}, "9-1")]


def test_an_event_that_was_cut_off_is_none() -> None:
    assert events_of('data: {"type":"message"}') == []
