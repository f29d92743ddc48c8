"""Every Redis key, and the one channel.

| key                  | type    | meaning                                                       |
|----------------------|---------|---------------------------------------------------------------|
| ``{w:ID}:samples``   | stream  | batches not yet folded; field ``b``: see stream_codec         |
| ``{w:ID}:sealed``    | string  | the ride is over (``completed``) or gone (``deleted``)        |
| ``quota:KEY:MINUTE`` | number  | samples that a key has uploaded in a minute                   |
| ``sign-in:STATE``    | string  | somebody sent to an OpenID provider, and not yet back         |
| ``throttle:…``       | lists   | attempts to log in or register, by the library limits    |
| ``failing``          | zset    | subjects whose jobs fail, by when they first did: see breaker |
| ``folded``           | zset    | subjects whose jobs succeeded lately, by when: see breaker    |
| ``events``           | stream  | what to do: ``kind`` and more; consumer group ``workers``     |
| ``announcements``    | channel | what has happened: see events.Announcement                    |

The keys of one workout share a hash tag, so that nodes could share workouts
out; no client does so yet.
"""

from functools import lru_cache
from typing import Final
from uuid import UUID

EVENTS: Final = "events"
GROUP: Final = "workers"
FAILING: Final = "failing"
SUCCEEDED: Final = "folded"  # named when folds were the only jobs; older workers still read it
ANNOUNCEMENTS: Final = "announcements"
BATCH_FIELD: Final = b"b"
SEALED_COMPLETED: Final = b"completed"
SEALED_DELETED: Final = b"deleted"
# Seconds. A seal must outlive every API process's memory of the workout as unfinished.
SEALED_FOR: Final = 24 * 3600
_MANY_RIDES: Final = 100_000


@lru_cache(_MANY_RIDES)
def samples_key(workout_id: UUID) -> str:
    """The stream of a workout's unfolded batches."""
    return f"{{w:{workout_id}}}:samples"


@lru_cache(_MANY_RIDES)
def sealed_key(workout_id: UUID) -> str:
    """Set once a workout is over: from then on each upload asks for a fold."""
    return f"{{w:{workout_id}}}:sealed"


def quota_key(key_id: str, minute: int) -> str:
    """The count of a key's samples in a minute since the epoch."""
    return f"quota:{key_id}:{minute}"


def workout_of(key: str) -> UUID:
    """The workout that a ``samples_key`` belongs to."""
    return UUID(key[3 : key.index("}")])
