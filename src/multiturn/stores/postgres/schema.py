"""Opening a PostgreSQL database: its migrations, and the refusal of what is not ours."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from multiturn.errors import SchemaTooNew

if TYPE_CHECKING:
    from multiturn.stores.postgres.session import Connection

_LOCK = 0x6D756C7469747572  # "multitur": one process at a time migrates


async def migrate(connection: Connection, schema: str) -> None:
    """Bring the schema up to date, creating it if there is none. Raises `SchemaTooNew` where a newer multiturn wrote
    it. Asks for no right to change anything where there is nothing to do."""
    steps = _migrations()
    if await _version(connection, schema, len(steps)) == len(steps):
        return
    await connection.execute(
        "SELECT pg_advisory_lock($1)", _LOCK
    )  # before the transaction, which then sees the outcome
    try:
        async with connection.transaction():
            await _apply(connection, schema, steps)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def _apply(connection: Connection, schema: str, steps: list[str]) -> None:
    version = await _version(connection, schema, len(steps))  # again, now that no other process can change it
    if version is None:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}")
        await connection.execute("CREATE TABLE schema_version (version integer NOT NULL)")
        await connection.execute("INSERT INTO schema_version VALUES (0)")
    for step in steps[version or 0 :]:
        await connection.execute(step)
    await connection.execute("UPDATE schema_version SET version = $1", len(steps))


async def _version(connection: Connection, schema: str, known: int) -> int | None:
    """The schema's version; None before the first migration."""
    table = f"{_quoted(schema)}.schema_version"
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return None
    version = int(await connection.fetchval(f"SELECT version FROM {table}"))
    if version > known:
        raise SchemaTooNew(
            f"the schema {schema!r} has version {version}, this multiturn knows {known}; upgrade multiturn to read it"
        )
    return version


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _migrations() -> list[str]:
    folder = resources.files("multiturn.stores.postgres.migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in files]
