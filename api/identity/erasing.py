"""What of a user Redis alone holds."""

from typing import Any
from uuid import UUID

from shared.connections import AsyncRedis
from shared.redis_keys import messages_channel, notes_key, stream_key, streams_key


async def erase_streams(client: AsyncRedis, user_id: UUID) -> None:
    """Delete the messages of the user's streams, and end who listens. Raises redis.RedisError.

    What another process takes until it has forgotten the user's keys goes by its age.
    """
    names: Any = await client.zrange(streams_key(user_id), 0, -1)
    streams = [stream_key(user_id, name.decode()) for name in names]
    await client.delete(streams_key(user_id), notes_key(user_id), *streams)
    for name in names:
        await client.publish(messages_channel(user_id), name)
