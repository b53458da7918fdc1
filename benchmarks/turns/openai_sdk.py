"""The openai SDK and a list of messages kept by hand, as its guide shows. Nothing is stored."""

# mypy: disable-error-code="import-not-found"
# The peer is in a venv of its own (see peers.py), where mypy may not be looking.

from collections.abc import Callable
from pathlib import Path

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from turns.metering import run


def open_chat(base_url: str, folder: Path) -> Callable[[str], str]:
    client = OpenAI(base_url=base_url, api_key="x")
    messages: list[ChatCompletionMessageParam] = []

    def send(text: str) -> str:
        messages.append({"role": "user", "content": text})
        completion = client.chat.completions.create(model="bench-model", messages=messages)
        reply = str(completion.choices[0].message.content)
        messages.append({"role": "assistant", "content": reply})
        return reply

    return send


if __name__ == "__main__":
    run(open_chat)
