"""One thread that owns one SQLite connection and works off jobs: callers never block their event loop on a disk.

Jobs that wait together commit together, share one fsync (group commit), and wake each event loop that waits for them
once. A job that fails is undone alone. A job may be done twice, so that it must have no effect but on the database.
Pieces of what is streamed come so often that they are no jobs of their own: all that wait are one. What can wait, the
chore, is done now and then and when nobody asks for anything.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, Generic, NamedTuple, TypeVar, cast

from multiturn.errors import MultiturnError, StoreError
from multiturn.stores.sqlite.schema import Connection, give_back, patiently

T = TypeVar("T")
Connect = Callable[[], Connection]
Outcome = tuple[Any, BaseException | None]
Piece = tuple[str, str, bytes]
"""What a turn has streamed: the tenant, the turn's id, the drafts."""

_MOST_AT_ONCE = 256  # jobs in one transaction
_PIECES_WAIT_S = 0.01  # for others that come, where no other job does
JOBS_A_CHORE = 1024
_MOST_PAGES_FREED = 1000  # when closing; `collect` frees all
_IDLE_S = 1.0  # without a job, until the chore is done


class Duties(NamedTuple):
    """What a worker does beside jobs. `write` writes pieces, and `written` is told of them when that is committed;
    `chore` does a part of what can wait, and says whether there is more."""

    write: Callable[[Connection, Sequence[Piece]], None]
    written: Callable[[Sequence[Piece]], None]
    chore: Callable[[Connection], bool]


class Job(Generic[T]):
    """Work on a connection inside a transaction, and the future of its result, which may belong to an event loop."""

    __slots__ = ("durable", "future", "loop", "work")

    def __init__(
        self, work: Callable[[Connection], T], durable: bool, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.work = work
        self.durable = durable
        self.loop = loop
        self.future: Future[T] | asyncio.Future[T] = Future() if loop is None else loop.create_future()


class Worker:
    """Runs jobs in the order of submission. `begin` is the statement that opens a transaction."""

    def __init__(self, connect: Connect, *, begin: str, name: str, duties: Duties | None = None) -> None:
        self._connect = connect
        self._begin = begin
        self._duties = duties
        self._synchronous: str | None = None
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._pieces: list[Piece] | None = None  # of the last job in the queue, if that is to write pieces
        self._since_chore = 0  # jobs
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[Connection], T]) -> T:
        """`work`'s result, when its transaction is on the disk."""
        job = Job(work, True, asyncio.get_running_loop())
        self._put(job)
        return await cast("asyncio.Future[T]", job.future)

    def submit(self, work: Callable[[Connection], T], *, durable: bool = True) -> Future[T]:
        """The future of `work`'s result, done when its transaction is committed: on the disk if `durable`, else in
        the operating system's hands, which outlive the process."""
        job = Job(work, durable)
        self._put(job)
        return cast("Future[T]", job.future)

    def _put(self, job: Job[Any]) -> None:
        with self._lock:
            self._pieces = None
            if self._closed:
                job.future.set_exception(StoreError("the store is closed"))
            else:
                self._jobs.put(job)

    def stream(self, piece: Piece) -> None:
        """Write a piece soon, behind all that was submitted before and with the others that wait; not durably."""
        with self._lock:
            if self._pieces is not None:
                self._pieces.append(piece)
            elif not self._closed and self._duties is not None:
                self._pieces = pieces = [piece]
                self._jobs.put(_to_write(pieces, self._duties))

    def close(self) -> None:
        """Finish what was submitted, close the connection, end the thread. Closing twice is fine."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        connection: Connection | None = None
        while (jobs := self._next_jobs()) is not None:
            try:
                connection = connection or self._connect()
            except Exception as error:
                _fail(jobs, error)
                continue
            if jobs:
                self._commit(connection, jobs)
            self._since_chore += len(jobs)
            if self._since_chore >= JOBS_A_CHORE or not jobs:
                self._do_chore(connection)
            del jobs
        if connection is not None:
            self._tidy(connection)
            connection.close()

    def _tidy(self, connection: Connection) -> None:
        """Leave nothing undone; pages that merging the index has freed go back to the file system."""
        while self._since_chore:
            self._do_chore(connection)
        if self._duties is not None:
            with suppress(sqlite3.Error), self._transaction(connection):
                (free,) = connection.execute("PRAGMA freelist_count").fetchone()
                give_back(connection, min(free, _MOST_PAGES_FREED))

    def _do_chore(self, connection: Connection) -> None:
        self._since_chore = 0
        if self._duties is not None:
            with suppress(Exception), self._transaction(connection):  # what fails now is tried again after other jobs
                self._since_chore = JOBS_A_CHORE if self._duties.chore(connection) else 0

    def _next_jobs(self) -> list[Job[Any]] | None:
        """The jobs that wait, at least one; none where it is time for the chore; None when the worker was closed."""
        try:
            first = self._jobs.get(timeout=_IDLE_S if self._since_chore and self._duties else None)
        except queue.Empty:
            return []
        if first is None:
            return None
        jobs = [first]
        until = 0.0 if first.durable else time.monotonic() + _PIECES_WAIT_S
        while len(jobs) < _MOST_AT_ONCE:
            try:
                job = self._jobs.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
            until = 0.0 if job.durable else until
        with self._lock:
            self._pieces = None
        return jobs

    def _commit(self, connection: Connection, jobs: list[Job[Any]]) -> None:
        synchronous = "FULL" if any(job.durable for job in jobs) else "NORMAL"
        try:
            if synchronous != self._synchronous:
                connection.execute(f"PRAGMA synchronous = {synchronous}")
                self._synchronous = synchronous
            outcomes = self._together(connection, jobs)
        except BaseException as error:
            _fail(jobs, error)
        else:
            _resolve(jobs, outcomes)

    def _together(self, connection: Connection, jobs: list[Job[Any]]) -> list[Outcome]:
        """Each job's outcome, in one transaction. Most of the time no job fails; where one does, all are undone and
        done again, each behind a savepoint of its own."""
        try:
            with self._transaction(connection):
                return [(job.work(connection), None) for job in jobs]
        except Exception as error:
            if len(jobs) == 1:
                return [(None, error)]
        with self._transaction(connection):
            return [_attempt(connection, job) for job in jobs]

    @contextmanager
    def _transaction(self, connection: Connection) -> Iterator[None]:
        patiently(lambda: connection.execute(self._begin))
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            connection.undo("ROLLBACK")
            raise


def _to_write(pieces: Sequence[Piece], duties: Duties) -> Job[None]:
    job = Job(lambda db: duties.write(db, pieces), False)
    cast("Future[None]", job.future).add_done_callback(lambda _: duties.written(pieces))
    return job


def _attempt(connection: Connection, job: Job[Any]) -> Outcome:
    """The job's result or its error, its writes undone in that case."""
    connection.execute("SAVEPOINT job")
    try:
        result = job.work(connection)
    except Exception as error:
        if not connection.in_transaction:  # SQLite itself has rolled everything back, as on a full disk
            raise
        connection.undo("ROLLBACK TO job")
        return None, error
    finally:
        if connection.in_transaction:
            connection.execute("RELEASE job")
    return result, None


def _fail(jobs: list[Job[Any]], error: BaseException) -> None:
    _resolve(jobs, [(None, error)] * len(jobs))


def _resolve(jobs: list[Job[Any]], outcomes: list[Outcome]) -> None:
    waiting: dict[asyncio.AbstractEventLoop | None, list[tuple[Job[Any], Outcome]]] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        waiting.setdefault(job.loop, []).append((job, outcome))
    for loop, ended in waiting.items():
        if loop is None:
            _tell(ended)
        else:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_tell, ended)


def _tell(ended: list[tuple[Job[Any], Outcome]]) -> None:
    for job, (result, error) in ended:
        if job.future.done():
            continue  # cancelled: nobody waits for it any more
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(translated(error))


def translated(error: BaseException) -> BaseException:
    """SQLite's errors as ours, the original as the cause."""
    if isinstance(error, MultiturnError) or not isinstance(error, sqlite3.Error):
        return error
    ours = StoreError(f"the SQLite store failed: {error}")
    ours.__cause__ = error
    return ours
