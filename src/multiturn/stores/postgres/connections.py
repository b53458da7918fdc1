"""The connections of one store: a pool for work, and errors that say what happened in our own words.

The only module that knows the driver, asyncpg, by name.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

import asyncpg

from multiturn.errors import InvalidInput, MultiturnError, StoreError
from multiturn.stores.following import Followers
from multiturn.stores.postgres import notes, reading
from multiturn.stores.postgres.addresses import Address
from multiturn.stores.postgres.listening import Listener
from multiturn.stores.postgres.locks import recover
from multiturn.stores.postgres.pool import Pool
from multiturn.stores.postgres.runners import Runner
from multiturn.stores.postgres.schema import migrate
from multiturn.stores.postgres.session import BY_WHOLE_TABLES, Connection, Session
from multiturn.stores.postgres.worker import Worker
from multiturn.stores.sealing import Seal

T = TypeVar("T")
Work = Callable[[Session], Awaitable[T]]

_CONNECT_S = 10.0
_STATEMENT_S = 120.0  # how long a server may be silent before it counts as lost
_ATTEMPTS = 3  # where the server undid one of several that stood in each other's way

# A statement is planned once for a connection, often while the tables are small; the plan has to do when they are not.
# So everything goes by the keys; `session.Session.sums` is for what reads whole tables.
_SETTINGS = {"application_name": "multiturn", "jit": "off", "work_mem": "32MB"} | dict.fromkeys(BY_WHOLE_TABLES, "off")
# The runner's own connection: how soon a machine that has fallen silent counts as gone, about half a minute; and what
# is streamed need outlive a process, not a power loss.
_RUNNER_SETTINGS = {
    "synchronous_commit": "off",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

_Lost = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_Undone = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_Unfit = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)  # a value that cannot be stored


class Connections:
    """Work on connections, from any thread. Nothing is connected before the first."""

    def __init__(self, address: Address, *, seal: Seal, most: int) -> None:
        self._address = address
        self._seal = seal
        self._most = most
        self._worker = Worker("multiturn-postgres")
        self._pool: Pool | None = None
        self._opening: asyncio.Lock | None = None
        self._notes: dict[tuple[str, bytes], str] = {}  # turns to be found, by tenant and digest
        self._noting = False
        self.runner = Runner(self._connect_runner, seal=seal)
        self.followers = Followers()
        self.listener = Listener(self._connect, self.followers.wake)

    @property
    def closed(self) -> bool:
        return self._worker.closed

    def submit(self, work: Work[T], tenant: str, *, again: bool = False) -> Future[T]:
        """The future of what work gives, done for a tenant. Where the connection is lost, work runs once more on a
        fresh one if `again`; it must not matter then whether the first was done. Raises `StoreError` for all that the
        driver raises."""
        return self._worker.submit(self._run(work, tenant, again))

    def submit_drafts(self, tenant: str, turn_id: str, body: bytes) -> None:
        """Keep what a turn has streamed, soon."""
        self._worker.submit(self._keep(tenant, turn_id, body)).add_done_callback(_look_away)

    def submit_note(self, tenant: str, turn_id: str, digest: bytes) -> None:
        """Let a turn be found by a digest, soon."""
        self._worker.submit(self._note(tenant, turn_id, digest)).add_done_callback(_look_away)

    def close(self) -> None:
        """Finish what was submitted and let go of everything. Closing twice is fine."""
        self.runner.closing = True
        self._worker.close(self._end())

    async def _run(self, work: Work[T], tenant: str, again: bool) -> T:
        undone = 0
        while True:
            try:
                pool = await self._opened()
                async with pool.connection() as connection:
                    return await work(Session(connection, self._seal, tenant))
            except _Undone as error:
                undone += 1
                if undone == _ATTEMPTS:
                    raise self._translated(error) from error
            except _Lost as error:
                if self._pool is not None:
                    self._pool.lost()
                if not again:
                    raise self._translated(error) from self._cause(error)
                again = False
            except asyncpg.PostgresError as error:
                raise self._translated(error) from self._cause(error)

    async def _keep(self, tenant: str, turn_id: str, body: bytes) -> None:
        await self._opened()
        await self.runner.keep(tenant, turn_id, body)

    async def _note(self, tenant: str, turn_id: str, digest: bytes) -> None:
        """What comes while a note is written is written together."""
        self._notes[tenant, digest] = turn_id
        if self._noting:
            return
        self._noting = True
        try:
            while self._notes:
                waiting, self._notes = self._notes, {}
                await self._run(functools.partial(notes.note, notes=waiting), tenant, again=True)
        finally:
            self._noting = False

    # --- opening and closing ------------------------------------------------------------------------------------

    async def _opened(self) -> Pool:
        if self._pool is not None:
            return self._pool
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if self._pool is None:
                self._pool = await self._open()
        return self._pool

    async def _open(self) -> Pool:
        pool = Pool(self._connect_ready, self._most)
        try:
            async with pool.connection() as first:
                await migrate(first, self._address.schema)
                await recover(Session(first, self._seal, ""), self.runner)
                await reading.warm(Session(first, self._seal, ""))
        except BaseException:
            pool.drop()
            raise
        return pool

    async def _connect(self, **settings: str) -> Connection:
        return await asyncpg.connect(
            self._address.url,
            timeout=_CONNECT_S,
            command_timeout=_STATEMENT_S,
            server_settings=_SETTINGS | {"search_path": self._address.schema} | settings,
        )

    async def _connect_ready(self) -> Connection:
        """A connection on which even the first path is read fast; to the first one of all, `_open` sees."""
        connection = await self._connect()
        if self._pool is not None:
            if patience_s := self._pool.patience_s:
                until = str(time.time() + patience_s)
                await connection.execute("SELECT set_config('multiturn.patient_until', $1, false)", until)
            await reading.warm(Session(connection, self._seal, ""))
        return connection

    async def _connect_runner(self) -> Connection:
        return await self._connect(**_RUNNER_SETTINGS)

    async def _end(self) -> None:
        await self.runner.close()
        await self.listener.close()
        if self._pool is not None:
            await self._pool.close()
        await asyncio.sleep(0)  # transports close on the loop's next round

    # --- errors -------------------------------------------------------------------------------------------------

    def _translated(self, error: Exception) -> MultiturnError:
        said = self._address.without_secrets(str(error)) or type(error).__name__
        if isinstance(error, _Unfit):
            return InvalidInput(f"PostgreSQL cannot keep this: {said}")
        return StoreError(f"the PostgreSQL store {self._address.shown} failed: {said}")

    def _cause(self, error: Exception) -> Exception | None:
        """The original, unless it gives the password away."""
        return error if self._address.without_secrets(str(error)) == str(error) else None


def _look_away(done: Future[None]) -> None:
    """Have nobody warned of an error that nobody waits for."""
    if not done.cancelled():
        done.exception()
