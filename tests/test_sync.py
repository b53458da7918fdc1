"""The sync face: results, errors, early ends and misuse."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator

import pytest

from multiturn import sync


async def count(to: int, ended: list[str]) -> AsyncGenerator[int, None]:
    try:
        for n in range(to):
            await asyncio.sleep(0)
            yield n
    finally:
        await asyncio.sleep(0)
        ended.append("closed")


async def double(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


def test_a_coroutine_gives_its_result() -> None:
    assert sync.run(double(21)) == 42


def test_an_error_arrives_as_it_was_raised() -> None:
    async def fail() -> None:
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        sync.run(fail())


def test_items_come_in_order_and_the_generator_is_closed() -> None:
    ended: list[str] = []
    assert list(sync.iterate(count(5, ended))) == [0, 1, 2, 3, 4]
    assert ended == ["closed"]


def test_leaving_early_waits_until_the_generator_has_closed() -> None:
    ended: list[str] = []
    for item in sync.iterate(count(10**9, ended)):
        if item == 3:
            break
    assert ended == ["closed"]


def test_an_error_in_a_generator_comes_after_what_it_gave() -> None:
    async def fail() -> AsyncGenerator[int, None]:
        yield 1
        raise ZeroDivisionError

    items = sync.iterate(fail())
    assert next(items) == 1
    with pytest.raises(ZeroDivisionError):
        next(items)


async def test_sync_calls_work_inside_a_running_loop() -> None:
    assert sync.run(double(1)) == 2


def test_sync_calls_work_from_many_threads() -> None:
    results: list[int] = []
    threads = [threading.Thread(target=lambda n=n: results.append(sync.run(double(n)))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [2 * n for n in range(20)]


def test_a_call_that_would_wait_for_itself_is_refused() -> None:
    async def nested() -> int:
        return sync.run(double(1))

    with pytest.raises(RuntimeError, match="await"):
        sync.run(nested())


def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    code = (
        "import os, warnings; warnings.simplefilter('ignore')\n"
        "from multiturn import sync\n"
        "async def one(): return 1\n"
        "assert sync.run(one()) == 1\n"
        "pid = os.fork()\n"
        "assert sync.run(one()) == 1\n"
        "os._exit(0) if pid == 0 else os._exit(os.waitpid(pid, 0)[1])\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


def test_ctrl_c_cancels_the_work_and_waits_for_its_end() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.01)
            ended.append("cleaned up")

    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sync.run(work())
    assert ended == ["cleaned up"]
    assert time.monotonic() - started < 10


def test_work_that_still_runs_at_exit_is_closed_properly() -> None:
    code = (
        "import asyncio\n"
        "from multiturn import sync\n"
        "async def forever():\n"
        "    try:\n"
        "        while True:\n"
        "            yield 1\n"
        "            await asyncio.sleep(0.001)\n"
        "    finally: print('closed', flush=True)\n"
        "items = sync.iterate(forever())\n"
        "next(items)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=30, check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("closed\n", "")
