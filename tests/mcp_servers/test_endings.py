"""The end of a process: however its block is left, nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from mcp_servers.serving import HERE, TESTER, Log, called, is_running, stdio


async def test_the_process_is_gone_when_the_block_is_left_by_an_exception(log: Log) -> None:
    with pytest.raises(ZeroDivisionError):
        async with stdio(log):
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), stdio(log):
        raise ZeroDivisionError
    assert len(log.pids) == 2
    assert log.running == []


async def test_leaving_with_a_call_under_way_answers_it(log: Log) -> None:
    async with stdio(log) as server:
        waiting = asyncio.create_task(called(server, "wait", {"seconds": 30}))
        assert await log.has("waiting")
    assert (await waiting).is_error


async def test_a_process_that_does_not_want_to_end_is_killed(log: Log) -> None:
    async with stdio(log, "--stubborn"):
        begun = time.monotonic()
    assert 2 < time.monotonic() - begun < 8


ASYNC = """
async def main():
    async with server:
        print("open", flush=True)
        await asyncio.sleep(30)
asyncio.run(main())
"""
SYNC = """
with server:
    print("open", flush=True)
    time.sleep(30)
"""
IN_A_CALL = """
chat = Conversation(ScriptedModel(lambda _: calling(("c", "wait", '{"seconds":30}'))), tools=server.__enter__().tools)
with contextlib.ExitStack() as stack:
    stack.push(server)
    print("open", flush=True)
    chat.send("go")
"""
NEVER_LEFT = """
server.__enter__()
print("open", flush=True)
time.sleep(0.5)
sys.exit(3)
"""


@pytest.mark.parametrize("program", [ASYNC, SYNC, IN_A_CALL, NEVER_LEFT], ids=["async", "sync", "call", "never left"])
def test_ctrl_c_and_the_end_of_the_program_leave_no_process(program: str, log: Log) -> None:
    head = (
        "import asyncio, contextlib, sys, time\n"
        "from multiturn import Conversation\n"
        "from multiturn.mcp import MCPServer\n"
        "from scripted import ScriptedModel, calling\n"
        f"server = MCPServer.stdio({sys.executable!r}, {TESTER!r}, 'stdio', env={log.env!r})\n"
    )
    env = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    running = subprocess.Popen(
        [sys.executable, "-c", head + program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "open\n"
    (pid,) = log.pids
    assert is_running(pid)
    if program is not NEVER_LEFT:
        time.sleep(0.3)
        running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 3 if program is NEVER_LEFT else "KeyboardInterrupt" in err
    assert "never retrieved" not in err
    assert log.running == []
