"""From a host's name to a connection: its addresses, and the first of them that takes one (RFC 8305).

asyncio can do the same if asked to, uvloop cannot: it tries the next address only when the one before has failed, and
where a network lets packets vanish that takes minutes.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Sequence
from typing import TypeAlias

from multiturn.models.wire import Connection

NEXT_ADDRESS_S = 0.25  # how long one address is tried alone; RFC 8305, section 5

Address: TypeAlias = tuple[str, int]
Make: TypeAlias = Callable[[], Connection]


async def connected(host: str, port: int, make: Make) -> Connection:
    """A connection, as `make` makes it, to that host. Raises `socket.gaierror` where it has no address, and another
    `OSError`, the last address's, where none of them takes a connection."""
    addresses = await _addresses(host, port)
    return await _attempt(addresses[0], make) if len(addresses) == 1 else await _first(addresses, make)


async def _addresses(host: str, port: int) -> list[Address]:
    """The host's addresses, its IPv6 and its IPv4 ones in turn."""
    name = host.encode()  # a str would go through a codec that has errors of its own
    try:  # an address need not be looked up, which takes a thread
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return _mixed([(family, (str(place[0]), port)) for family, _, _, _, place in found])


def _mixed(found: Sequence[tuple[int, Address]]) -> list[Address]:
    """The addresses in their order, but the families in turn."""
    families = [[address for each, address in found if each == family] for family in dict(found)]
    turns = itertools.zip_longest(*families)
    return [address for turn in turns for address in turn if address is not None]


async def _attempt(address: Address, make: Make) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(make, *address)
    return connection


async def _first(addresses: Sequence[Address], make: Make) -> Connection:
    """The first connection that is made: each address is tried when the one before has failed, or taken too long."""
    attempts: list[asyncio.Task[Connection]] = []
    won: asyncio.Task[Connection] | None = None
    try:
        while won is None:
            running = [attempt for attempt in attempts if not attempt.done()]
            if len(attempts) < len(addresses):
                attempts.append(asyncio.create_task(_attempt(addresses[len(attempts)], make)))
                running.append(attempts[-1])
            elif not running:
                return attempts[-1].result()  # its error
            wait_s = NEXT_ADDRESS_S if len(attempts) < len(addresses) else None
            done, _ = await asyncio.wait(running, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            won = next((attempt for attempt in done if attempt.exception() is None), None)
        return won.result()
    finally:
        for attempt in attempts:
            if attempt is not won:
                attempt.cancel()
                attempt.add_done_callback(_discard)


def _discard(attempt: asyncio.Task[Connection]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().abort()
