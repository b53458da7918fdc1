"""The shapes on the wire. What we send and what our server reads is strict; what providers answer is read leniently,
since many servers speak this format and each a little differently: every field may be missing or null."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

T = TypeVar("T")


# --- messages of a request ------------------------------------------------------------------------------------------


class TextPart(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class RefusalPart(msgspec.Struct, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(msgspec.Struct, omit_defaults=True):
    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class VideoUrl(msgspec.Struct):
    url: str


class VideoPart(msgspec.Struct, tag_field="type", tag="video_url"):
    video_url: VideoUrl


class InputAudio(msgspec.Struct):
    data: bytes
    format: str


class AudioPart(msgspec.Struct, tag_field="type", tag="input_audio"):
    input_audio: InputAudio


class FileData(msgspec.Struct, omit_defaults=True):
    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None


class FilePart(msgspec.Struct, tag_field="type", tag="file"):
    file: FileData


ContentPart: TypeAlias = TextPart | RefusalPart | ImagePart | VideoPart | AudioPart | FilePart
Content: TypeAlias = ContentPart | Raw
CONTENT_TYPES = ("text", "image_url", "input_audio", "file", "video_url", "refusal")


class Function(msgspec.Struct):
    name: str
    arguments: str


class Custom(msgspec.Struct):
    name: str
    input: str


class ToolCallItem(msgspec.Struct):
    id: str
    type: Literal["function", "custom"] = "function"
    function: Function | UnsetType = UNSET
    custom: Custom | UnsetType = UNSET


class AudioRef(msgspec.Struct):
    id: str


class OutgoingMessage(msgspec.Struct, omit_defaults=True):
    """A message as we send it. `content` is a string, a list or, where it is null on the wire, None."""

    role: str
    content: str | list[Content] | UnsetType | None = UNSET
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    name: str | None = None
    audio: AudioRef | None = None
    tool_calls: list[ToolCallItem] | None = None
    tool_call_id: str | None = None


class IncomingMessage(msgspec.Struct):
    """A message as a client sends it to our server."""

    role: str
    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    name: str | None = None
    audio: AudioRef | None = None
    tool_calls: list[ToolCallItem] | None = None
    tool_call_id: str | None = None
    function_call: Any = None


# --- replies and chunks ---------------------------------------------------------------------------------------------

Count: TypeAlias = int | float | None


class ReplyFunction(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ReplyCustom(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class ReplyToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: ReplyFunction | None = None
    custom: ReplyCustom | None = None


class ReplyAudio(msgspec.Struct):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None


class ReplyMessage(msgspec.Struct):
    """What a model said: a whole message, or a chunk's stretch of it."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[ReplyToolCall] | None = None
    function_call: ReplyFunction | None = None
    audio: ReplyAudio | None = None
    annotations: Any = None
    images: Any = None


class InputDetails(msgspec.Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None


class OutputDetails(msgspec.Struct):
    reasoning_tokens: Count = None


class ReplyUsage(msgspec.Struct):
    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    cached_tokens: Count = None  # Moonshot
    prompt_cache_hit_tokens: Count = None  # DeepSeek
    cost: Any = None  # OpenRouter, in dollars
    cost_in_usd_ticks: Count = None  # xAI, 10 000 000 000 to the dollar


class Choice(msgspec.Struct):
    index: int | None = None
    message: ReplyMessage | None = None
    delta: ReplyMessage | None = None
    finish_reason: str | None = None
    usage: ReplyUsage | None = None  # Moonshot, in streams
    error: Any = None  # OpenRouter


class Completion(msgspec.Struct):
    """A whole reply, or one chunk of a stream."""

    id: str | int | None = None
    object: Any = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: ReplyUsage | None = None
    error: Any = None
    citations: Any = None  # Perplexity, xAI: addresses


COMPLETION: msgspec.json.Decoder[Completion] = msgspec.json.Decoder(Completion, strict=False)


# --- a chunk of text and nothing else -------------------------------------------------------------------------------

Nothing: TypeAlias = Literal[""] | None


class PlainDelta(msgspec.Struct):
    content: str
    refusal: Nothing = None
    reasoning_content: Nothing = None
    reasoning: Nothing = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None
    annotations: None = None
    images: None = None


class PlainChoice(msgspec.Struct):
    delta: PlainDelta
    index: Literal[0] | None = None
    message: None = None
    finish_reason: Nothing = None
    usage: None = None
    error: None = None


class PlainChunk(msgspec.Struct):
    """What nearly all chunks of a stream are. One that is read as this says nothing but its text."""

    choices: tuple[PlainChoice]
    object: Literal["chat.completion.chunk"] | None = None
    usage: None = None
    error: None = None
    citations: None = None


PLAIN_CHUNK: msgspec.json.Decoder[PlainChunk] = msgspec.json.Decoder(PlainChunk)
