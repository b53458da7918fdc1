"""Anthropic's Messages API. What requests hold is what `formats.anthropic` reads, which passes fields on that it does
not know."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from multiturn.formats.anthropic.wire import IncomingBlock, TextBlock
from multiturn.server.openapi.operations import Api, Operation


class ErrorDetails(Struct):
    type: str
    message: str


class Error(Struct, tag_field="type", tag="error"):
    """What went wrong, as Anthropic tells it; in a stream too."""

    error: ErrorDetails
    request_id: str | None


ERROR = "AnthropicError"
"""What that is called in the document."""

# --- what is asked --------------------------------------------------------------------------------------------------


class Said(Struct):
    """A message of a request."""

    role: Literal["assistant", "system", "user"]
    content: str | list[IncomingBlock]


class ToolChoice(Struct):
    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Tool(Struct):
    """One that the client runs; those that Anthropic runs have other fields, and reach only its own models."""

    name: str
    input_schema: dict[str, Any] | None = None
    type: str | None = None
    description: str | None = None
    strict: bool | None = None


class Thinking(Struct):
    type: str
    budget_tokens: int | None = None


class Format(Struct):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct):
    effort: str | None = None
    format: Format | None = None


class RequestMetadata(Struct):
    user_id: str | None = None


class CountRequest(Struct, kw_only=True):
    """What a model would be asked."""

    model: str
    messages: Annotated[list[Said], Meta(min_length=1)]
    system: str | list[TextBlock] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    cache_control: Any = None


class Request(CountRequest, kw_only=True):
    """What a model is asked, with all that was said so far."""

    max_tokens: int
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    metadata: RequestMetadata | None = None
    stream: bool | None = None


# --- what is answered -----------------------------------------------------------------------------------------------


class Text(Struct, tag_field="type", tag="text"):
    text: str
    citations: list[dict[str, Any]] | None = None


class Thought(Struct, tag_field="type", tag="thinking"):
    thinking: str
    signature: str


class RedactedThought(Struct, tag_field="type", tag="redacted_thinking"):
    data: str


class ToolUse(Struct, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]


Block: TypeAlias = Text | Thought | RedactedThought | ToolUse
"""What Anthropic's own models answer may hold blocks of other types, as they came."""

StopReason: TypeAlias = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"]


class Refused(Struct, tag_field="type", tag="refusal"):
    category: str | None
    explanation: str | None


class OutputDetails(Struct):
    thinking_tokens: int


class Usage(Struct):
    """Tokens that came from a cache, or went into one, are not among the `input_tokens`."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens_details: OutputDetails


class Message(Struct, tag_field="type", tag="message"):
    id: str
    role: Literal["assistant"]
    model: str
    content: list[Block]
    stop_reason: StopReason
    stop_sequence: str | None
    stop_details: Refused | None
    usage: Usage


class Count(Struct):
    input_tokens: int


# --- its stream -----------------------------------------------------------------------------------------------------


class Begun(Struct, tag_field="type", tag="message"):
    """A message of which nothing has been said yet."""

    id: str
    role: Literal["assistant"]
    model: str
    content: list[Block]
    stop_reason: None
    stop_sequence: None
    usage: Usage


class MessageStart(Struct, tag_field="type", tag="message_start"):
    message: Begun


class BlockStart(Struct, tag_field="type", tag="content_block_start"):
    index: int
    content_block: Block


class TextDelta(Struct, tag_field="type", tag="text_delta"):
    text: str


class ThinkingDelta(Struct, tag_field="type", tag="thinking_delta"):
    thinking: str


class SignatureDelta(Struct, tag_field="type", tag="signature_delta"):
    signature: str


class InputDelta(Struct, tag_field="type", tag="input_json_delta"):
    partial_json: str


class CitationsDelta(Struct, tag_field="type", tag="citations_delta"):
    citation: dict[str, Any]


class BlockDelta(Struct, tag_field="type", tag="content_block_delta"):
    index: int
    delta: TextDelta | ThinkingDelta | SignatureDelta | InputDelta | CitationsDelta


class BlockStop(Struct, tag_field="type", tag="content_block_stop"):
    index: int


class Stopped(Struct):
    stop_reason: StopReason
    stop_sequence: str | None
    stop_details: Refused | None


class MessageDelta(Struct, tag_field="type", tag="message_delta"):
    delta: Stopped
    usage: Usage


class MessageStop(Struct, tag_field="type", tag="message_stop"):
    pass


class Ping(Struct, tag_field="type", tag="ping"):
    pass


Event: TypeAlias = MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | Ping | Error

API = Api(
    "Anthropic Messages",
    (
        Operation("POST", "/v1/messages", "createMessage", "An answer", Message, Request, events=Event, asks=True),
        Operation(
            "POST",
            "/v1/messages/count_tokens",
            "countMessageTokens",
            "How many tokens a request would take, by our own count",
            Count,
            CountRequest,
        ),
    ),
    Error,
    prefix="Anthropic",
)
