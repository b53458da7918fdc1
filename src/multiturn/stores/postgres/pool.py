"""Connections that are used again. Smaller than the driver's own pool, and without its round trip after each use."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from multiturn.errors import MultiturnError
from multiturn.stores.postgres.session import Connection

_IDLE_S = 300.0  # what was idle for longer may have been forgotten by something on the way
_CLOSE_S = 5.0
_PATIENCE_S = 5.0


class Pool:
    """At most so many connections at once, made when they are needed; the one used last is used next."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], most: int) -> None:
        self._connect = connect
        self._free = asyncio.Semaphore(most)
        self._idle: list[tuple[float, Connection]] = []  # since when
        self._lost_at = -math.inf

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection, to oneself. It is kept if the work on it ended well, or with an error of ours."""
        async with self._free:
            connection = self._take() or await self._connect()
            try:
                yield connection
            except MultiturnError:
                self._keep(connection)
                raise
            except BaseException:
                connection.terminate()
                raise
            self._keep(connection)

    def _take(self) -> Connection | None:
        while self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() - since > _IDLE_S:
                connection.terminate()
                self.drop()  # the others were idle for longer
            elif not connection.is_closed():
                return connection
            else:
                self._lost_at = time.monotonic()
        return None

    @property
    def patience_s(self) -> float:
        """For how long others who have lost their connections, as this pool has, are given time to come back; 0 where
        none was lost lately."""
        return max(0.0, self._lost_at + _PATIENCE_S - time.monotonic())

    def _keep(self, connection: Connection) -> None:
        self._idle.append((time.monotonic(), connection))

    def lost(self) -> None:
        """Let go of the idle ones: where one connection is lost, others are."""
        self._lost_at = time.monotonic()
        self.drop()

    def drop(self) -> None:
        """Let go of the idle ones."""
        for _, connection in self._idle:
            connection.terminate()
        self._idle.clear()

    async def close(self) -> None:
        """Say goodbye to the idle ones; nothing is in use any more."""
        while self._idle:
            await hang_up(self._idle.pop()[1])


async def hang_up(connection: Connection) -> None:
    """End a connection in good manners, if it still listens."""
    try:
        await connection.close(timeout=_CLOSE_S)
    except Exception:
        connection.terminate()
