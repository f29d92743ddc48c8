"""`make watch` on a ride that goes on, and on what cannot be watched."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.api.answers import T0, seconds_of
from tests.conftest import ROOT, Rider

Watch = subprocess.Popen[str]


@contextmanager
def watching(rider: Rider, **wanted: str) -> Iterator[Watch]:
    """`make watch` by the rider's key."""
    variables = {"URL": str(rider.client.base_url), "KEY": rider.account.api_key, **wanted}
    with subprocess.Popen(
        [sys.executable, "-m", "ops", "watch"],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(watch: Watch, text: str) -> str:
    """The next line that has the text."""
    assert watch.stdout is not None
    said = ""
    for line in watch.stdout:
        said += line
        if text in line:
            return line
    raise AssertionError(f"{text!r} is not in:\n{said}")


def test_a_ride_is_followed_until_it_is_over(rider: Rider) -> None:
    workout = rider.start()
    with watching(rider, ID=workout) as watch:
        line_with(watch, "Watching")
        rider.upload(workout, seconds_of(210, 60))
        assert "210 W" in line_with(watch, "behind")
        assert "avg 210 W" in line_with(watch, "so far")
        rider.upload(workout, seconds_of(310, 60, T0 + 60_000))
        assert "310 W" in line_with(watch, "behind")
        rider.complete(workout)
        assert "avg 260 W" in line_with(watch, "COMPLETED")
        assert watch.wait(30) == 0


def test_ctrl_c_ends_the_watch_and_not_the_ride(rider: Rider) -> None:
    workout = rider.start()
    with watching(rider, ID=workout) as watch:
        line_with(watch, "Watching")
        watch.send_signal(signal.SIGINT)
        line_with(watch, "Stopped watching.")
        assert watch.wait(30) == 0
    assert rider.workout(workout)["status"] == "ACTIVE"


def test_a_ride_that_is_over_already_is_shown_as_it_is(rider: Rider) -> None:
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 60))
    rider.complete(workout)
    with watching(rider, ID=workout) as watch:
        assert "avg 200 W" in line_with(watch, "COMPLETED")
        assert watch.wait(30) == 0


def test_what_cannot_be_watched_is_said_in_one_line(make_rider: Callable[[], Rider]) -> None:
    workout = make_rider().start()
    with watching(make_rider(), ID=workout) as watch:
        assert "404" in line_with(watch, "failed: ")
        assert watch.wait(30) == 1
    with watching(make_rider()) as watch:
        line_with(watch, "say ID=… of a ride, or STREAM=… of its messages")
        assert watch.wait(30) == 2


def test_a_stream_is_printed_message_by_message_until_it_is_deleted(rider: Rider) -> None:
    name = f"watched-{rider.account.user_id}"
    path = f"/api/streams/{name}"
    rider.client.post("/api/streams/create", json={"streamName": name})
    with watching(rider, STREAM=name) as watch:
        line_with(watch, f"connected: {name}")
        rider.client.post(f"{path}/messages", json={"message": "[not markup]", "author": "Eva"})
        assert "Eva  [not markup]" in line_with(watch, "markup")
        rider.client.delete(path)
        line_with(watch, f"stream_deleted: {name}")
        assert watch.wait(30) == 0
