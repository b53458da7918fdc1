"""Who runs a turn, and whether that process still lives.

A store that runs turns holds the advisory lock of a random number, on a connection of its own. The server lets go of
the lock when the connection ends, however that comes, so whoever can take it knows that its holder is gone. Should the
connection be lost while the process lives on, as when the server restarts, the lock is taken again at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from multiturn.errors import ConversationBusy, StoreError
from multiturn.stores.postgres.background import CHANNEL
from multiturn.stores.postgres.pool import hang_up

if TYPE_CHECKING:
    from multiturn.stores.postgres.session import Connection, Session
    from multiturn.stores.sealing import Seal

_Piece: TypeAlias = tuple[str, str, int, bytes, int]

_RETAKE_S, _RETAKE_EVERY_S = 10.0, 0.1

_KEEP = """
  INSERT INTO deltas (tenant, tree, branch, position, piece, body)
  SELECT d.tenant, r.tree, r.branch, r.position, d.piece, d.body
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bigint[]) AS d (tenant, turn, piece, body, runner),
    LATERAL (
      SELECT tree, conversation, branch, position FROM turns WHERE tenant = d.tenant AND id = d.turn OFFSET 0
    ) t,
    LATERAL (
      SELECT tree, branch, position FROM running
      WHERE tenant = d.tenant AND tree = t.tree AND conversation = t.conversation AND branch = t.branch
        AND position = t.position AND runner = d.runner OFFSET 0 FOR KEY SHARE
    ) r
  ON CONFLICT DO NOTHING
"""
"""A piece for a turn that runs. The lock on its row keeps whoever closes the turn, or takes it over, from doing so in
between; else what a killed process has just sent would outlive the turn. One that is there already was written just
before the connection was lost."""
_KEPT = f"""
  WITH kept AS ({_KEEP} RETURNING 1)
  SELECT count(*), (SELECT count(pg_notify($6, id)::text) FROM unnest($7::text[]) AS id) FROM kept
"""
"""The same; how many were written. Whoever follows the last turns is told."""


class Mine:
    """A turn that this store runs: under which number, whether in the background, which of its attachments are stored
    already, how many pieces it has streamed, and whether its end has come."""

    __slots__ = ("attached", "background", "ended", "number", "pieces")

    def __init__(self, *, background: bool = False) -> None:
        self.number = 0
        self.background = background
        self.attached: frozenset[str] = frozenset()
        self.pieces = 0
        self.ended = False


class Runner:
    """This store's own lock, taken when the first turn begins; and what the turns that it runs have streamed."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, seal: Seal) -> None:
        self._connect = connect
        self._seal = seal
        self._connection: Connection | None = None
        self._number = 0
        self._taking: asyncio.Lock | None = None
        self._pieces: list[_Piece] = []
        self._keeping: asyncio.Task[None] | None = None
        self._retaking: asyncio.Task[None] | None = None
        self.closing = False
        self.turns: dict[tuple[str, str], Mine] = {}  # by tenant and id

    async def number(self) -> int:
        """The number under which this store counts as alive: until `close`, or the process's end. Where the connection
        is lost, there are moments in which it does not."""
        await self._connected()
        return self._number

    def has_left(self, tenant: str, turn_id: str, number: int) -> bool:
        """Whether a turn is stored as running under this store's number and does not run here: its beginning or its
        end was reported as failed."""
        mine = self.turns.get((tenant, turn_id))
        return number == self._number and (mine is None or mine.ended)

    def runs(self, tenant: str, turn_id: str, number: int) -> bool:
        """Whether a turn that is stored as running under this number runs here."""
        mine = self.turns.get((tenant, turn_id))
        return mine is not None and mine.number == number and not mine.ended

    async def drop(self, number: int) -> None:
        """Give up a connection that does not hold the lock any more; the next one takes it again."""
        if number == self._number and self._connection is not None:
            connection, self._connection = self._connection, None
            connection.terminate()

    async def _connected(self) -> Connection:
        self._taking = self._taking or asyncio.Lock()
        async with self._taking:
            if self._connection is None or self._connection.is_closed():
                connection = await self._connect()
                try:
                    self._number = await _locked(connection, self._number)
                except BaseException:
                    connection.terminate()
                    raise
                connection.add_termination_listener(self._lost)
                self._connection = connection
            return self._connection

    def _lost(self, connection: Connection) -> None:
        if connection is self._connection and self.turns:
            self._retaking = asyncio.create_task(self._retake())

    async def _retake(self) -> None:
        """Take the lock again, before others come to think that the turns that run here have no runner."""
        deadline = time.monotonic() + _RETAKE_S
        while self.turns and not self.closing and time.monotonic() < deadline:
            with contextlib.suppress(Exception):  # the server is not back yet
                await self._connected()
                return
            await asyncio.sleep(_RETAKE_EVERY_S)

    # --- what is streamed ---------------------------------------------------------------------------------------

    async def keep(self, tenant: str, turn_id: str, body: bytes) -> None:
        """Write down a piece of what a turn has streamed, with all others that wait. A piece that cannot be written
        waits for the next."""
        self._pieces.append(self._piece(tenant, turn_id, body))
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.current_task()
            await self._write_all()

    async def written(self) -> None:
        """Come back when what was to be kept by now is written, or cannot be."""
        for _ in range(2):  # what is under way, and what has failed before
            if self._keeping is None or self._keeping.done():
                if not self._pieces:
                    return
                self._keeping = asyncio.create_task(self._write_all())
            await asyncio.wait({self._keeping})
            self._keeping.exception()  # looked at, so that nobody is warned of it

    async def _write_all(self) -> None:
        while self._pieces:
            await self._write()

    async def keep_durably(self, db: Session, turn_id: str, body: bytes) -> None:
        """Write down a piece such that it is on the disk, behind all that came before it. Raises `ConversationBusy` if
        another process took this one for dead and has closed the turn."""
        piece = self._piece(db.tenant, turn_id, body)
        if not await db.connection.fetchval(_KEPT, *zip(piece, strict=True), CHANNEL, self._followed([piece])):
            raise ConversationBusy(turn_id)

    def _piece(self, tenant: str, turn_id: str, body: bytes) -> _Piece:
        """The values of `_KEEP`."""
        mine = self.turns.get((tenant, turn_id)) or Mine()
        mine.pieces += 1
        return tenant, turn_id, mine.pieces - 1, self._seal.seal(body, turn_id.encode()), mine.number

    def _followed(self, pieces: Iterable[_Piece]) -> list[str]:
        """The ids of the turns of these pieces that others may follow."""
        return list({id for tenant, id, *_ in pieces if (mine := self.turns.get((tenant, id))) and mine.background})

    async def _write(self) -> None:
        connection = await self._connected()
        pieces, self._pieces = self._pieces, []
        try:
            values = list(zip(*pieces, strict=True))
            if followed := self._followed(pieces):
                await connection.fetchval(_KEPT, *values, CHANNEL, followed)
            else:
                await connection.execute(_KEEP, *values)
        except Exception:
            self._pieces = [piece for piece in pieces if piece[:2] in self.turns] + self._pieces
            raise

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await hang_up(connection)


async def _locked(connection: Connection, number: int) -> int:
    """The number whose lock this connection holds now: this one, or a new one for 0. Where the server has not noticed
    yet that the connection before is lost, that one's session is ended."""
    wanted = number or secrets.randbits(63)
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", wanted):
        if not number:
            raise StoreError("the advisory lock of a fresh random number is taken")
        await connection.execute(_END_HOLDER, number)
        await connection.execute("SELECT pg_advisory_lock($1)", number)
    return wanted


_END_HOLDER = """
  SELECT pg_terminate_backend(pid) FROM pg_locks
  WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND mode = 'ExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) | objid::bigint = $1
"""
