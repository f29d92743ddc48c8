"""What a simulation says of itself."""

import io
from typing import Any

from rich.console import Console

from ops.live.events import Event
from ops.simulation.contracts import Streams, Words
from ops.simulation.requests import Requests, Traffic, open_client
from ops.simulation.riders import make_riders
from ops.simulation.riding import Clock, Riding, Stage
from ops.simulation.table import Board, Result, show_result


def riding(traffic: Traffic, **members: Any) -> Riding:
    """Of a service that is never asked."""
    requests = Requests(open_client("http://127.0.0.1:1"), traffic, None)
    (rider,) = make_riders(1, seed=1)
    contract = Streams(requests, Words("Simulated", "road", "ride"))
    return Riding(rider, rider.ride(60, 0), contract, requests, traffic, **members)


def shown(what: Any) -> str:
    paper = io.StringIO()
    Console(file=paper, width=120).print(what)
    return paper.getvalue()


def said_of(*ridings: Riding) -> str:
    paper = io.StringIO()
    show_result(Console(file=paper, width=200), Result(ridings))
    return paper.getvalue()


def test_the_board_has_rates_riders_and_what_goes_unanswered() -> None:
    traffic = Traffic()
    one = riding(traffic, stage=Stage.RIDING, sent=42)
    one.watched.note(Event("samples", {"timestamp": [1000], "power": [210], "speed": [10]}, ""))
    one.watched.note(Event("summary", {"summary": {"normalizedPower": 187.4}}, ""))
    board = Board([one], traffic, Clock(speed=1), now=lambda: 107.0)
    board.look()
    traffic.waiting[object()] = 100.0
    traffic.trouble = "/api/x: 503: busy"
    board.look()
    for text in (shown(board), board.line()):
        assert "1 riding" in text
        assert "210 W" in text
        assert "187 W" in text
        assert "7.0 s" in text
        assert "/api/x: 503: busy" in text
    assert "36.0" in shown(board)  # km/h


def test_rates_are_over_the_last_seconds() -> None:
    board = Board([], Traffic(), Clock(speed=1))
    board.looks.extend([(100.0, 10, 100), (102.0, 20, 400)])
    assert board.rates() == (5.0, 150.0)


def test_a_complete_ride_that_lacks_samples_is_wrong() -> None:
    traffic = Traffic()
    good = riding(traffic, stage=Stage.COMPLETE, sent=60, stored=60)
    bad = riding(traffic, stage=Stage.COMPLETE, workout_id="w-1", sent=60, stored=59)
    assert Result([good]).wrong == []
    assert "1 of 1 rides complete: 60 samples sent, 60 stored: every sample" in said_of(good)
    assert Result([good, bad]).wrong == [bad]
    said = said_of(good, bad)
    assert "120 samples sent, 119 stored: NOT the same" in said
    assert "WRONG: endurance-001 w-1: 60 samples sent, 59 stored" in said


def test_rides_that_were_refused_or_left_are_named() -> None:
    traffic = Traffic()
    refused = riding(traffic, stage=Stage.REFUSED, refusal="POST /api/workouts: 409: too many")
    left = riding(traffic, stage=Stage.FINISHING, workout_id="w-2", sent=30)
    result = Result([refused, left])
    assert (result.wrong, result.left) == ([refused], [left])
    said = said_of(refused, left)
    assert "WRONG: endurance-001 : POST /api/workouts: 409: too many" in said
    assert "left: endurance-001 w-2: 30 samples sent" in said


def test_a_ride_is_due_as_its_clock_says() -> None:
    one = riding(Traffic())
    assert one.due(Clock(10, begin=100, now=lambda: 102.05)) == 21  # seconds 0 to 20
    assert one.due(Clock(10, begin=100, now=lambda: 160)) == 60
