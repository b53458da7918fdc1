"""The servers that a benchmark starts, each a process of its own: when it is ready, and what it has used (Linux)."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PATIENCE_S = 90.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Process:
    """A server that listens on `port`, from `with` to the end of its block. `log` is where its words go."""

    def __init__(
        self, command: Sequence[str | Path], port: int, *, log: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self._command = [str(word) for word in command]
        self._port = port
        self._log = log
        self._environment = os.environ | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"} | dict(variables or {})

    def __enter__(self) -> Process:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        try:
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _wait(self) -> None:
        """Until it listens. Exits with its last words where it does not."""
        until = time.monotonic() + _PATIENCE_S
        while self._process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise SystemExit(f"{' '.join(self._command)} did not start:\n{self._log.read_text()[-2000:]}")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU so far, of all its processes."""
        return sum(_cpu_s(process) for process in _family(self._process.pid))

    @property
    def resident_bytes(self) -> int:
        return sum(_resident(process) for process in _family(self._process.pid))

    @property
    def peak_bytes(self) -> int:
        """The most memory it has had at a time."""
        return sum(_peak(process) for process in _family(self._process.pid))


def _family(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(each for child in children for each in _family(int(child)))]


def _cpu_s(process: int) -> float:
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def _resident(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE


def _peak(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
