"""The shapes on the wire. What we send and what our server reads is strict; what comes in a reply is read leniently,
for other servers speak this format too: every field may be missing, null, or of another shape."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

# --- where the bytes of an image or a document are ------------------------------------------------------------------


class Base64Source(msgspec.Struct, tag_field="type", tag="base64"):
    media_type: str
    data: bytes


class UrlSource(msgspec.Struct, tag_field="type", tag="url"):
    url: str


class FileSource(msgspec.Struct, tag_field="type", tag="file"):
    file_id: str


class TextSource(msgspec.Struct, tag_field="type", tag="text"):
    data: str
    media_type: str = "text/plain"


ImageSource: TypeAlias = Base64Source | UrlSource | FileSource
DocumentSource: TypeAlias = Base64Source | UrlSource | FileSource | TextSource


# --- blocks of a message --------------------------------------------------------------------------------------------


class TextBlock(msgspec.Struct, tag_field="type", tag="text", omit_defaults=True):
    text: str
    citations: list[dict[str, Any]] | None = None


class ImageBlock(msgspec.Struct, tag_field="type", tag="image"):
    source: ImageSource


class DocumentBlock(msgspec.Struct, tag_field="type", tag="document", omit_defaults=True):
    source: DocumentSource
    title: str | None = None


class ThinkingBlock(msgspec.Struct, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(msgspec.Struct, tag_field="type", tag="redacted_thinking"):
    data: str


class ToolUseBlock(msgspec.Struct, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: Raw
    caller: Raw | UnsetType = UNSET
    toolset_name: str | UnsetType | None = UNSET


class ToolResultBlock(msgspec.Struct, tag_field="type", tag="tool_result", omit_defaults=True):
    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock] | UnsetType = UNSET
    is_error: bool = False


Content: TypeAlias = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | Raw
)


class OutgoingMessage(msgspec.Struct):
    """A message as we send it."""

    role: str
    content: list[Content]


class PlainMessage(msgspec.Struct):
    """The same where its content is one text."""

    role: str
    content: str


# --- what else a client may send to our server ----------------------------------------------------------------------


class ContentSource(msgspec.Struct, tag_field="type", tag="content"):
    """A document given as blocks of text and images."""

    content: str | list[Raw]


class CitationsConfig(msgspec.Struct):
    enabled: bool | None = None


class IncomingDocument(msgspec.Struct, tag_field="type", tag="document"):
    source: DocumentSource | ContentSource
    title: str | None = None
    context: str | None = None
    citations: CitationsConfig | None = None


class SearchResult(msgspec.Struct, tag_field="type", tag="search_result"):
    source: str
    title: str
    content: list[TextBlock]


class IncomingToolResult(msgspec.Struct, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | list[Raw] | None = None
    is_error: bool | None = None


IncomingBlock: TypeAlias = (
    TextBlock
    | ImageBlock
    | IncomingDocument
    | SearchResult
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | IncomingToolResult
)
INCOMING_TYPES = (
    "text",
    "image",
    "document",
    "search_result",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
)


class IncomingMessage(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Raw]


# --- replies and events ---------------------------------------------------------------------------------------------

Count: TypeAlias = int | float | None


class OutputDetails(msgspec.Struct):
    thinking_tokens: Count = None


class ReplyUsage(msgspec.Struct):
    """What was read from the cache, and what was written to it, is not part of `input_tokens`."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_read_input_tokens: Count = None
    output_tokens_details: OutputDetails | None = None


class ReplyBlock(msgspec.Struct):
    """A block that a model made, of whatever type."""

    type: Any = None
    text: Any = None
    citations: Any = None
    thinking: Any = None
    signature: Any = None
    data: Any = None
    id: Any = None
    name: Any = None
    input: Raw = Raw()
    caller: Any = None
    toolset_name: Any = None


class Reply(msgspec.Struct):
    """A whole reply, or the start of a streamed one."""

    type: Any = None
    id: Any = None
    model: str | None = None
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_details: Any = None
    usage: ReplyUsage | None = None
    error: Any = None


class Event(msgspec.Struct):
    """One event of a stream."""

    type: Any = None
    index: int | None = None
    message: Reply | None = None
    content_block: Raw = Raw()
    delta: dict[str, Any] | None = None
    usage: ReplyUsage | None = None
    error: Any = None


INCOMING_BLOCK = msgspec.json.Decoder(IncomingBlock)
REPLY_BLOCK = msgspec.json.Decoder(ReplyBlock)
REPLY = msgspec.json.Decoder(Reply, strict=False)
EVENT = msgspec.json.Decoder(Event, strict=False)
