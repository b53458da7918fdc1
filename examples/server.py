"""The server: `multiturn serve` on a port that is free, and OpenAI's own client, which is told nothing but its address.

With a model's name it asks that one: `python examples/server.py openai:gpt-5-mini`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from openai import OpenAI


def main(model: str = "offline") -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/chats.db"
        with serving(store) as client:
            first = client.responses.create(model=model, input="My name is Alice.")
            named = client.responses.create(model=model, input="What's my name?", previous_response_id=first.id)
            print(f" bot › {named.output_text}")

            print(" bot › ", end="")
            asked = client.responses.stream(model=model, input="What is 15 * 23?", previous_response_id=named.id)
            with asked as stream:
                for event in stream:
                    if event.type == "response.output_text.delta":
                        print(event.delta, end="", flush=True)
                last = stream.get_final_response()
            print()

        with serving(store) as client:  # another process, which finds what the first one has kept
            print("after a restart ›", client.responses.retrieve(last.id).output_text)
            divided = client.responses.create(model=model, input="Divide that by 5.", previous_response_id=last.id)
            print(f" bot › {divided.output_text}")
            read = list(client.responses.input_items.list(divided.id))
            print(f"for which the model has read {len(read)} messages, of which one was sent")


@contextmanager
def serving(store: str) -> Iterator[OpenAI]:
    """A client of a server of this store, which ends with the block."""
    command = [sys.executable, "-m", "multiturn", "serve", "--store", store, "--port", "0", "--log-format", "json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            with OpenAI(base_url=f"http://127.0.0.1:{port_of(server)}/v1", api_key="any") as client:
                yield client
        finally:
            server.terminate()  # it lets running answers finish
            server.communicate()


def port_of(server: subprocess.Popen[str]) -> int:
    """Where it listens, as its log says."""
    for line in server.stderr or ():
        record = json.loads(line)
        if record["message"] == "listening":
            return int(record["port"])
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    main(*sys.argv[1:])
