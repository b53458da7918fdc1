"""`OfflineModel`: the model that is always there. Deterministic, without a network or a key, and small."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Iterator

import msgspec

from multiturn.deltas import Answer, Delta, TextDelta, ToolCallDelta
from multiturn.errors import InvalidInput
from multiturn.messages import Message, Origin, Part, Reasoning, Refusal, Text, ToolCall, ToolResult, Usage
from multiturn.models.offline.dialogue import Dialogue
from multiturn.models.offline.skills import reply
from multiturn.models.offline.tools import calls_for
from multiturn.models.offline.typed import typed_answer
from multiturn.request import Request, Settings

_ORIGIN = Origin(provider="offline", model="offline", format="offline")
_DELAY = "MULTITURN_OFFLINE_DELAY_MS"
_TOKEN = re.compile(r"\s*\S{1,16}\s*|\s+")
_MEDIUM_TOKENS = 85
_OTHER_WORDS = ("In other words: ", "Put differently: ", "Once more: ")
_MOST_CHOICES = 128


class OfflineModel:
    """A model for tests and first steps; it says of itself that it is one. See `skills` for what it can do.

    `delay_s` is the pause after each streamed word, in seconds; without it the variable `MULTITURN_OFFLINE_DELAY_MS`
    is read, here and now. A call that does not stream takes as long as one that does.
    """

    provider = "offline"
    name = "offline"

    def __init__(self, *, delay_s: float | None = None) -> None:
        self.delay_s = _delay_from_environment() if delay_s is None else delay_s

    async def answer(self, request: Request) -> AsyncGenerator[Delta | Answer, None]:
        """The words one by one if `request.stream`, then the `Answer`. Raises `RequestRejected` where `tool_choice`
        names a tool that is not offered."""
        answer = answer_to(request)
        for delta in _deltas(answer.message.parts):
            if request.stream:
                yield delta
            if request.stream or self.delay_s:
                await asyncio.sleep(self.delay_s)
        yield answer

    async def aclose(self) -> None:
        """Nothing to let go of."""


def answer_to(request: Request) -> Answer:
    """The whole answer, without waiting. A pure function of the request."""
    dialogue = Dialogue(request)
    settings = request.settings
    read = _tokens_read(request, dialogue)
    if calls := calls_for(dialogue):
        written = sum(tokens(call.name) + tokens(call.arguments) for call in calls)
        return Answer(_message(calls, "tool_calls", Usage(input_tokens=read, output_tokens=written)))
    cut = [_cut(text, settings) for text in _choices(dialogue)]
    usage = Usage(input_tokens=read, output_tokens=sum(tokens(text) for text, _ in cut))
    messages = [_message((Text(text=text),) if text else (), reason) for text, reason in cut]
    return Answer(msgspec.structs.replace(messages[0], usage=usage), tuple(messages[1:]))


def tokens(text: str) -> int:
    """How many tokens we say that a text has: its words, where every 16 characters of a longer word are one more."""
    return len(_TOKEN.findall(text))


def _choices(dialogue: Dialogue) -> list[str]:
    """As many texts as were asked for: the same answer, otherwise begun. JSON cannot be begun otherwise."""
    settings = dialogue.request.settings
    others = range(2, min(settings.choices or 1, _MOST_CHOICES) + 1)
    if settings.output:
        text = typed_answer(settings.output, dialogue)
        return [text, *(text for _ in others)]
    text = reply(dialogue)
    return [text, *(f"{_other_words(n)}{text}" for n in others)]


def _other_words(number: int) -> str:
    """How the choice of this number begins."""
    return _OTHER_WORDS[number - 2] if number - 2 < len(_OTHER_WORDS) else f"Choice {number}: "


def _cut(text: str, settings: Settings) -> tuple[str, str]:
    """The text up to the first stop sequence and the limit of tokens, and why it ends."""
    stops = [at for stop in settings.stop if stop and (at := text.find(stop)) >= 0]
    text = text[: min(stops)] if stops else text
    pieces = _TOKEN.findall(text)
    limit = settings.max_output_tokens
    if limit is not None and len(pieces) > limit:
        return "".join(pieces[:limit]).rstrip(), "length"
    return text, "stop"


def _message(parts: tuple[Part, ...], reason: str, usage: Usage | None = None) -> Message:
    return Message(role="assistant", parts=parts, origin=_ORIGIN, usage=usage, finish_reason=reason)


def _tokens_read(request: Request, dialogue: Dialogue) -> int:
    """Everything that was read: instructions, messages, tools, the schema. A picture or a file counts as 85."""
    schemas = [tool.parameters for tool in request.tools]
    if request.settings.output and request.settings.output.schema:
        schemas.append(request.settings.output.schema)
    texts = [request.instructions or "", *(f"{tool.name} {tool.description}" for tool in request.tools)]
    texts += [bytes(schema).decode() for schema in schemas]
    texts += [text for message in dialogue.messages for part in message.parts for text in _texts(part)]
    return tokens("\n".join(texts)) + _MEDIUM_TOKENS * len(dialogue.media)


def _texts(part: Part) -> Iterator[str]:
    match part:
        case Text() | Refusal() | Reasoning():
            yield part.text
        case ToolCall():
            yield from (part.name, part.arguments)
        case ToolResult():
            yield part.text


def _deltas(parts: tuple[Part, ...]) -> Iterator[Delta]:
    """The words of a text, each with the space after it; of a tool call its id and name, then its arguments."""
    for index, part in enumerate(parts):
        match part:
            case Text():
                yield from (TextDelta(piece) for piece in _TOKEN.findall(part.text))
            case ToolCall():
                yield ToolCallDelta(index, part.call_id, part.name)
                yield from (ToolCallDelta(index, arguments=piece) for piece in _TOKEN.findall(part.arguments))


def _delay_from_environment() -> float:
    written = os.environ.get(_DELAY, "").strip()
    try:
        delay_s = float(written or 0) / 1000
    except ValueError:
        delay_s = -1.0
    if not 0 <= delay_s < float("inf"):
        raise InvalidInput(f"{_DELAY} is {written!r}; it must be a number of milliseconds, 0 or more")
    return delay_s
