"""The protobuf messages, from the wheel that has them, and their enumerations as our words.

The generated classes have no types that a checker could see, so `Any` comes in here, under the name `Proto`. Their
documentation is the comments in https://github.com/xai-org/xai-proto (proto/xai/api/v1/chat.proto).
"""

from __future__ import annotations

import base64
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw, json

from multiturn.errors import InvalidInput
from multiturn.formats.xai.dialect import NEEDED
from multiturn.messages import Opaque, Role

try:
    from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
    from google.protobuf.message import DecodeError, Message
    from xai_sdk.proto import chat_pb2, deferred_pb2, image_pb2, models_pb2, sample_pb2, usage_pb2
except ImportError as missing:
    raise InvalidInput(f"{NEEDED} ({missing})") from missing

__all__ = [
    "DecodeError",
    "Message",
    "MessageToDict",
    "ParseDict",
    "ParseError",
    "chat_pb2",
    "deferred_pb2",
    "image_pb2",
    "models_pb2",
    "usage_pb2",
]

Proto: TypeAlias = Any
"""A protobuf message, or a class of them."""

ROLES: dict[Role, int] = {
    "system": chat_pb2.ROLE_SYSTEM,
    "developer": chat_pb2.ROLE_DEVELOPER,
    "user": chat_pb2.ROLE_USER,
    "assistant": chat_pb2.ROLE_ASSISTANT,
    "tool": chat_pb2.ROLE_TOOL,
}
DETAILS = {
    None: image_pb2.DETAIL_AUTO,
    "auto": image_pb2.DETAIL_AUTO,
    "low": image_pb2.DETAIL_LOW,
    "high": image_pb2.DETAIL_HIGH,
    "original": image_pb2.DETAIL_HIGH,
}
EFFORTS = {
    "none": chat_pb2.EFFORT_NONE,
    "low": chat_pb2.EFFORT_LOW,
    "medium": chat_pb2.EFFORT_MEDIUM,
    "high": chat_pb2.EFFORT_HIGH,
    "xhigh": chat_pb2.EFFORT_XHIGH,
}
TOOL_MODES = {
    "auto": chat_pb2.TOOL_MODE_AUTO,
    "none": chat_pb2.TOOL_MODE_NONE,
    "required": chat_pb2.TOOL_MODE_REQUIRED,
}
FINISH_REASONS = {
    sample_pb2.REASON_STOP: "stop",
    sample_pb2.REASON_TOOL_CALLS: "tool_calls",
    sample_pb2.REASON_MAX_LEN: "length",
    sample_pb2.REASON_MAX_CONTEXT: "length",
    sample_pb2.REASON_TIME_LIMIT: "length",  # cut short by a limit, too
}
REASONS = {
    "stop": sample_pb2.REASON_STOP,
    "tool_calls": sample_pb2.REASON_TOOL_CALLS,
    "length": sample_pb2.REASON_MAX_LEN,
    "interrupted": sample_pb2.REASON_INVALID,  # the answer has not ended, and so has no reason
}
CLIENT_SIDE = (chat_pb2.TOOL_CALL_TYPE_INVALID, chat_pb2.TOOL_CALL_TYPE_CLIENT_SIDE_TOOL)
"""Tool calls that the client runs. One without a type is such a call, says chat.proto."""

COMPLETED = chat_pb2.TOOL_CALL_STATUS_COMPLETED
WHOLE_MESSAGES = ("tool_output", "compaction")
"""The kinds of opaque parts that are a message of their own: what a server-side tool gave back, and a history that
`CompactContext` made small. All others are calls of server-side tools."""


def dumps(made: Proto) -> bytes:
    data: bytes = made.SerializeToString()
    return data


def opaque(provider: str, kind: str, item: Proto) -> Opaque:
    """The item, kept byte for byte: base64 in a JSON string."""
    return Opaque(provider=provider, data=Raw(json.encode(base64.b64encode(dumps(item)).decode())), kind=kind)


def from_opaque(part: Opaque) -> Proto:
    """The item that is kept in it: a `Message` for `WHOLE_MESSAGES`, else a `ToolCall`. Raises `InvalidInput`."""
    kind = chat_pb2.Message if part.kind in WHOLE_MESSAGES else chat_pb2.ToolCall
    try:
        return kind.FromString(json.decode(part.data, type=bytes))
    except (DecodeError, msgspec.DecodeError) as error:
        raise InvalidInput(f"an opaque {part.kind} for xAI must be base64 of a protobuf message: {error}") from error


def tool_kind(call: Proto) -> str:
    """What a server-side call is of: `web_search`, `mcp`, …; `tool_12` for a type that this wheel does not know."""
    if call.type not in chat_pb2.ToolCallType.values():
        return f"tool_{call.type}"
    name: str = chat_pb2.ToolCallType.Name(call.type)
    return name.removeprefix("TOOL_CALL_TYPE_").removesuffix("_TOOL").lower()
