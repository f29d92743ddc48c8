"""A TCP proxy before a server, to cut and freeze what passes, and to drop replies."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from tests.hosts.host import HERE, Host

T = TypeVar("T")


class Proxy:
    """Listens on a port of 127.0.0.1 and forwards to a Unix socket, or another port of it.

    It does so from a thread of its own. It may listen on another host.
    """

    def __init__(self, target: str | int, host: Host = HERE) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._flowing = self._run(_new_event())
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._lose_after: bytes | None = None
        self._refusing = False
        self.lost = 0  # replies dropped so far
        self._server = self._run(asyncio.start_server(self._accept, sock=host.listen()))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def lead_to(self, target: str | int) -> None:
        """Forward to another server from now on, and break the connections to the one before."""
        self._target = target
        self.cut()

    def cut(self) -> None:
        """Break every connection there is; new ones are let through."""
        self._run(self._cut())

    def refuse(self) -> None:
        """Break every connection, and each new one at once, until ``restore``."""
        self._refusing = True
        self.cut()

    def freeze(self) -> None:
        """Let nothing pass until ``restore``, while every connection stays open."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def restore(self) -> None:
        """Let everything pass again."""
        self._refusing = False
        self._lose_after = None
        self._loop.call_soon_threadsafe(self._flowing.set)

    def lose_reply_to(self, command: bytes) -> None:
        """Once: pass on what contains ``command``, then break the connection for its reply."""
        self._lose_after = command

    def close(self) -> None:
        self.restore()
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.close()
            return
        try:
            server_reader, server_writer = await self._connect()
        except OSError:
            writer.close()
            return
        ends = {writer, server_writer}
        self._writers |= ends
        reply_lost = asyncio.Event()
        pumps = (
            self._pump_requests(reader, server_writer, reply_lost),
            self._pump_replies(server_reader, writer, reply_lost),
        )
        tasks = [asyncio.create_task(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for end in ends:
                end.close()
            self._writers -= ends

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, int):
            return await asyncio.open_connection("127.0.0.1", self._target)
        return await asyncio.open_unix_connection(self._target)

    async def _pump_requests(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        reply_lost: asyncio.Event,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                if self._lose_after and self._lose_after in data:
                    self._lose_after = None
                    reply_lost.set()
                writer.write(data)
                await writer.drain()

    async def _pump_replies(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        reply_lost: asyncio.Event,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                if reply_lost.is_set():
                    self.lost += 1
                    return  # the connection is closed, and the reply with it
                writer.write(data)
                await writer.drain()

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _shut(self) -> None:
        self._server.close()
        await self._cut()
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        await asyncio.sleep(0.01)  # aborted transports close their sockets in the next round

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


async def _new_event() -> asyncio.Event:
    return asyncio.Event()
