"""One thread that owns one SQLite connection and works off jobs: callers never block their event loop on a disk.

Jobs that wait together commit together, share one fsync (group commit), and wake each event loop that waits for them
once. A job that fails is undone alone. A job may be done twice, so that it must have no effect but on the database.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar, cast

from multiturn.errors import MultiturnError, StoreError
from multiturn.stores.sqlite.schema import Connection, patiently

T = TypeVar("T")
Connect = Callable[[], Connection]
Outcome = tuple[Any, BaseException | None]

_MOST_AT_ONCE = 256  # jobs in one transaction


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

    def __init__(self, connect: Connect, *, begin: str, name: str) -> None:
        self._connect = connect
        self._begin = begin
        self._synchronous: str | None = None
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
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
            if self._closed:
                job.future.set_exception(StoreError("the store is closed"))
            else:
                self._jobs.put(job)

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
            else:
                self._commit(connection, jobs)
            del jobs
        if connection is not None:
            connection.close()

    def _next_jobs(self) -> list[Job[Any]] | None:
        """The jobs that wait, at least one; None when the worker was closed."""
        first = self._jobs.get()
        if first is None:
            return None
        jobs = [first]
        while len(jobs) < _MOST_AT_ONCE:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
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
            job.future.set_exception(_translated(error))


def _translated(error: BaseException) -> BaseException:
    """SQLite's errors as ours, the original as the cause."""
    if isinstance(error, MultiturnError) or not isinstance(error, sqlite3.Error):
        return error
    translated = StoreError(f"the SQLite store failed: {error}")
    translated.__cause__ = error
    return translated


class InlineWorker:
    """The same for a database in memory, which never waits for a disk: jobs run at once, in the calling thread."""

    def __init__(self, connect: Connect) -> None:
        self._connection: Connection | None = connect()
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

    def _done(self, work: Callable[[Connection], T]) -> T:
        with self._lock:
            if self._connection is None:
                raise StoreError("the store is closed")
            try:
                self._connection.execute("BEGIN")
                result = work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException as error:
                self._connection.undo("ROLLBACK")
                if (translated := _translated(error)) is not error:
                    raise translated from error
                raise
            return result

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
