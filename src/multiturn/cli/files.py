"""Files that commands read and write: `-` for a pipe, and never half a file under its name."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import click

_PIECE = 1 << 18


@contextmanager
def written(name: str) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name when all of it is on the disk; stdout for `-`. Nobody but its owner may
    read it, for it holds what people have said."""
    path = Path(name).expanduser().resolve()
    if name == "-":
        yield cast(BinaryIO, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    elif path.exists() and not path.is_file():  # a device, a named pipe
        with _opened(path, "wb") as file:
            yield file
    else:
        with _named_at_the_end(path) as file:
            yield file


@contextmanager
def _named_at_the_end(path: Path) -> Iterator[BinaryIO]:
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise _cannot("write", path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot("write", path, error) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


class Pieces:
    """The content of a file, or of stdin for `-`, in pieces. `size` is how much that is, where it is known; `read` how
    much has been given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.read = 0
        self._path = Path(name).expanduser()
        self._file = cast(BinaryIO, sys.stdin.buffer) if name == "-" else _opened(self._path, "rb")
        self.size = self._path.stat().st_size or None if name != "-" else None
        self._start = b""

    def start(self) -> bytes:
        """How the content begins."""
        self._start = self._start or self._next()
        return self._start

    def __iter__(self) -> Iterator[bytes]:
        if self._start:
            self.read += len(self._start)
            yield self._start
        while piece := self._next():
            self.read += len(piece)
            yield piece

    def _next(self) -> bytes:
        try:
            return self._file.read1(_PIECE) if hasattr(self._file, "read1") else self._file.read(_PIECE)
        except OSError as error:
            raise _cannot("read", self._path, error) from error

    def close(self) -> None:
        if self.name != "-":
            self._file.close()


def _opened(path: Path, mode: str) -> BinaryIO:
    try:
        return cast(BinaryIO, path.open(mode))
    except OSError as error:
        raise _cannot("write" if "w" in mode else "read", path, error) from error


def _cannot(do: str, path: Path, error: OSError) -> click.ClickException:
    return click.ClickException(f"cannot {do} {path}: {error.strerror or error}")
