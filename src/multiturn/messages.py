"""What was said, provider-neutral: `Message`, the parts it is made of, and `Usage`.

Plain frozen values. Identity and ancestry belong to turns and stores, so messages of equal content are equal, and
`decode(encode(message)) == message` for every message. Nothing here knows a wire format; each module in `formats/`
says what it makes of every kind of part.

Fields that only their own provider understands (`id`, `signature`, `encrypted`, an `Opaque` item, an `Uploaded` file)
are kept whole. They are scoped by `Message.origin` and never shown to another provider.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
Detail: TypeAlias = Literal["auto", "low", "high", "original"]


class _Value(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, repr_omit_defaults=True):
    """The common shape: frozen, and silent in JSON about what is not set. Values hold values and can form no cycle, so
    that the garbage collector need not look at them: loading a long history is a third faster."""


# --- where the bytes of an image, a recording or a file are ---------------------------------------------------------


class Url(_Value, frozen=True, gc=False, tag="url"):
    """Somewhere on the web; whoever answers fetches it. A `data:` URL becomes `Inline` instead."""

    url: str
    media_type: str | None = None


class Inline(_Value, frozen=True, gc=False, tag="inline"):
    """The bytes themselves; base64 in JSON."""

    data: bytes
    media_type: str


class Uploaded(_Value, frozen=True, gc=False, tag="uploaded"):
    """A file that one provider already holds, under that provider's id."""

    file_id: str
    provider: str
    media_type: str | None = None


Source: TypeAlias = Url | Inline | Uploaded


class Origin(_Value, frozen=True, gc=False):
    """Who produced a message: the provider, the model as the provider reported it, and the format it came in."""

    provider: str
    model: str | None = None
    format: str | None = None


# --- parts ----------------------------------------------------------------------------------------------------------


class Citation(_Value, frozen=True, gc=False):
    """What a passage of text rests on. `start` and `end` are positions, end-exclusive, in `unit`s."""

    url: str | None = None
    title: str | None = None
    quote: str | None = None
    start: int | None = None
    end: int | None = None
    unit: Literal["answer_character", "source_character", "page", "block"] = "answer_character"
    document: int | None = None  # which of the request's documents, from 0
    file_id: str | None = None
    id: str | None = None  # the provider's own handle, such as Anthropic's encrypted_index


class Text(_Value, frozen=True, gc=False, tag="text"):
    """Words. `id` is the provider's item that they stand in, where an answer has several; `phase` OpenAI's mark for
    commentary before an answer."""

    text: str
    citations: tuple[Citation, ...] = ()
    signature: str | None = None  # Gemini signs text parts too
    id: str | None = None
    phase: str | None = None


class Refusal(_Value, frozen=True, gc=False, tag="refusal"):
    """The model's words when it declines."""

    text: str
    id: str | None = None


class Image(_Value, frozen=True, gc=False, tag="image"):
    source: Source
    detail: Detail | None = None


class Audio(_Value, frozen=True, gc=False, tag="audio"):
    """A recording. `id` is the provider's handle of one it made itself, by which it wants it replayed."""

    source: Source | None = None
    transcript: str | None = None
    id: str | None = None


class Video(_Value, frozen=True, gc=False, tag="video"):
    source: Source


class File(_Value, frozen=True, gc=False, tag="file"):
    source: Source
    name: str | None = None


class ToolCall(_Value, frozen=True, gc=False, tag="tool_call"):
    """A model's wish to run a tool. `arguments` is the model's own text, JSON for a `function`, parsed by whoever
    runs it; `id` is the provider's item id where it has one beside the `call_id`."""

    call_id: str
    name: str
    arguments: str = ""
    kind: Literal["function", "custom"] = "function"
    id: str | None = None
    signature: str | None = None


class ToolResult(_Value, frozen=True, gc=False, tag="tool_result"):
    """What a tool gave back for the call of the same `call_id` and `kind`. `origin` is who made that call, where it
    stands in an earlier turn."""

    call_id: str
    parts: tuple[Text | Image | Audio | Video | File, ...] = ()
    name: str | None = None
    is_error: bool = False
    id: str | None = None
    kind: Literal["function", "custom"] = "function"
    origin: Origin | None = None

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return _text_of(self.parts)


class Reasoning(_Value, frozen=True, gc=False, tag="reasoning"):
    """A model's thinking: what it shows (`text`, `summary`) and what proves it to its provider (`signature`, or
    `encrypted` content, which alone is Anthropic's redacted thinking)."""

    text: str = ""
    summary: tuple[str, ...] = ()
    id: str | None = None
    signature: str | None = None
    encrypted: str | None = None


class Opaque(_Value, frozen=True, gc=False, tag="opaque"):
    """A provider's item that we do not understand, kept byte for byte and replayed to that provider alone."""

    provider: str
    data: msgspec.Raw
    kind: str | None = None  # the item's own type, for display


Part: TypeAlias = Text | Refusal | Image | Audio | Video | File | ToolCall | ToolResult | Reasoning | Opaque


# --- usage and messages ---------------------------------------------------------------------------------------------


class Usage(_Value, frozen=True, gc=False, kw_only=True):
    """Tokens, as the provider counted them. `cached_tokens` and `cache_write_tokens` are parts of `input_tokens`;
    `reasoning_tokens` is a part of `output_tokens`. `cost_usd` is set only where the provider states it."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        costs = [cost for cost in (self.cost_usd, other.cost_usd) if cost is not None]
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cost_usd=sum(costs) if costs else None,
        )


class Message(_Value, frozen=True, gc=False):
    """One role's contribution. What a model wrote also carries its `origin`, its `usage`, why it ended
    (`finish_reason`) and the provider's own `id` of the whole answer."""

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    id: str | None = None
    origin: Origin | None = None
    usage: Usage | None = None
    finish_reason: str | None = None
    metadata: dict[str, str] | None = None

    @property
    def text(self) -> str:
        """The text parts, joined; empty if there are none."""
        return _text_of(self.parts)

    @property
    def reasoning(self) -> str:
        """The visible thinking, summaries where the provider shows only those."""
        thoughts = (part for part in self.parts if isinstance(part, Reasoning))
        return "\n".join(thought.text or "\n".join(thought.summary) for thought in thoughts)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolResult))


def _text_of(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


# --- builders -------------------------------------------------------------------------------------------------------


def _message(role: Role, content: tuple[str | Part, ...], name: str | None = None) -> Message:
    parts = tuple(Text(text=part) if isinstance(part, str) else part for part in content)
    return Message(role=role, parts=parts, name=name)


def user(*content: str | Part, name: str | None = None) -> Message:
    """A user's message of texts and parts, in the order given."""
    return _message("user", content, name)


def assistant(*content: str | Part, name: str | None = None) -> Message:
    return _message("assistant", content, name)


def system(*content: str | Part) -> Message:
    return _message("system", content)


def developer(*content: str | Part) -> Message:
    return _message("developer", content)


def tool_result(call_id: str, output: object, *, name: str | None = None, is_error: bool = False) -> Message:
    """A tool's answer to one call. A string goes out as it is, and so does a part, alone or in a list of strings and
    parts; anything else as JSON."""
    items = output if isinstance(output, list | tuple) else (output,)
    shown = tuple(Text(text=item) if isinstance(item, str) else item for item in items)
    is_data = not isinstance(output, str) and all(isinstance(item, str) for item in items)
    if is_data or not all(isinstance(item, Text | Image | Audio | Video | File) for item in shown):
        shown = (Text(text=msgspec.json.encode(output).decode()),)
    return Message(role="tool", parts=(ToolResult(call_id=call_id, parts=shown, name=name, is_error=is_error),))


def copy(message: Message) -> Message:
    """A message that shares nothing mutable with the original."""
    if message.metadata is None:
        return message
    return msgspec.structs.replace(message, metadata=dict(message.metadata))


# --- JSON -----------------------------------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """Our own JSON of a message, compact, in field order."""
    return _encoder.encode(message)


def decode(data: bytes | str) -> Message:
    """The message of such JSON. Raises `msgspec.DecodeError` or its `ValidationError`."""
    return _decoder.decode(data)
