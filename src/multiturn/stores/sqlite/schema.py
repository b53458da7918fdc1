"""Opening a SQLite file: its settings, its migrations, and the refusal of what is not ours."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from multiturn.errors import SchemaTooNew, StoreError

T = TypeVar("T")

_BUSY_S = 60.0  # how long SQLite itself waits for another process's transaction
_PATIENCE_S = 600.0  # how long we go on asking
_CACHE_KB = 8192
_CHECKPOINT_PAGES = 4000  # a busy page is then written to the file once for many turns
_PAGE_BYTES = 8192  # a turn of a page or two of text shares it with others


class Connection(sqlite3.Connection):
    """A connection, and the keys of the names that it has found among the texts; names stay where they are."""

    def __init__(self, *settings: Any, **more: Any) -> None:
        super().__init__(*settings, **more)
        self.names: dict[str, int] = {}

    def undo(self, statement: str) -> None:
        """Roll back, if SQLite has not done so itself. What was found may have been written just now."""
        self.names.clear()
        if self.in_transaction:
            self.execute(statement)


def connect(database: Path | None) -> Connection:
    """A connection to the file, migrated to the newest schema; to a new database in memory for None.

    Raises `StoreError` where the file cannot be opened or is not a database, `SchemaTooNew` where a newer multiturn
    wrote it.
    """
    target = ":memory:" if database is None else str(database)
    try:
        connection = Connection(target, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(f"cannot open the store {target}: {error}; does its folder exist?") from error
    try:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # these two count for a new file only
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute("PRAGMA secure_delete = FAST")  # what is deleted is overwritten, where that costs no writing
        patiently(lambda: _migrate(connection, target))
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"cannot use {target} as a store: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, target: str) -> None:
    steps = _migrations()
    if _version(connection) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # again, now that no other process can change it
        if version > len(steps):
            raise SchemaTooNew(
                f"{target} has schema {version}, this multiturn knows {len(steps)}; upgrade multiturn to read it"
            )
        for number in range(version, len(steps)):
            for statement in _statements(steps[number]):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _migrations() -> list[str]:
    folder = resources.files("multiturn.stores.sqlite.migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in files]


def _statements(script: str) -> list[str]:
    """The script's statements; `executescript` would commit the transaction that they run in."""
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def give_back(connection: Connection, pages: int) -> None:
    """Give so many free pages back to the file system, in a transaction. The driver takes the statement for done after
    the first step, which is one page, whatever number it is given."""
    for _ in range(pages):
        connection.execute("PRAGMA incremental_vacuum(1)")


def patiently(work: Callable[[], T]) -> T:
    """`work`'s result, asked for again while another process holds the file in a way that SQLite's own waiting does
    not cover, such as the switch to WAL mode."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def is_busy(error: BaseException) -> bool:
    """Whether SQLite says that another connection is in the way (SQLITE_BUSY, SQLITE_LOCKED and their kin)."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
