"""The shapes on the wire. What we send is strict; what comes is read leniently: every field may be missing or null, and
parts are kept as raw JSON, for what we do not know is replayed byte for byte."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

# --- what we send ---------------------------------------------------------------------------------------------------


class Blob(msgspec.Struct, rename="camel"):
    mime_type: str
    data: bytes


class FileData(msgspec.Struct, rename="camel", omit_defaults=True):
    file_uri: str
    mime_type: str | None = None


class FunctionCall(msgspec.Struct, omit_defaults=True):
    """`args` is the model's own JSON text."""

    name: str
    args: Raw
    id: str | None = None


class FunctionResponse(msgspec.Struct, omit_defaults=True):
    """`response` is a JSON object; `parts` hold media."""

    name: str
    response: Raw
    id: str | None = None
    parts: list[Part] | None = None


class Part(msgspec.Struct, rename="camel", omit_defaults=True):
    """One part; exactly one of its kinds is set."""

    function_response: FunctionResponse | None = None
    text: str | UnsetType = UNSET
    thought: bool = False
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    thought_signature: str | None = None


AnyPart: TypeAlias = Part | Raw


class Content(msgspec.Struct):
    role: Literal["user", "model"]
    parts: list[AnyPart]


# --- what comes -----------------------------------------------------------------------------------------------------

Count: TypeAlias = int | float | None


class ReadBlob(msgspec.Struct, rename="camel"):
    mime_type: str | None = None
    data: str | None = None


class ReadFile(msgspec.Struct, rename="camel"):
    file_uri: str | None = None
    mime_type: str | None = None


class PartialArg(msgspec.Struct, rename="camel"):
    """A stretch of one argument, at a JSON path such as `$.places[0].name` (Vertex AI)."""

    json_path: str = "$"
    string_value: str | None = None
    number_value: int | float | None = None
    bool_value: bool | None = None


class ReadCall(msgspec.Struct, rename="camel"):
    name: str | None = None
    args: Raw = Raw()
    id: str | None = None
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class ReadMedia(msgspec.Struct, rename="camel"):
    inline_data: ReadBlob | None = None
    file_data: ReadFile | None = None


class ReadResponse(msgspec.Struct):
    name: str | None = None
    response: Raw = Raw()
    id: str | None = None
    parts: list[ReadMedia] | None = None


class ReadPart(ReadMedia, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: ReadCall | None = None
    function_response: ReadResponse | None = None


class ReadContent(msgspec.Struct):
    parts: list[Raw] | None = None
    role: str | None = None


class Candidate(msgspec.Struct, rename="camel"):
    content: ReadContent | None = None
    finish_reason: str | None = None
    index: int | None = None
    citation_metadata: Any = None
    grounding_metadata: Any = None


class Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class Counts(msgspec.Struct, rename="camel"):
    prompt_token_count: Count = None
    tool_use_prompt_token_count: Count = None
    candidates_token_count: Count = None
    thoughts_token_count: Count = None
    cached_content_token_count: Count = None


class Generated(msgspec.Struct, rename="camel"):
    """A whole reply, or one event of a stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Counts | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


GENERATED: msgspec.json.Decoder[Generated] = msgspec.json.Decoder(Generated, strict=False)
PART: msgspec.json.Decoder[ReadPart] = msgspec.json.Decoder(ReadPart, strict=False)
