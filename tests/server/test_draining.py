"""Going down: real processes, real signals. What runs may end, what does not is told, and nobody new is let in."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from websockets.sync.client import connect

from multiturn import sync
from multiturn.stores import open_store
from multiturn.turns import Turn
from observed import PATIENCE_S
from ports import free_port
from upstream import Upstream, hang, hang_after, reply

BODY: Any = {"model": "tiny", "input": "Count."}


class Process:
    """A server in a process of its own."""

    def __init__(self, popen: subprocess.Popen[str], port: int, store: str) -> None:
        self.popen = popen
        self.port = port
        self.store = store
        self.url = f"http://127.0.0.1:{port}"

    def tell(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def ends(self) -> int:
        """Its exit status."""
        return self.popen.wait(PATIENCE_S)

    def log(self) -> list[dict[str, Any]]:
        """Once it has ended."""
        assert self.popen.stderr is not None
        return [json.loads(line) for line in self.popen.stderr.read().splitlines()]

    def turns(self) -> list[Turn]:
        return sync.run(self._turns())

    async def _turns(self) -> list[Turn]:
        store = open_store(self.store)
        try:
            paths = [await store.tree(record.id) for record in await store.conversations()]
            return [turn for path in paths for turn in path]
        finally:
            await store.aclose()


@contextmanager
def serving(folder: Path, upstream: Upstream, **settings: object) -> Iterator[Process]:
    """A server that asks `upstream`, once it answers."""
    port = free_port()
    store = f"sqlite:///{folder / 'drained.db'}"
    flags = {"port": port, "store": store, "upstream": upstream.url, "log-format": "json", **settings}
    command = [sys.executable, "-m", "multiturn", "serve", "--no-grpc"]
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        command += [flag] if value is True else [flag, str(value)]
    popen = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    process = Process(popen, port, store)
    try:
        eventually(lambda: ready(process) == 200)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.communicate()


def ready(process: Process) -> int:
    """The status of `/ready`; 0 where nobody answers."""
    try:
        return httpx.get(f"{process.url}/ready").status_code
    except httpx.TransportError:
        return 0


def eventually(is_so: Any) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


@contextmanager
def streaming(process: Process, **fields: Any) -> Iterator[Iterator[str]]:
    """The lines of a stream whose answer has begun."""
    with httpx.stream(
        "POST", f"{process.url}/v1/responses", json={**BODY, "stream": True, **fields}, timeout=30
    ) as got:
        lines = got.iter_lines()
        next(line for line in lines if "output_text.delta" in line)
        yield lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_streams_finish(tmp_path: Path, upstream: Upstream, number: signal.Signals) -> None:
    upstream.script(reply("one two three four five", delay_s=0.2))
    with serving(tmp_path, upstream) as process:
        with streaming(process) as lines:
            process.tell(number)
            assert any("response.completed" in line for line in lines)
        assert process.ends() == 0
        assert [turn.status.value for turn in process.turns()] == ["completed"]
        assert [line["message"] for line in process.log()][:2] == ["listening", "going down"]


def test_meanwhile_it_is_not_ready_and_lets_nobody_in(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script(reply(" ".join("abcdefgh"), delay_s=0.3))
    with serving(tmp_path, upstream) as process, streaming(process) as lines:
        process.tell(signal.SIGTERM)
        eventually(lambda: ready(process) == 503)
        assert httpx.get(f"{process.url}/health").status_code == 200
        refused = httpx.post(f"{process.url}/v1/responses", json=BODY)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.headers["connection"] == "close"
        assert refused.json()["error"]["type"] == "server_error"
        asked = openai.OpenAI(base_url=f"{process.url}/v1", api_key="any", max_retries=0)
        with pytest.raises(openai.InternalServerError) as one:
            asked.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hello"}])
        assert one.value.status_code == 503
        told = anthropic.Anthropic(base_url=process.url, api_key="any", max_retries=0)
        with pytest.raises(anthropic.InternalServerError) as other:
            told.messages.create(model="tiny", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])
        assert other.value.status_code == 503
        assert other.value.body["type"] == "error"  # type: ignore[index]
        assert any("response.completed" in line for line in lines)
        assert process.ends() == 0


def test_a_stream_that_takes_too_long_is_told_and_its_turn_has_failed(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script(hang_after(2, "one ", "two ", "three"))
    with serving(tmp_path, upstream, drain_s=0.3) as process:
        with streaming(process) as lines:
            process.tell(signal.SIGTERM)
            failed = next(line for line in lines if line.startswith("data:") and "response.failed" in line)
        assert "going down" in json.loads(failed.removeprefix("data:"))["response"]["error"]["message"]
        assert process.ends() == 0
        (turn,) = process.turns()
        assert (turn.status.value, turn.error and turn.error.kind) == ("failed", "GoingDown")
        assert turn.text.startswith("one")


def test_an_answer_that_takes_too_long_is_refused_and_its_turn_has_failed(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script(hang(), hang())
    with serving(tmp_path, upstream, drain_s=0.3) as process, ThreadPoolExecutor() as pool:
        chat = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "store": True}
        bodies = (("responses", BODY), ("chat/completions", chat))
        asking = [pool.submit(httpx.post, f"{process.url}/v1/{path}", json=body, timeout=30) for path, body in bodies]
        eventually(lambda: len(upstream.requests) == 2)
        process.tell(signal.SIGTERM)
        for asked in asking:
            answer = asked.result()
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "going down" in answer.json()["error"]["message"]
        assert process.ends() == 0
        ends = [(turn.status.value, turn.error and turn.error.kind) for turn in process.turns()]
        assert ends == [("failed", "GoingDown")] * 2


def test_one_that_waits_for_another_turn_is_refused_too(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script(hang())
    with serving(tmp_path, upstream, drain_s=0.3) as process, ThreadPoolExecutor() as pool:
        made = httpx.post(f"{process.url}/v1/conversations", json={}).json()["id"]
        body = {**BODY, "conversation": made}
        first = pool.submit(httpx.post, f"{process.url}/v1/responses", json=body, timeout=30)
        eventually(lambda: len(upstream.requests) == 1)
        second = pool.submit(httpx.post, f"{process.url}/v1/responses", json=body, timeout=30)
        time.sleep(0.1)
        process.tell(signal.SIGTERM)
        assert [first.result().status_code, second.result().status_code] == [503, 503]
        assert process.ends() == 0
        assert all(turn.status.value == "failed" for turn in process.turns())
        assert len(upstream.requests) == 1


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script(hang_after(2, "one ", "two ", "three"))
    with serving(tmp_path, upstream, drain_s=300) as process, streaming(process) as lines:
        process.tell(signal.SIGINT)
        eventually(lambda: ready(process) == 503)
        process.tell(signal.SIGINT)
        assert any("response.failed" in line for line in lines)
        assert process.ends() == 0


def test_one_with_nothing_to_do_ends_at_once(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path, upstream, drain_s=300) as process, httpx.Client() as kept:
        assert kept.post(f"{process.url}/v1/responses", json=BODY).status_code == 200
        process.tell(signal.SIGTERM)
        assert process.ends() == 0


def test_a_turn_in_the_background_may_end_and_one_that_hangs_is_ended(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script(reply("one two three", delay_s=0.2), hang())
    with serving(tmp_path, upstream, drain_s=2) as process:
        for _ in range(2):
            httpx.post(f"{process.url}/v1/responses", json={**BODY, "background": True})
        eventually(lambda: len(upstream.requests) == 2)
        process.tell(signal.SIGTERM)
        assert process.ends() == 0
        ended = {turn.status.value for turn in process.turns()}
        assert ended in ({"completed", "failed"}, {"completed", "incomplete"})


def test_a_websocket_may_finish_and_is_closed_then(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script(reply("one two three four", delay_s=0.2))
    with serving(tmp_path, upstream, drain_s=300) as process:
        url = f"ws://127.0.0.1:{process.port}/v1/responses"
        with connect(url) as idle, connect(url) as busy:
            busy.send(json.dumps({"type": "response.create", **BODY}))
            while "output_text.delta" not in busy.recv():
                pass
            process.tell(signal.SIGTERM)
            events = [json.loads(event)["type"] for event in busy]
            assert events[-1] == "response.completed"
            assert list(idle) == []
            assert (busy.close_code, idle.close_code) == (1001, 1001)
        assert process.ends() == 0


# --- several processes ----------------------------------------------------------------------------------------------


def workers_of(process: Process) -> list[int]:
    command = ["ps", "-ww", "-o", "pid=", "-o", "args=", "--ppid", str(process.popen.pid)]
    found = subprocess.run(command, capture_output=True, text=True)
    return [int(line.split()[0]) for line in found.stdout.splitlines() if "spawn_main" in line]


def counted(process: Process, sample: str) -> float:
    page = httpx.get(f"{process.url}/metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(sample))


def test_many_processes_finish_their_streams(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script(*[reply("one two three four five", delay_s=0.3)] * 6)
    with serving(tmp_path, upstream, workers=2) as process, ThreadPoolExecutor() as pool:
        began = threading.Barrier(7)

        def stream(_: int) -> bool:
            with streaming(process) as lines:
                began.wait(PATIENCE_S)
                return any("response.completed" in line for line in lines)

        streams = [pool.submit(stream, number) for number in range(6)]
        began.wait(PATIENCE_S)
        process.tell(signal.SIGTERM)
        assert all(one.result() for one in streams)
        process.ends()
        assert [turn.status.value for turn in process.turns()] == ["completed"] * 6


def test_many_processes_tell_what_takes_too_long(tmp_path: Path, upstream: Upstream) -> None:
    upstream.script(hang_after(2, "one ", "two ", "three"))
    with serving(tmp_path, upstream, workers=2, drain_s=0.3) as process:
        with streaming(process) as lines:
            process.tell(signal.SIGTERM)
            assert any("response.failed" in line for line in lines)
        process.ends()
        (turn,) = process.turns()
        assert turn.status.value == "failed"


def test_many_processes_show_their_figures_together(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path, upstream, workers=2) as process:
        for _ in range(12):  # a connection each, so that both are asked
            assert httpx.post(f"{process.url}/v1/responses", json=BODY).status_code == 200
        for _ in range(6):
            eventually(lambda: counted(process, "multiturn_turns_total{") == 12)
        before, dying = workers_of(process), "multiturn_upstream_healthy"
        eventually(lambda: counted(process, dying) == 1)
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: len(workers_of(process)) == 2 and workers_of(process) != before)
        eventually(lambda: ready(process) == 200)
        assert counted(process, "multiturn_turns_total{") == 12, "what it had counted stays"
        process.tell(signal.SIGTERM)
        process.ends()


def test_a_second_server_is_told_nothing_of_the_first_ones_figures(tmp_path: Path, upstream: Upstream) -> None:
    for _ in range(2):
        with serving(tmp_path, upstream, workers=2) as process:
            httpx.post(f"{process.url}/v1/responses", json=BODY)
            eventually(lambda: counted(process, "multiturn_turns_total{") == 1)
            process.tell(signal.SIGTERM)
            process.ends()


# --- what is not logged ---------------------------------------------------------------------------------------------


def test_a_process_logs_no_key_that_stands_in_an_address(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path, upstream, log_level="debug", tracing=True) as process:
        httpx.get(f"{process.url}/v1/models?api_key=mt-sentinel", headers={"authorization": "Bearer mt-sentinel"})
        httpx.get(f"{process.url}/v1/nowhere?api_key=mt-sentinel")
        process.tell(signal.SIGTERM)
        process.ends()
        log = process.log()
    assert [line["message"] for line in log if "status" in line] == ["GET /v1/models", "GET /{path}"]
    assert [line["message"] for line in log if "nothing records it" in line["message"]], "tracing without an SDK"
    assert not re.search("sentinel", json.dumps(log))
