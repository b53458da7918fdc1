"""The small messages of xAI's service, as a server reads and writes them."""

from __future__ import annotations

import pytest
from xai_sdk import chat as sdk
from xai_sdk.proto import chat_pb2, deferred_pb2

from multiturn.deltas import Answer
from multiturn.errors import InvalidInput
from multiturn.formats.xai import Dialect
from multiturn.formats.xai.outgoing import encode_reply
from multiturn.formats.xai.served import (
    encode_compaction,
    encode_deferred,
    encode_deleted,
    encode_started,
    from_json,
    read_deferred,
    read_stored,
    settings_of,
    to_json,
)
from multiturn.messages import Usage, assistant


def test_ids_are_read_and_told() -> None:
    assert read_stored(chat_pb2.GetStoredCompletionRequest(response_id="r1").SerializeToString()) == "r1"
    assert read_stored(chat_pb2.DeleteStoredCompletionRequest(response_id="r1").SerializeToString()) == "r1"
    assert read_deferred(deferred_pb2.GetDeferredRequest(request_id="r1").SerializeToString()) == "r1"
    assert chat_pb2.DeleteStoredCompletionResponse.FromString(encode_deleted("r1")).response_id == "r1"
    assert deferred_pb2.StartDeferredResponse.FromString(encode_started("r1")).request_id == "r1"
    for read in (read_stored, read_deferred):
        with pytest.raises(InvalidInput, match="the request is not a Get"):
            read(b"\xff")


def test_a_deferred_reply_is_pending_or_done() -> None:
    reply = encode_reply(Answer(assistant("Hi.")), id="r1", created=1, model="m", dialect=Dialect())
    pending = chat_pb2.GetDeferredCompletionResponse.FromString(encode_deferred(None))
    done = chat_pb2.GetDeferredCompletionResponse.FromString(encode_deferred(reply))
    assert (pending.status, pending.HasField("response")) == (deferred_pb2.PENDING, False)
    assert (done.status, done.response.SerializeToString()) == (deferred_pb2.DONE, reply)


def test_a_compaction_is_what_the_sdk_reads() -> None:
    data = encode_compaction("c1", "blob", 7, Usage(input_tokens=9, output_tokens=3))
    made = sdk.CompactContextResponse(chat_pb2.CompactContextResponse.FromString(data))
    assert (made.id, made.encrypted_content, made.dropped_message_count) == ("c1", "blob", 7)
    assert made.usage.total_tokens == 12
    assert not chat_pb2.CompactContextResponse.FromString(encode_compaction("c1", "", 0, None)).HasField("usage")


ASKED = chat_pb2.GetCompletionsRequest(
    model="m",
    messages=[sdk.user("hi")],
    n=1,
    temperature=0.7,
    stop=["x"],
    tools=[sdk.tool("f", "does f", {"type": "object"})],
    response_format={"format_type": "FORMAT_TYPE_JSON_SCHEMA", "schema": "{}"},
    include=["INCLUDE_OPTION_INLINE_CITATIONS"],
    previous_response_id="r0",
    store_messages=True,
)


def test_what_is_kept_of_a_request_makes_it_again() -> None:
    without = chat_pb2.GetCompletionsRequest()
    without.CopyFrom(ASKED)
    without.ClearField("messages")
    assert chat_pb2.GetCompletionsRequest.FromString(settings_of(ASKED)) == without
    fields = to_json(ASKED, without=("messages", "model"))
    assert fields["temperature"] == 0.7
    assert "model" not in fields
    again = from_json({**fields, "model": "m", "of_another_version": 1})
    assert chat_pb2.GetCompletionsRequest.FromString(again) == without


def test_what_cannot_be_read_again_is_refused() -> None:
    with pytest.raises(InvalidInput, match="what was kept of a request"):
        from_json({"temperature": "warm"})
