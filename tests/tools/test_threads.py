"""The threads of sync tools: as many as are wanted, used again, and in nobody's way."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref

import pytest

from multiturn.tools import threads
from multiturn.tools.threads import in_thread

PATIENCE_S = 10.0


def count() -> int:
    return sum(thread.name == "multiturn-tool" for thread in threading.enumerate())


async def test_one_thread_serves_one_call_after_the_other() -> None:
    seen = {await in_thread(threading.get_ident) for _ in range(200)}
    assert len(seen) == 1


async def test_there_are_as_many_threads_as_calls() -> None:
    barrier = threading.Barrier(64)
    await asyncio.gather(*(in_thread(lambda: barrier.wait(PATIENCE_S)) for _ in range(64)))
    assert count() >= 64


async def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE_S", 0.02)
    monkeypatch.setattr(threads, "_idle", [])
    worker = await in_thread(threading.current_thread)
    await asyncio.to_thread(worker.join, PATIENCE_S)
    assert not worker.is_alive()
    assert threads._idle == []
    assert await in_thread(lambda: 5) == 5


async def test_what_it_raises_is_raised_here() -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        await in_thread(fail)
    assert await in_thread(lambda: 1) == 1


async def test_nothing_of_a_call_is_kept() -> None:
    class Value:
        pass

    value = Value()
    gone = weakref.ref(value)
    await in_thread(lambda kept=value: kept)  # type: ignore[misc]
    del value
    deadline = time.monotonic() + PATIENCE_S
    while gone() is not None and time.monotonic() < deadline:
        await asyncio.sleep(0.001)
        gc.collect()
    assert gone() is None


def test_a_thread_whose_loop_is_gone_ends_its_call_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    begun, released, ended = threading.Event(), threading.Event(), threading.Event()

    def late() -> None:
        begun.set()
        released.wait(PATIENCE_S)
        ended.set()

    async def leave() -> None:
        task = asyncio.create_task(in_thread(late))
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        task.cancel()

    asyncio.run(leave())
    released.set()
    assert ended.wait(PATIENCE_S)
    assert asyncio.run(in_thread(lambda: 7)) == 7
    assert capfd.readouterr().err == ""


def test_a_thread_that_hangs_does_not_keep_the_program_from_ending() -> None:
    code = """
import asyncio, threading
from multiturn.messages import ToolCall
from multiturn.tools import ToolContext, by_name, call, tool
hang = tool(lambda: threading.Event().wait(), name="hang", timeout_s=0.1)
print(asyncio.run(call(by_name([hang]), ToolCall("c", "hang"), ToolContext(call_id="c"))).text)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "hang took longer than 0.1 s and was given up\n"
    assert done.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_threads_of_its_own() -> None:
    code = """
import asyncio, os
from multiturn.tools.threads import in_thread
assert asyncio.run(in_thread(lambda: 1)) == 1
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
else:
    assert asyncio.run(asyncio.wait_for(in_thread(lambda: 2), 10)) == 2
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
