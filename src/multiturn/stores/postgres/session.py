"""A connection, while a piece of work has it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy
    from asyncpg.transaction import Transaction

    from multiturn.stores.sealing import Seal

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Record: TypeAlias = asyncpg.Record
else:  # the driver may not be installed
    Connection = Record = Any

BY_WHOLE_TABLES = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
"""The planner's ways to read whole tables; off, except for sums."""


class Session:
    """A connection, and for whom it works: `$1` of every statement is the tenant, what is given follows from `$2`. What
    is no tenant's is asked of the `connection` itself."""

    __slots__ = ("connection", "seal", "tenant")

    def __init__(self, connection: Connection, seal: Seal, tenant: str) -> None:
        self.connection = connection
        self.seal = seal
        self.tenant = tenant

    def of(self, tenant: str) -> Session:
        """The same connection, for another tenant."""
        return Session(self.connection, self.seal, tenant)

    async def rows(self, statement: str, *values: Any) -> list[Record]:
        return await self.connection.fetch(statement, self.tenant, *values)

    async def row(self, statement: str, *values: Any) -> Record | None:
        return await self.connection.fetchrow(statement, self.tenant, *values)

    async def value(self, statement: str, *values: Any) -> Any:
        """The first column of the first row; None if there is no row."""
        return await self.connection.fetchval(statement, self.tenant, *values)

    async def column(self, statement: str, *values: Any) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in await self.connection.fetch(statement, self.tenant, *values)]

    async def run(self, statement: str, *values: Any) -> int:
        """Execute, and say how many rows it was."""
        outcome: str = await self.connection.execute(statement, self.tenant, *values)
        count = outcome.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def run_many(self, statement: str, many: Iterable[Sequence[Any]]) -> None:
        await self.connection.executemany(statement, [(self.tenant, *values) for values in many])

    def transaction(self) -> Transaction:
        return self.connection.transaction()

    @contextlib.asynccontextmanager
    async def sums(self) -> AsyncIterator[None]:
        """A transaction whose statements read whole tables, and may do it in the ways that suit this."""
        async with self.connection.transaction():
            for way in BY_WHOLE_TABLES:
                await self.connection.execute(f"SET LOCAL {way} = on")
            yield
