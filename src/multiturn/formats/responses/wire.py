"""The shapes on the wire. What we send and what our server reads is strict; what providers answer is read leniently:
every field may be missing or null."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from multiturn.messages import Detail

# --- content --------------------------------------------------------------------------------------------------------


class InputText(msgspec.Struct, tag_field="type", tag="input_text"):
    text: str


class InputImage(msgspec.Struct, tag_field="type", tag="input_image", omit_defaults=True):
    """A client may leave `detail` out; we always say it, for strict servers want it."""

    detail: Detail | None = None
    image_url: str | None = None
    file_id: str | None = None


class InputFile(msgspec.Struct, tag_field="type", tag="input_file", omit_defaults=True):
    file_id: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    filename: str | None = None


class AudioData(msgspec.Struct):
    data: bytes
    format: str


class InputAudio(msgspec.Struct, tag_field="type", tag="input_audio"):
    """Read, but never sent: few models take it."""

    input_audio: AudioData


class InputVideo(msgspec.Struct, tag_field="type", tag="input_video"):
    """Of Open Responses; read, but never sent."""

    video_url: str


class OutputText(msgspec.Struct, tag_field="type", tag="output_text"):
    text: str
    annotations: list[Any] | None = None


class OutputRefusal(msgspec.Struct, tag_field="type", tag="refusal"):
    refusal: str


class SummaryText(msgspec.Struct, tag_field="type", tag="summary_text"):
    text: str


class ReasoningText(msgspec.Struct, tag_field="type", tag="reasoning_text"):
    text: str


InputContent: TypeAlias = InputText | InputImage | InputFile
OutputContent: TypeAlias = OutputText | OutputRefusal
IncomingContent: TypeAlias = InputContent | InputAudio | InputVideo | OutputContent
CONTENT_TYPES = ("input_text", "input_image", "input_file", "input_audio", "input_video", "output_text", "refusal")


# --- items that we send ---------------------------------------------------------------------------------------------


class MessageItem(msgspec.Struct, tag_field="type", tag="message", omit_defaults=True):
    role: str
    content: str | list[InputContent] | list[OutputContent]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class ReasoningItem(msgspec.Struct, tag_field="type", tag="reasoning", omit_defaults=True):
    summary: list[SummaryText]
    id: str | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None


class OutputItem(msgspec.Struct):
    """What a tool gave back; `type` is `function_call_output` or `custom_tool_call_output`."""

    type: str
    call_id: str
    output: str | list[InputContent]


Item: TypeAlias = MessageItem | ReasoningItem | OutputItem | dict[str, Any] | Raw
"""An item as it goes out. A call is a dict, for it may have fields that only its provider knows."""


# --- items that a client sends to our server ------------------------------------------------------------------------


class IncomingMessage(msgspec.Struct):
    role: str
    content: str | list[IncomingContent]
    id: str | None = None
    phase: str | None = None


class IncomingReasoning(msgspec.Struct):
    summary: list[SummaryText]
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None


class IncomingFunctionCall(msgspec.Struct):
    call_id: str
    name: str
    arguments: str


class IncomingCustomCall(msgspec.Struct):
    call_id: str
    name: str
    input: str


class IncomingPicture(msgspec.Struct):
    """A picture that a model made; of a provider's own, everything but the id may be missing."""

    id: str
    result: bytes | None = None
    output_format: str | None = None


class IncomingOutput(msgspec.Struct):
    call_id: str
    output: str | list[IncomingContent]


# --- what a provider answers ----------------------------------------------------------------------------------------

Count: TypeAlias = int | float | None


class Kind(msgspec.Struct):
    """What tells how to read an item or a tool; a message may have a role alone, a reference an id."""

    type: str | None = None
    role: Any = None
    id: Any = None


class ReplyContent(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: Any = None


class ReplyMessage(msgspec.Struct):
    id: str | None = None
    phase: str | None = None
    content: list[ReplyContent] | str | None = None


class ReplyReasoning(msgspec.Struct):
    id: str | None = None
    summary: list[ReplyContent] | None = None
    content: list[ReplyContent] | None = None
    encrypted_content: str | None = None


class ReplyCall(msgspec.Struct):
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    input: str | None = None


class InputDetails(msgspec.Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None


class OutputDetails(msgspec.Struct):
    reasoning_tokens: Count = None


class ReplyUsage(msgspec.Struct):
    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    cost: Any = None  # OpenRouter, in dollars
    cost_in_usd_ticks: Count = None  # xAI, 10 000 000 000 to the dollar


class IncompleteDetails(msgspec.Struct):
    reason: str | None = None


class Response(msgspec.Struct):
    """A whole reply, or what an event says of it."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[Raw] | None = None
    error: Any = None
    incomplete_details: IncompleteDetails | None = None
    usage: ReplyUsage | None = None


class Event(msgspec.Struct):
    """One event of a stream; which fields it has depends on its type."""

    type: str | None = None
    response: Raw = Raw()
    item: Raw = Raw()
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    input: Any = None


RESPONSE: msgspec.json.Decoder[Response] = msgspec.json.Decoder(Response, strict=False)
EVENT: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event, strict=False)
KIND: msgspec.json.Decoder[Kind] = msgspec.json.Decoder(Kind)
MESSAGE: msgspec.json.Decoder[ReplyMessage] = msgspec.json.Decoder(ReplyMessage, strict=False)
REASONING: msgspec.json.Decoder[ReplyReasoning] = msgspec.json.Decoder(ReplyReasoning, strict=False)
CALL: msgspec.json.Decoder[ReplyCall] = msgspec.json.Decoder(ReplyCall, strict=False)
FIELDS: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])
ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def own(raw: Raw | bytes) -> Raw | None:
    """A copy that does not keep everything around it in memory; None for what was absent or null."""
    data = bytes(raw)
    return None if data in (b"", b"null") else Raw(data)
