"""Messages and their JSON."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from multiturn import messages
from multiturn.messages import (
    Message,
    Opaque,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    assistant,
    copy,
    decode,
    encode,
    system,
    tool_result,
    user,
)
from strategies import any_message


@given(any_message())
def test_json_gives_back_the_same_message(message: Message) -> None:
    data = encode(message)
    assert decode(data) == message
    assert encode(decode(data)) == data


def test_an_opaque_item_keeps_its_bytes() -> None:
    item = b'{"z": 1.0, "a":[1e3,  "\\u00e9"]}'
    message = Message("assistant", (Opaque("openai", msgspec.Raw(item)),))
    (part,) = decode(encode(message)).parts
    assert isinstance(part, Opaque)
    assert bytes(part.data) == item


def test_what_is_not_set_takes_no_room() -> None:
    assert encode(user("hi")) == b'{"role":"user","parts":[{"type":"text","text":"hi"}]}'


def test_fields_of_a_newer_version_are_no_obstacle() -> None:
    assert decode('{"role":"user","parts":[{"type":"text","text":"hi","mood":1}],"new":{}}') == user("hi")


@pytest.mark.parametrize(
    "data", ['{"parts":[]}', '{"role":"robot"}', '{"role":"user","parts":[{"type":"smell"}]}', "["]
)
def test_what_is_no_message_is_refused(data: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(data)


def test_the_readers_pick_their_parts() -> None:
    call = ToolCall("call_1", "weather", "{}")
    message = assistant(Reasoning("hm"), "It ", call, Reasoning(summary=("a", "b")), "rains.")
    assert message.text == "It rains."
    assert message.reasoning == "hm\na\nb"
    assert message.tool_calls == (call,)
    assert tool_result("call_1", [1]).tool_results[0].text == "[1]"
    assert system("be brief").role == "system"


def test_usage_adds_up_and_states_a_cost_only_where_one_is_known() -> None:
    one = Usage(input_tokens=1, output_tokens=2, cached_tokens=3, cache_write_tokens=4, reasoning_tokens=5)
    assert (one + one).total_tokens == 6
    assert (one + one).cost_usd is None
    assert (one + Usage(cost_usd=0.5) + Usage(cost_usd=0.25)).cost_usd == 0.75


def test_a_copy_shares_nothing_that_can_change() -> None:
    message = Message("user", (Text("hi"),), metadata={"k": "v"})
    twin = copy(message)
    assert twin == message
    assert twin.metadata is not message.metadata


@pytest.mark.parametrize("part", messages.Part.__args__)
def test_every_part_can_be_told_by_its_tag(part: type[msgspec.Struct]) -> None:
    assert part.__struct_config__.tag
    assert part.__struct_config__.frozen
