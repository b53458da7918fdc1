"""A real llama.cpp server, and how many prompt tokens it evaluates in each turn: as it says itself, in its log."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import peers
import words
from multiturn import Conversation, Settings
from multiturn.context.window import Window
from multiturn.messages import Message, Text, user

HERE = Path(__file__).parent.parent
CONTEXT, WRITTEN = 4096, 16  # tokens: what the model reads, and what it writes in a turn
MOST = CONTEXT - 512
_REUSED = re.compile(rb"(\d+) prefix-match hit, remaining (\d+) prompt tokens")
_SETTINGS = Settings(max_output_tokens=WRITTEN, temperature=0.0)


class Server:
    """One server, a model of its own, nothing in its cache."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log
        self._seen = 0

    def evaluated(self, read: int) -> int:
        """How many of the tokens of the last prompt were evaluated; all that it had, if nothing was found in the
        cache."""
        new = self._log.read_bytes()[self._seen :]
        self._seen += len(new)
        found = _REUSED.findall(new)
        return int(found[-1][1]) if found else read


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    python, file, log = peers.python("peers-llama"), folder / "tiny.gguf", folder / f"server-{time.monotonic_ns()}.log"
    if not file.exists():
        subprocess.run([str(python), "-m", "windows.tiny_gguf", str(file)], cwd=HERE, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(python),
        "-m",
        "llama_cpp.server",
        "--model",
        str(file),
        "--n_ctx",
        str(CONTEXT),
        "--port",
        str(port),
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=environment) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/v1/models", process, log)
            yield Server(f"http://127.0.0.1:{port}/v1", log)
        finally:
            process.terminate()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(url):
                return
        except (URLError, ConnectionError):
            time.sleep(0.1)
    raise SystemExit(f"the llama.cpp server did not start:\n{log.read_text()[-2000:]}")


def question(turn: int) -> str:
    return words.question(turn)[:120]


def ours(server: Server, turns: int) -> Iterator[tuple[int, int]]:
    """Tokens of each turn's prompt, and how many of them were evaluated."""
    window = Window(context_tokens=CONTEXT, reserve_tokens=CONTEXT - MOST)
    chat = Conversation("tiny", base_url=server.url, api_key="x", settings=_SETTINGS, window=window)
    for turn in range(turns):
        usage = chat.send(question(turn)).usage
        yield usage.input_tokens, server.evaluated(usage.input_tokens)


def sliding(server: Server, turns: int) -> Iterator[tuple[int, int]]:
    """The same where the oldest exchange goes as soon as the prompt is too long. Each character is a token."""
    messages: list[Message] = []
    for turn in range(turns):
        while sum(len(message.text) + 12 for message in messages) + 132 > MOST:
            del messages[:2]
        chat = Conversation("tiny", base_url=server.url, api_key="x", settings=_SETTINGS)
        reply = chat.send([*messages, user(question(turn))])
        messages += [user(question(turn)), Message("assistant", (Text(reply.text),))]
        yield reply.usage.input_tokens, server.evaluated(reply.usage.input_tokens)


def evaluated(
    hold: Callable[[Server, int], Iterator[tuple[int, int]]], folder: Path, turns: int
) -> list[tuple[int, int]]:
    with served(folder) as server:
        return list(hold(server, turns))
