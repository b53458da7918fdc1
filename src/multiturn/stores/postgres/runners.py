"""Who runs a turn, and whether that process still lives.

A store that runs turns holds the advisory lock of a random number, on a connection of its own. The server lets go of
the lock when the connection ends, however that comes, so whoever can take it knows that its holder is gone. Should the
connection be lost while the process lives on, as when the server restarts, later turns run under a new number.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from multiturn.errors import ConversationBusy, StoreError
from multiturn.stores.postgres.pool import hang_up

if TYPE_CHECKING:
    from multiturn.stores.postgres.session import Connection, Session
    from multiturn.stores.sealing import Seal

_KEEP = """
  INSERT INTO deltas (tenant, tree, branch, position, piece, body)
  SELECT $1, r.tree, r.branch, r.position, d.piece, d.body
  FROM unnest($2::text[], $3::bigint[], $4::bytea[], $5::bigint[]) AS d (turn, piece, body, runner),
    LATERAL (SELECT tree, conversation, branch, position FROM turns WHERE tenant = $1 AND id = d.turn OFFSET 0) t,
    LATERAL (
      SELECT tree, branch, position FROM running
      WHERE tenant = $1 AND tree = t.tree AND conversation = t.conversation AND branch = t.branch
        AND position = t.position AND runner = d.runner OFFSET 0 FOR KEY SHARE
    ) r
"""
"""A piece for a turn that runs. The lock on its row keeps whoever closes the turn from doing so in between; else what
a killed process has just sent would outlive the turn."""


class Mine:
    """A turn that this store runs: under which number, which of its attachments are stored already, and whether its
    end has come."""

    __slots__ = ("attached", "ended", "number")

    def __init__(self) -> None:
        self.number = 0
        self.attached: frozenset[str] = frozenset()
        self.ended = False


class Runner:
    """This store's own lock, taken when the first turn begins; and what the turns that it runs have streamed."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, seal: Seal, tenant: str) -> None:
        self._connect = connect
        self._seal = seal
        self._tenant = tenant
        self._connection: Connection | None = None
        self._number = 0
        self._taking: asyncio.Lock | None = None
        self._pieces: list[tuple[str, int, bytes, int]] = []
        self._count = 0
        self._keeping: asyncio.Task[None] | None = None
        self.turns: dict[str, Mine] = {}

    async def number(self) -> int:
        """The number under which this store counts as alive: until `close`, the process's end, or the loss of the
        connection."""
        await self._connected()
        return self._number

    def has_left(self, turn_id: str, number: int) -> bool:
        """Whether a turn is stored as running under this store's number and does not run here: its beginning or its
        end was reported as failed."""
        mine = self.turns.get(turn_id)
        return number == self._number and (mine is None or mine.ended)

    async def drop(self, number: int) -> None:
        """Give up a number whose lock is lost."""
        if number == self._number and self._connection is not None:
            connection, self._connection = self._connection, None
            connection.terminate()

    async def _connected(self) -> Connection:
        self._taking = self._taking or asyncio.Lock()
        async with self._taking:
            if self._connection is None or self._connection.is_closed():
                connection = await self._connect()
                number = secrets.randbits(63)
                if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", number):
                    connection.terminate()
                    raise StoreError("the advisory lock of a fresh random number is taken")
                self._connection, self._number = connection, number
            return self._connection

    # --- what is streamed ---------------------------------------------------------------------------------------

    async def keep(self, turn_id: str, body: bytes) -> None:
        """Write down a piece of what a turn has streamed, with all others that wait. A piece that cannot be written
        waits for the next."""
        self._count += 1
        self._pieces.append((turn_id, self._count, self._seal.seal(body, turn_id.encode()), self._number_of(turn_id)))
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.current_task()
            while self._pieces:
                await self._write()

    async def keep_durably(self, db: Session, turn_id: str, body: bytes) -> None:
        """Write down a piece such that it is on the disk, behind all that came before it. Raises `ConversationBusy` if
        another process took this one for dead and has closed the turn."""
        self._count += 1
        piece = self._seal.seal(body, turn_id.encode())
        if not await db.run(_KEEP, [turn_id], [self._count], [piece], [self._number_of(turn_id)]):
            raise ConversationBusy(turn_id)

    def _number_of(self, turn_id: str) -> int:
        mine = self.turns.get(turn_id)
        return mine.number if mine else 0

    async def _write(self) -> None:
        connection = await self._connected()
        pieces, self._pieces = self._pieces, []
        try:
            await connection.execute(_KEEP, self._tenant, *zip(*pieces, strict=True))
        except Exception:
            self._pieces = [piece for piece in pieces if piece[0] in self.turns] + self._pieces
            raise

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await hang_up(connection)
