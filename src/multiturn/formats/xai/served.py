"""As a server: the small messages beside requests and replies. What names a stored or deferred answer, what a request
leaves behind to be told again."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from multiturn.errors import InvalidInput
from multiturn.formats.xai.incoming import read
from multiturn.formats.xai.outgoing import to_usage
from multiturn.formats.xai.wire import (
    MessageToDict,
    ParseDict,
    ParseError,
    Proto,
    chat_pb2,
    deferred_pb2,
    dumps,
)
from multiturn.messages import Usage

# --- what names an answer -------------------------------------------------------------------------------------------


def read_stored(body: bytes) -> str:
    """The id in a `GetStoredCompletionRequest` or a `DeleteStoredCompletionRequest`. Raises `InvalidInput`."""
    id: str = read(chat_pb2.GetStoredCompletionRequest, body).response_id
    return id


def read_deferred(body: bytes) -> str:
    """The id in a `GetDeferredRequest`. Raises `InvalidInput`."""
    id: str = read(deferred_pb2.GetDeferredRequest, body).request_id
    return id


def encode_deleted(id: str) -> bytes:
    return dumps(chat_pb2.DeleteStoredCompletionResponse(response_id=id))


def encode_started(id: str) -> bytes:
    return dumps(deferred_pb2.StartDeferredResponse(request_id=id))


def encode_deferred(reply: bytes | None) -> bytes:
    """What has become of a deferred request: the reply, as `encode_reply` made it, or nothing yet."""
    if reply is None:
        return dumps(chat_pb2.GetDeferredCompletionResponse(status=deferred_pb2.PENDING))
    done = chat_pb2.GetDeferredCompletionResponse(status=deferred_pb2.DONE)
    done.response.ParseFromString(reply)
    return dumps(done)


def encode_compaction(id: str, content: str, dropped: int, usage: Usage | None) -> bytes:
    """A `CompactContextResponse`; `dropped` is how many messages are not in it as they were."""
    used = None if usage is None else to_usage(usage)
    return dumps(
        chat_pb2.CompactContextResponse(id=id, encrypted_content=content, dropped_message_count=dropped, usage=used)
    )


# --- what is kept of a request --------------------------------------------------------------------------------------


def settings_of(asked: Proto) -> bytes:
    """The request without its messages: small, whatever was said."""
    return dumps(_without(asked, ("messages",)))


def to_json(asked: Proto, without: Container[str]) -> dict[str, Any]:
    """The request's fields but these, by their names in protobuf's JSON."""
    fields: dict[str, Any] = MessageToDict(_without(asked, without), preserving_proto_field_name=True)
    return fields


def _without(asked: Proto, names: Container[str]) -> Proto:
    fields = {field.name: value for field, value in asked.ListFields() if field.name not in names}
    return chat_pb2.GetCompletionsRequest(**fields)


def from_json(fields: Mapping[str, Any]) -> bytes:
    """The request with these fields. Raises `InvalidInput` for what the wheel does not read."""
    try:
        return dumps(ParseDict(fields, chat_pb2.GetCompletionsRequest(), ignore_unknown_fields=True))
    except ParseError as error:
        raise InvalidInput(f"what was kept of a request to xAI's API cannot be read: {error}") from error
