"""A ride by the client that openapi-python-client makes."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta

from tracker import AuthenticatedClient
from tracker.api.telemetry import get_telemetry, upload_telemetry
from tracker.api.workouts import complete_workout, create_workout, get_workout, list_workouts
from tracker.models import (
    Batch,
    CreateWorkout,
    Order,
    Receipt,
    Sample,
    Sort,
    Summary,
    Telemetry,
    TelemetryFormat,
    WorkoutAnswer,
    WorkoutChange,
    WorkoutList,
)

START = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
SECONDS = 120
WATTS = 200.0


def samples() -> list[Sample]:
    """Two minutes at the same power."""
    moments = (START + timedelta(seconds=second) for second in range(SECONDS))
    return [Sample(timestamp=moment, power=WATTS, heartrate=140.0) for moment in moments]


def main() -> None:
    """Create, upload, complete; read the figures, the samples and the list."""
    client = AuthenticatedClient(os.environ["URL"], os.environ["API_KEY"])
    created = create_workout.sync(client=client, body=CreateWorkout(title="Evening ride"))
    assert isinstance(created, WorkoutChange)
    ride = created.workout.id
    sent = upload_telemetry.sync(ride, client=client, body=Batch(samples=samples()))
    assert isinstance(sent, Receipt)
    complete_workout.sync(ride, client=client, wait=30.0)
    read = get_workout.sync(ride, client=client)
    assert isinstance(read, WorkoutAnswer)
    assert isinstance(read.workout.summary, Summary)
    rows = get_telemetry.sync(ride, client=client)
    columns = get_telemetry.sync(ride, client=client, format_=TelemetryFormat.COLUMNS)
    assert isinstance(rows, Telemetry)
    assert isinstance(columns, Telemetry)
    assert rows.samples
    assert columns.columns
    assert columns.columns.power
    listed = list_workouts.sync(client=client, sort=Sort.STARTTIME, order=Order.DESC, limit=1)
    assert isinstance(listed, WorkoutList)
    answer = {
        "accepted": sent.accepted,
        "status": read.workout.status.value,
        "normalizedPower": read.workout.summary.normalized_power,
        "firstPower": rows.samples[0].power,
        "columnOfPower": len(columns.columns.power),
        "listed": [each.id == ride for each in listed.workouts],
    }
    sys.stdout.write(json.dumps(answer))


main()
