"""What a name stands for, asked in a thread of its own: a slow name server holds up nobody else."""

import asyncio
import socket
from contextlib import suppress
from threading import Thread


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order in which to try them. Raises OSError."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(addresses: list[str], error: OSError | None) -> None:
        if answer.done():  # nobody waits any more
            return
        if error:
            answer.set_exception(error)
        else:
            answer.set_result(addresses)

    def look() -> None:
        addresses, problem = list[str](), None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        except UnicodeError:  # a label of it is empty or too long
            problem = OSError("is no name")
        except OSError as error:
            problem = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, addresses, problem)

    # No pool: its threads would be waited for when the process ends, and run out while names hang.
    Thread(target=look, name="resolver", daemon=True).start()
    return await answer
