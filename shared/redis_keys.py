"""Every Redis key, and the channels.

| key                  | type    | meaning                                                       |
|----------------------|---------|---------------------------------------------------------------|
| ``{w:ID}:samples``   | stream  | batches not yet folded; field ``b``: see stream_codec         |
| ``{w:ID}:sealed``    | string  | the ride is over (``completed``) or gone (``deleted``)        |
| ``{w:ID}:size``      | number  | samples of a ride, archived or waiting; only of large rides   |
| ``quota:USER:MINUTE``| number  | samples that a user has uploaded in a minute, by all keys     |
| ``waiting:USER``     | set     | streams in which batches of a user wait, or have waited       |
| ``sign-in:STATE``    | string  | somebody sent to an OpenID provider, and not yet back         |
| ``throttle:…``       | string  | when somebody has tried to log in, to register or the like    |
| ``epoch``            | string  | the run of Redis and what is random; another one says that    |
|                      |         | Redis was emptied or replaced. In a cluster, of each node:    |
| ``epoch:NUMBER``     | string  | the least number whose slot it has                            |
| ``rewritten``        | string  | the run of Redis that has written its file anew: see Sweeper; |
|                      |         | in a cluster ``{events}:rewritten:NODE``                      |
| ``probe``            | string  | written by each look whether Redis takes samples; in a        |
|                      |         | cluster ``probe:NUMBER``, one for each node                   |
| ``{events}:alive:…`` | string  | that worker lives, what it is at: see monitoring.workers      |
| ``{events}:failing`` | zset    | subjects whose jobs fail, by when they first did: see breaker |
| ``{events}:folded``  | zset    | subjects whose jobs succeeded lately, by when: see breaker    |
| ``{w:ID}:asked:…``   | string  | an event of that queue asks for the ride's fold already, or   |
|                      |         | for the import of the file of that id                         |
| ``{w:ID}:slow``      | string  | the file of that id is slow: it is read under the lock below  |
| ``{events}:slow``    | string  | a slow file is being read: the lock of its worker             |
| ``{w:ID}:resting``   | string  | the ride was folded just now; late samples wait until it ends |
| ``measured:ID``      | string  | the figures of a part of a ride, for who asked for them       |
| ``{events}:watched`` | zset    | rides that somebody watches, by until when (ms): see api.live |
| ``{w:ID}:figures``   | stream  | the running figures of a watched ride: the newest, field ``f``|
| ``{w:ID}:computed``  | string  | those were computed just now, or are being computed           |
| ``{u:ID}:stream:…``  | stream  | the last messages of a user's stream of that name: api.clients |
| ``{u:ID}:streams``   | zset    | the names of a user's streams, by when last sent to (ms)      |
| ``{u:ID}:notes``     | hash    | what is known of them: see api.clients.log                    |
| ``{u:ID}:wrote``     | string  | rows of the user were written just now: see shared.replicas   |
| ``messages:ID``      | channel | what happens in a user's streams                              |
| ``{events}:due``     | zset    | rides that are over and have late samples, by when to fold    |
| ``events``           | stream  | what to do: ``kind`` and more; consumer group ``workers``     |
| ``{events}:…``       | streams | the same, for what nobody waits for: see Queue                |
| ``announcements``    | channel | what has happened: see events.Announcement                    |

Nothing is written by MULTI, and no script writes more than once: Redis would log those writes as a
block, and of one that a loss of power has cut off some versions keep the beginning, after which all
that is written is lost by the next restart (valkey pull request 4342). XREADGROUP is logged as a
block by itself; so the sweeper has the file written anew after each restart.

In a cluster the nodes share workouts and users out: keys with the same hash tag are on one of them,
and no command names keys of two. The streams of events share one, as they are read together; and
with them what no worker can do without, so that no other node need answer for them to go on.
"""

from enum import StrEnum
from functools import lru_cache
from typing import Final
from uuid import UUID

DUE: Final = "{events}:due"
EPOCH: Final = "epoch"
REWRITTEN: Final = "rewritten"
WATCHED: Final = "{events}:watched"
PROBE: Final = "probe"
GROUP: Final = "workers"
FAILING: Final = "{events}:failing"
SUCCEEDED: Final = "{events}:folded"
ANNOUNCEMENTS: Final = "announcements"
SLOW_FILE: Final = "{events}:slow"
BATCH_FIELD: Final = b"b"
FIGURES_FIELD: Final = b"f"
SEALED_COMPLETED: Final = b"completed"
SEALED_DELETED: Final = b"deleted"
# Seconds. A seal must outlive every API process's memory of the workout as unfinished.
SEALED_FOR: Final = 24 * 3600
# Seconds after which an event that was asked for counts as lost.
ASKED_FOR: Final = 15
# The longest stream, in events; work that a row also records waits beyond it.
SHORT: Final = 8
# Events up to which the API adds its own: the rest of a stream is for those whose turn it is.
UNASKED: Final = SHORT // 2
# Seconds, from the last upload on.
SIZE_KEPT_FOR: Final = 24 * 3600
WAITING_KEPT_FOR: Final = 24 * 3600
# Seconds. What a replica shows may be ten seconds old at most, READ_LAG_LIMIT, so it has the rows
# by then; the same for all processes, whatever their settings.
WROTE_FOR: Final = 15
SLOW_KEPT_FOR: Final = 24 * 3600
_MANY_RIDES: Final = 100_000
# The streams of events before they shared a slot; what was in them, rows and the sweeper ask for.
FORMER_QUEUES: Final = ("events:checkpoints", "events:imports", "events:recomputes")
# Other keys before they shared it. Rides in the former set of those due are moved to the present
# one; what else there was, workers and viewers say again.
FORMER_DUE: Final = "due"
FORMER_KEYS: Final = ("watched", "failing", "folded")


class Queue(StrEnum):
    """The streams of events, in the order in which workers read them, the most urgent first."""

    PROMPT = "events"  # someone waits for these; older versions know this stream alone
    CHECKPOINTS = "{events}:checkpoints"  # these free memory of Redis, and update a ride under way
    IMPORTS = "{events}:imports"  # files; a person may wait, but knows that there are many
    RECOMPUTES = "{events}:recomputes"  # no one waits


@lru_cache(_MANY_RIDES)
def samples_key(workout_id: UUID) -> str:
    """The stream of a workout's unfolded batches."""
    return f"{{w:{workout_id}}}:samples"


@lru_cache(_MANY_RIDES)
def sealed_key(workout_id: UUID) -> str:
    """Set once a workout is over: from then on each upload asks for a fold."""
    return f"{{w:{workout_id}}}:sealed"


def epoch_key(number: int) -> str:
    """What tells of a loss at one node of a cluster."""
    return f"{EPOCH}:{number}"


def probe_key(number: int) -> str:
    """What is written to see whether a node of a cluster takes samples."""
    return f"{PROBE}:{number}"


def rewritten_key(server: str) -> str:
    """Which run of a server was last asked to write its file anew; of the only one without a name.

    Not that server itself has the key, but the one that workers need anyway.
    """
    return f"{{events}}:{REWRITTEN}:{server}" if server else REWRITTEN


def alive_key(consumer: str) -> str:
    """Set, for a while each time, by a worker that lives."""
    return f"{{events}}:alive:{consumer}"


def asked_key(subject: UUID, queue: Queue) -> str:
    """Set while an event of the queue asks for the workout's fold; a fold clears it, then reads.

    Likewise for the import of an upload.
    """
    return f"{{w:{subject}}}:asked:{queue.name.lower()}"


def slow_key(upload_id: UUID) -> str:
    """Set once reading the file took long."""
    return f"{{w:{upload_id}}}:slow"


def resting_key(workout_id: UUID) -> str:
    """Set for a while after the fold of a ride that is over."""
    return f"{{w:{workout_id}}}:resting"


def figures_key(workout_id: UUID) -> str:
    """The stream of a watched ride's running figures, of which only the newest are kept."""
    return f"{{w:{workout_id}}}:figures"


def computed_key(workout_id: UUID) -> str:
    """Set while the running figures of a ride are new enough, or a worker computes them."""
    return f"{{w:{workout_id}}}:computed"


def size_key(workout_id: UUID) -> str:
    """The count of a workout's samples."""
    return f"{{w:{workout_id}}}:size"


def measured_key(answer_id: UUID) -> str:
    """The answer to a request for figures."""
    return f"measured:{answer_id}"


def waiting_key(user_id: UUID) -> str:
    """The names of the streams in which a user's batches wait."""
    return f"waiting:{user_id}"


def stream_key(user_id: UUID, name: str) -> str:
    """The messages of a user's stream."""
    return f"{{u:{user_id}}}:stream:{name}"


def streams_key(user_id: UUID) -> str:
    """The names of a user's streams."""
    return f"{{u:{user_id}}}:streams"


def notes_key(user_id: UUID) -> str:
    """What is known of a user's streams."""
    return f"{{u:{user_id}}}:notes"


def wrote_key(user_id: UUID) -> str:
    """Set for a while after rows of the user were written."""
    return f"{{u:{user_id}}}:wrote"


def messages_channel(user_id: UUID) -> str:
    """The channel on which is said what happens in a user's streams."""
    return f"messages:{user_id}"


def quota_key(user_id: UUID, minute: int) -> str:
    """The count of a user's samples in a minute since the epoch."""
    return f"quota:{user_id}:{minute}"


def workout_of(key: str) -> UUID:
    """The workout that a ``samples_key`` belongs to."""
    return UUID(key[3 : key.index("}")])
