"""What is measured of one server, against one upstream: each measurement starts it anew, on an empty store."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from servers.contenders import Contender
from servers.nginx import Upstream
from servers.processes import Process, free_port

HERE = Path(__file__).parent.parent
_WARM_UP_S = 0.5
SLOW_PER_SECOND = 20


@dataclass(frozen=True)
class Rate:
    """Answers a second, the CPU seconds that one took the server, the 99th percentile of an answer in seconds, and the
    bytes that its store grew by for one."""

    per_second: float
    cpu_s: float
    p99_s: float
    stored_bytes: float


@dataclass(frozen=True)
class Chain:
    """Seconds of the last turns of one conversation and of the first after a restart, and bytes stored a turn."""

    warm_s: float
    cold_s: float
    stored_bytes: float


@dataclass(frozen=True)
class Slow:
    """Of many slow streams at once: how many did not come to their end whole, seconds that pieces were on their way,
    the most memory the server took, and its CPU seconds a piece."""

    dropped: int
    p50_s: float
    p99_s: float
    worst_s: float
    peak_bytes: int
    cpu_s: float


def rate(contender: Contender, kind: str, upstream: Upstream, seconds: float) -> Rate:
    """`kind` is `responses`, `streams` or `chat`."""
    url = upstream.streamed if kind == "streams" else upstream.whole
    with _folder(contender) as folder:
        empty = _size_when_empty(contender, url, folder)
        port = free_port()
        with contender.serve(port, url, folder) as server:
            warm = _load("hammer", kind, port, min(_WARM_UP_S, seconds))
            used = server.cpu_s
            found = _load("hammer", kind, port, seconds)
            used = server.cpu_s - used
        stored = (contender.size(folder) - empty) / (warm["done"] + found["done"])
    return Rate(found["done"] / found["seconds"], used / found["done"], found["p99"], stored)


def chain(contender: Contender, upstream: Upstream, turns: int, restarts: int) -> Chain:
    """One conversation of so many turns, each following the other by `previous_response_id`; then the server is
    started anew, so many times, and the first thing that it is asked is to go on."""
    with _folder(contender) as folder:
        empty = _size_when_empty(contender, upstream.whole, folder)
        port = free_port()
        with contender.serve(port, upstream.whole, folder):
            held = _load("chain", port, turns)
        stored = (contender.size(folder) - empty) / turns
        cold, last = list[float](), held["last"]
        for turn in range(turns + 1, turns + 1 + restarts):
            with contender.serve(port, upstream.whole, folder):
                found = _load("chain", port, turn, last)
            cold, last = cold + found["took"], found["last"]
    return Chain(median(held["took"][-5:]), median(cold), stored)


def slow(contender: Contender | None, streams: int, seconds: float) -> Slow:
    """So many streams at once, each of 20 pieces a second for so long. Without a contender, straight from the upstream:
    what there is on this machine without any server between."""
    pieces = round(SLOW_PER_SECOND * seconds)
    with tempfile.TemporaryDirectory(prefix="multiturn-bench-") as name:
        log, paced = Path(name) / "paced.log", free_port()
        command: list[str | Path] = [
            sys.executable,
            HERE / "servers" / "paced.py",
            str(paced),
            str(SLOW_PER_SECOND),
            str(seconds),
        ]
        with Process(command, paced, log=log, variables={"PYTHONPATH": str(HERE)}) as upstream:
            if contender is None:
                return _followed(upstream, paced, "/v1/chat/completions", streams, pieces)
            with _folder(contender) as folder:
                port = free_port()
                with contender.serve(port, f"http://127.0.0.1:{paced}", folder) as server:
                    return _followed(server, port, "/v1/responses", streams, pieces)


def _followed(server: Process, port: int, path: str, streams: int, pieces: int) -> Slow:
    used = server.cpu_s
    found = _run("servers.slow", port, path, streams, pieces, 2)
    cpu = (server.cpu_s - used) / max(1, found["pieces"])
    return Slow(found["dropped"], found["p50"], found["p99"], found["worst"], server.peak_bytes, cpu)


def _load(*arguments: object) -> Any:
    return _run("servers.load", *arguments)


def _run(module: str, *arguments: object) -> Any:
    """What a load of ours found, in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    if done.returncode:
        raise Failed(f"{' '.join(command[2:])}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


class Failed(Exception):
    """A server did not answer as it should."""


@contextmanager
def _folder(contender: Contender) -> Iterator[Path]:
    """For what the server keeps. Where it fails, its last words are told."""
    with tempfile.TemporaryDirectory(prefix="multiturn-bench-") as name:
        try:
            yield Path(name)
        except Failed as failed:
            words = (Path(name) / "server.log").read_text()[-2000:]
            raise SystemExit(f"{contender.name} failed: {failed}\n{words}") from None


def _size_when_empty(contender: Contender, upstream: str, folder: Path) -> int:
    if contender.stores:
        with contender.serve(free_port(), upstream, folder):
            pass
    return contender.size(folder)
