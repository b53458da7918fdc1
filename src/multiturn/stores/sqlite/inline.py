"""What works off the jobs of a database in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from multiturn.errors import StoreError
from multiturn.stores.sqlite.schema import Connection
from multiturn.stores.sqlite.worker import JOBS_A_CHORE, Connect, Duties, Piece, translated

T = TypeVar("T")


class InlineWorker:
    """As `Worker`, for a database that never waits for a disk: jobs run at once, in the calling thread."""

    def __init__(self, connect: Connect, duties: Duties) -> None:
        self._connection: Connection | None = connect()
        self._duties = duties
        self._since_chore = 0
        self._lock = threading.Lock()

    async def do(self, work: Callable[[Connection], T]) -> T:
        return self._done(work)

    def submit(self, work: Callable[[Connection], T], *, durable: bool = True) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(self._done(work))
        except Exception as error:
            future.set_exception(error)
        return future

    def stream(self, piece: Piece) -> None:
        self.submit(lambda db: self._duties.write(db, [piece]))
        self._duties.written([piece])

    def _done(self, work: Callable[[Connection], T]) -> T:
        with self._lock:
            if self._connection is None:
                raise StoreError("the store is closed")
            self._since_chore += 1
            if self._since_chore >= JOBS_A_CHORE and not _in_transaction(self._connection, self._duties.chore):
                self._since_chore = 0
            return _in_transaction(self._connection, work)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _in_transaction(connection: Connection, work: Callable[[Connection], T]) -> T:
    try:
        connection.execute("BEGIN")
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException as error:
        connection.undo("ROLLBACK")
        if (ours := translated(error)) is not error:
            raise ours from error
        raise
    return result
