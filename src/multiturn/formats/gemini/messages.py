"""Our messages as Gemini's contents, and what becomes of that which the format does not know.

- Contents alternate between `user` and `model`: what one role says in a row, within one turn, stands in one content,
  part by part. A turn that begins as the one before it ended has a content of its own.
- The parts of an answer keep their order and their signatures. A text without words or a signature is not sent.
- System words in the history are said by the user, in their place, between `<system>` and `</system>`.
- All results of one answer's calls are one content of role `user` and come first in it, wherever they stood after the
  answer; then media that a function response cannot hold, under a line that names the function; then the other words.
- A function response needs a name: its call's within the same turn, else the result's own, else what is in an id that
  we made, else the id.
- A result that is a JSON object is sent as it is, other text as `{"output": …}`, an error as `{"error": …}`.
- A call that nobody answered before the conversation went on is answered with `{"error": "no result"}`.
- The first call of an answer that Gemini did not write carries Google's dummy signature, if the dialect says so.
- Media whose type nobody named are sent with the type that their name suggests, else without one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Literal

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.gemini.calls import name_in
from multiturn.formats.gemini.content import model_parts, stand_in_for, user_parts
from multiturn.formats.gemini.dialect import Dialect
from multiturn.formats.gemini.results import function_response, no_response
from multiturn.formats.gemini.wire import AnyPart, Content, Part
from multiturn.formats.switching import switched
from multiturn.messages import Message, ToolCall, ToolResult
from multiturn.messages import Part as OurPart

CANNOT_CARRY: Mapping[str, str] = {
    "System message": "Said by the user between `<system>` and `</system>`; instructions are a system instruction.",
    "Message.name": "Dropped.",
    "Message.id": "Dropped; so are usage, finish reason and metadata.",
    "Message without content": "Not sent.",
    "Text.citations": "Citations of earlier answers are not sent back.",
    "Text.id": "Dropped; so is the phase.",
    "Refusal": "Sent as text.",
    "Image.detail": "Dropped; `mediaResolution` in `generationConfig` is for the whole request.",
    "Audio.transcript": "Dropped beside a recording; without one, it is sent as text.",
    "Audio.id": "Dropped.",
    "File.name": "Not sent; it helps to guess the type.",
    "Uploaded at another provider": "A note; in new input, `InvalidInput`.",
    "ToolCall of kind custom": "Sent as a function with the one argument `input`.",
    "ToolCall.name that Gemini does not take": "What is not a letter, a digit or one of `_.:-` becomes `_`.",
    "ToolCall.arguments that are no JSON object": 'Sent as `{"invalid_json": …}`.',
    "ToolCall.id": "Dropped.",
    "ToolCall outside an answer": "Dropped.",
    "ToolResult.id": "Dropped.",
    "Media of a ToolResult": "Pictures, PDF and plain text in it; all else after the results, under a line.",
    "Reasoning.summary": "Sent as its text.",
    "Reasoning.id": "Dropped; so is encrypted content.",
    "Reasoning outside an answer": "Dropped.",
    "Opaque": "Dropped, unless the same provider made it in this format.",
}
"""What does not go over the wire as it is, and what becomes of it."""

_encoder = msgspec.json.Encoder()


def encode_messages(messages: Sequence[Message], dialect: Dialect) -> bytes:
    """The messages as JSON objects joined by commas, without brackets; empty where there is nothing to send. Raises
    `InvalidInput` for text that is not Unicode."""
    try:
        return _json(stretch.content for stretch in _stretches(messages, dialect))
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a message holds half a surrogate pair, which is not Unicode text: {error}") from error


def unanswered(messages: Sequence[Message], dialect: Dialect) -> bytes:
    """The content that answers the calls with which these messages end, for where nobody does; empty if they do not
    end with calls."""
    if not any(message.tool_calls for message in messages):
        return b""
    last = _stretches(messages, dialect)[-1:]
    return _json(Content("user", [no_response(call) for call in each.calls]) for each in last if each.calls)


def _json(contents: Iterable[Content]) -> bytes:
    return _encoder.encode(list(contents))[1:-1]


class _Stretch:
    """What one role says in a row."""

    def __init__(self, role: Literal["user", "model"]) -> None:
        self.role = role
        self.calls: list[ToolCall] = []
        self.answered: list[str] = []
        self.responses: list[Part] = []
        self.media: list[Part] = []  # of the responses
        self.said: list[AnyPart] = []

    @property
    def content(self) -> Content:
        return Content(self.role, [*self.responses, *self.media, *self.said])


class _Gathering:
    """The stretches of a conversation in the making; none is empty, and neighbours differ in role."""

    def __init__(self, dialect: Dialect) -> None:
        self.stretches: list[_Stretch] = []
        self._dialect = dialect
        self._names: dict[str, str] = {}  # of the functions, by call id

    def add(self, message: Message) -> None:
        self._names.update((call.call_id, call.name) for call in message.tool_calls)
        for are_results, parts in groupby(message.parts, lambda part: isinstance(part, ToolResult)):
            if are_results:
                self._answer(part for part in parts if isinstance(part, ToolResult))
            else:
                self._say(message, tuple(parts))

    def _at(self, role: Literal["user", "model"]) -> _Stretch:
        if not self.stretches or self.stretches[-1].role != role:
            self.stretches.append(_Stretch(role))
        return self.stretches[-1]

    def _say(self, message: Message, parts: Sequence[OurPart]) -> None:
        of_model = message.role == "assistant"
        stand_in = stand_in_for(message, self._dialect)
        said = model_parts(parts, stand_in=stand_in) if of_model else user_parts(message, parts)
        if said:
            stretch = self._at("model" if of_model else "user")
            stretch.said += said
            stretch.calls += (part for part in parts if of_model and isinstance(part, ToolCall))

    def _answer(self, results: Iterable[ToolResult]) -> None:
        stretch = self._at("user")
        for result in results:
            call_id = result.call_id
            name = self._names.get(call_id) or result.name or name_in(call_id) or call_id
            response, media = function_response(result, name, self._dialect)
            stretch.answered.append(call_id)
            stretch.responses.append(response)
            stretch.media += media


def _stretches(messages: Iterable[Message], dialect: Dialect) -> list[_Stretch]:
    gathering = _Gathering(dialect)
    for message in switched(messages, dialect):
        gathering.add(message)
    for stretch, after in pairwise(gathering.stretches):
        waiting = Counter(after.answered)
        for call in stretch.calls:
            waiting[call.call_id] -= 1
            if waiting[call.call_id] < 0:
                after.responses.append(no_response(call))
    return gathering.stretches
