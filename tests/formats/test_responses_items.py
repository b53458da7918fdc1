"""Items as our server shows and takes them: where their parts are, what is hidden, compaction, references."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.deltas import Answer, Delta, PartDelta, TextDelta
from multiturn.errors import InvalidInput
from multiturn.formats.responses import (
    Echo,
    StreamEncoder,
    check_metadata,
    decode_request,
    encode_items,
    encode_response,
    references,
)
from multiturn.formats.responses.compaction import as_compaction, compaction, is_compaction, opened, sealed
from multiturn.formats.responses.served_items import places_of
from multiturn.messages import (
    Image,
    Message,
    Origin,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
    assistant,
    user,
)
from multiturn.turns import Fault
from openresponses import problems
from strategies import any_message

NEW = "resp_06gvvr5qstgff9q1r2047q05q4"
THOUGHT = Reasoning(summary=("Hm.",), encrypted="gAAA")


def asked(*items: dict[str, Any], **options: Any) -> tuple[Message, ...]:
    return decode_request(json.dumps({"model": "m", "input": items}).encode(), **options).messages


# --- where parts stand ----------------------------------------------------------------------------------------------


@given(any_message())
def test_every_item_knows_its_parts_and_no_part_stands_in_two(message: Message) -> None:
    places = places_of(message)
    assert len(places) == len(encode_items([message], response_id=NEW))
    stand = [part for place in places for part in place]
    assert len(stand) == len(set(stand))
    assert set(stand) <= set(range(len(message.parts)))


def test_parts_of_one_item_stand_together() -> None:
    call = ToolCall("c1", "f")
    answer = Message(
        "assistant", (THOUGHT, Text("a"), Text(""), Refusal("b"), call, Text("c", id="m1"), Text("d", id="m2"))
    )
    assert places_of(answer) == [(0,), (1, 3), (4,), (5,), (6,)]
    results = Message("tool", (Text("x"), ToolResult("c1"), Image(Url("https://e.com/a.png")), ToolResult("c2")))
    assert places_of(results) == [(1,), (3,), (0, 2)]
    assert places_of(Message("user")) == [()]
    assert places_of(Message("assistant")) == []


# --- what is hidden -------------------------------------------------------------------------------------------------


def test_encrypted_thinking_is_hidden_everywhere() -> None:
    message = Message("assistant", (THOUGHT, Text("Hi")))
    hidden = encode_response([message], Echo(), id=NEW, created=7, model="m", encrypted=False)
    assert b"gAAA" not in hidden
    assert b"gAAA" in encode_response([message], Echo(), id=NEW, created=7, model="m")
    assert b"gAAA" not in b"".join(encode_items([message], response_id=NEW, encrypted=False))
    several: tuple[list[Delta], ...] = ([PartDelta(THOUGHT), TextDelta("Hi")], [])
    for deltas in several:
        encoder = StreamEncoder(Echo(), id=NEW, created=7, model="m", encrypted=False)
        told = b"".join([*map(encoder.encode, deltas), encoder.finish(Answer(message))])
        assert b"gAAA" not in told
        assert told.count(b"response.output_item.done") == 4  # two events, each by name and by type


def test_what_broke_off_ends_with_an_incomplete_item() -> None:
    body = encode_response([assistant("a"), assistant("b")], Echo(), id=NEW, created=7, model="m", status="cancelled")
    assert [item["status"] for item in json.loads(body)["output"]] == ["completed", "incomplete"]


def test_a_stored_fault_is_told_as_the_error_was() -> None:
    faults = {
        "RateLimited": "rate_limit_exceeded",
        "TooLong": "context_length_exceeded",
        "RequestRejected": "invalid_prompt",
        "ConnectionFailed": "server_error",
    }
    for kind, code in faults.items():
        body = encode_response([], Echo(), id=NEW, created=7, model="m", status="failed", error=Fault(kind, "Why."))
        assert json.loads(body)["error"] == {"code": code, "message": "Why."}
        assert problems(json.loads(body), "ResponseResource") == []
    for kind in ("KeyError", "annotations", "Nonsense"):  # not ours: nothing of its inside
        body = encode_response([], Echo(), id=NEW, created=7, model="m", status="failed", error=Fault(kind, "secret"))
        assert "secret" not in body.decode()


# --- compaction -----------------------------------------------------------------------------------------------------


@given(st.text())
def test_a_compaction_item_says_the_same_after_the_way_there_and_back(text: str) -> None:
    assert opened(sealed(text)) == text
    (shown,) = encode_items([compaction(text)], response_id=NEW, side="input")
    item = json.loads(shown)
    assert problems(item, "CompactionBody") == []
    assert item["id"].startswith("cmp_")
    assert asked(item, {"role": "user", "content": "Hi"}) == ((compaction(text),) if text else (message_of(item),)) + (
        user("Hi"),
    )


def message_of(item: dict[str, Any]) -> Message:
    """An item that says nothing is passed on as it is."""
    (message,) = asked(item)
    return message


@pytest.mark.parametrize("content", ["", "gAAA", "mt1.", "mt1.x", "mt1.eJw=", "mt1." + "A" * 40, sealed("a")[:-4]])
def test_what_we_did_not_make_is_not_opened(content: str) -> None:
    assert opened(content) is None


def test_a_summary_keeps_who_made_it() -> None:
    origin = Origin("openai", "m")
    summary = as_compaction(Message("assistant", (Text("a"),), origin=origin, finish_reason="length"))
    assert is_compaction(summary)
    assert (summary.origin, summary.finish_reason) == (origin, None)
    assert not is_compaction(Message("user", (Text("a"),), metadata={"item": "other"}))


# --- references -----------------------------------------------------------------------------------------------------


def test_references_are_found_and_put_in_place() -> None:
    origin = Origin("anthropic", "m")
    items = {
        "rs_1": Message("assistant", (THOUGHT,), origin=origin),
        "fc_1": Message("assistant", (ToolCall("c1", "f"),), origin=origin),
        "msg_1": user("Hello"),
    }
    sent = [
        {"type": "item_reference", "id": "msg_1"},
        {"id": "rs_1"},
        {"type": "item_reference", "id": "fc_1"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "message", "role": "assistant", "content": "One."},
    ]
    assert references(asked(*sent)) == ["msg_1", "rs_1", "fc_1"]
    hello, answer, result, one = asked(*sent, items=items)
    assert hello == user("Hello")
    assert answer == Message("assistant", (THOUGHT, ToolCall("c1", "f")), origin=origin)
    assert (result.role, one.text) == ("tool", "One.")


def test_items_that_are_known_are_passed_over() -> None:
    sent = [{"type": "message", "role": "assistant", "content": "a", "id": "msg_1"}, {"role": "user", "content": "b"}]
    assert [message.text for message in asked(*sent, known={"msg_1"})] == ["b"]
    assert len(asked({**sent[0], "id": None}, sent[1], known={"msg_1"})) == 2


def test_an_id_of_another_type_is_none() -> None:
    several: tuple[Any, ...] = ([], {}, 7)
    for id in several:
        with pytest.raises(InvalidInput):
            asked({"type": "message", "role": "assistant", "content": "a", "id": id}, known={"msg_1"})


# --- metadata -------------------------------------------------------------------------------------------------------


def test_metadata_has_limits() -> None:
    check_metadata(None)
    check_metadata({"n" * 64: "v" * 512} | {str(n): "" for n in range(15)})
    for wrong in ({str(n): "" for n in range(17)}, {"n" * 65: ""}, {"": "x"}, {"n": "v" * 513}):
        with pytest.raises(InvalidInput, match="metadata"):
            check_metadata(wrong)
