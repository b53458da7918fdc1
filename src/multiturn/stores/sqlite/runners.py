"""Who runs a turn, and whether that process still lives.

A store that runs turns holds an operating-system lock on a small file beside the database. The lock goes with the
process, however it ends, so whoever can take it knows that its holder is gone.
"""

from __future__ import annotations

import glob
from pathlib import Path

from filelock import FileLock, Timeout

from multiturn.ids import new_id

_PATIENCE_S = 30.0


class Runner:
    """This store's own lock, taken at first use, and the test of others'. A database in memory (None) has no others
    and needs no lock."""

    def __init__(self, database: Path | None) -> None:
        self._database = database
        self._id = new_id("runner")
        self._lock: FileLock | None = None

    @property
    def id(self) -> str:
        """This runner's id; from now on it counts as alive until `close`, or until the process ends."""
        if self._lock is None and self._database is not None:
            self._lock = FileLock(self._file_of(self._database, self._id), thread_local=False)
            self._lock.acquire(timeout=_PATIENCE_S)  # not at once: `sweep` may just be removing the file
        return self._id

    def is_gone(self, runner: str) -> bool:
        """Whether the process that ran as `runner` has ended. Removes the file that it left."""
        if runner == self._id or self._database is None:
            return False
        file = self._file_of(self._database, runner)
        if not file.exists():
            return True
        lock = FileLock(file, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        _drop(lock)
        return True

    def runs(self, runner: str) -> bool:
        """Whether it is this very store that runs turns as `runner`."""
        return runner == self._id

    def sweep(self) -> None:
        """Remove the files of processes that ended before they had begun a turn."""
        if self._database is not None:
            for file in self._database.parent.glob(f"{glob.escape(self._database.name)}-runner_*"):
                self.is_gone(file.name.removeprefix(f"{self._database.name}-"))

    def close(self) -> None:
        if self._lock is not None:
            _drop(self._lock)
            self._lock = None

    @staticmethod
    def _file_of(database: Path, runner: str) -> Path:
        return database.with_name(f"{database.name}-{runner}")


def _drop(lock: FileLock) -> None:
    """Remove the file while it is still held, so that nobody locks a file that is about to go."""
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
