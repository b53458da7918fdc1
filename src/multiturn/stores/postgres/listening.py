"""How followers hear, in this process, of what is written anywhere: one connection that listens for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from multiturn.stores.postgres.background import CHANNEL
from multiturn.stores.postgres.pool import hang_up

if TYPE_CHECKING:
    from multiturn.stores.postgres.session import Connection


class Listener:
    """Listens from the first `ready` on, and calls `tell` with the id of each turn of which there is news. Where the
    connection is lost, followers go without until the next `ready`."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], tell: Callable[[str], None]) -> None:
        self._connect = connect
        self._tell = tell
        self._connection: Connection | None = None
        self._connecting: asyncio.Lock | None = None

    async def ready(self) -> None:
        """Listen from now on, if that can be: who cannot connect for this looks now and then instead."""
        if self._connection is not None and not self._connection.is_closed():
            return
        self._connecting = self._connecting or asyncio.Lock()
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                with contextlib.suppress(Exception):
                    connection = await self._connect()
                    await connection.add_listener(CHANNEL, self._heard)
                    self._connection = connection

    def _heard(self, connection: object, process: int, channel: str, turn_id: object) -> None:
        self._tell(str(turn_id))

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await hang_up(connection)
