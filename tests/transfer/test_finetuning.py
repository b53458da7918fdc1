"""OpenAI's fine-tuning files."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiturn import sync
from multiturn.errors import InvalidInput
from multiturn.messages import Image, Inline, Message, ToolCall, Uploaded, Url, assistant, tool_result, user
from multiturn.stores import open_store
from multiturn.stores.base import Store
from multiturn.stores.records import ConversationRecord
from multiturn.transfer import Imported, guess
from multiturn.turns import TurnStatus
from transfer.growing import Deleted, Forked, Said, any_growth, chatted, exported, grow, imported


async def examples(store: Store, *ids: str) -> list[list[dict[str, object]]]:
    data = await exported(store, *ids, format="openai")
    return [json.loads(line)["messages"] for line in data.splitlines()]


def example(*messages: Mapping[str, object]) -> bytes:
    return json.dumps({"messages": messages}).encode() + b"\n"


ASKED = {"role": "user", "content": "2 + 2?"}
ANSWERED = {"role": "assistant", "content": "4"}


async def test_a_conversation_is_a_line_with_its_instructions_first() -> None:
    store = await chatted("a", "b")
    await store.create(ConversationRecord(id="fork", head="turn-a-0"))
    await store.create(ConversationRecord(id="nothing-said"))
    a, fork, b = await examples(store)
    assert [message["role"] for message in a] == ["system", *["user", "assistant"] * 3]
    assert a[0]["content"] == "Be brief."
    assert (fork, b) == (a[:3], a)
    assert await examples(store, "fork") == [fork], "not those that share turns with it"


async def test_tools_images_and_files_are_as_the_api_has_them() -> None:
    store = open_store("sqlite://")
    said: list[Message] = [
        user("look", Image(Url("https://example.com/a.png")), Image(Uploaded("file-1", "openai"))),
        assistant("wait", ToolCall("call_1", "weather", '{"city": "Oslo"}')),
        tool_result("call_1", "cold"),
    ]
    await grow(store, [Said(0, said, TurnStatus.COMPLETED, None, None)])
    assert (await examples(store))[0] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "text", "text": "[image file-1, not shown]"},
            ],
        },
        {
            "role": "assistant",
            "content": "wait",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
                }
            ],
        },
        {"role": "tool", "content": "cold", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "yes"},
    ]


async def test_an_exchange_becomes_a_turn() -> None:
    store = open_store("sqlite://")
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    data = example(
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "And kind."},
        {**ASKED, "name": "bob"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
        {**ANSWERED, "weight": 0},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": "Yes."},
    )
    assert await imported(data, into=store, format="openai") == Imported(1, 2)
    (record,) = await store.conversations()
    assert record.instructions == "Be brief.\n\nAnd kind."
    assert record.head == record.latest
    assert record.head is not None
    first, second = await store.path(record.head)
    assert [message.role for message in first.messages] == ["user", "assistant", "tool", "assistant"]
    assert (first.status, first.instructions) == (TurnStatus.COMPLETED, "Be brief.\n\nAnd kind.")
    assert (second.text, second.totals.turns, second.totals.messages) == ("Yes.", 2, 6)
    assert await store.check() == ()


async def test_words_without_an_answer_wait_for_a_retry() -> None:
    store = open_store("sqlite://")
    await imported(example(ASKED, ANSWERED, ASKED), into=store, format="openai")
    (record,) = await store.conversations()
    assert record.head != record.latest
    assert record.latest is not None
    assert (await store.turn(record.latest)).status is TurnStatus.INCOMPLETE
    assert await examples(store) == [[ASKED, ANSWERED]]


async def test_a_file_may_be_imported_again_also_after_one_has_gone_on() -> None:
    store = open_store("sqlite://")
    data = example(ASKED, ANSWERED) + example({"role": "user", "content": "Hi"}, ANSWERED)
    assert await imported(data, into=store, format="openai") == Imported(2, 2)
    record, _ = await store.conversations()
    await grow(store, [Said(0, [user("x")], TurnStatus.COMPLETED, None, None)])
    await store.create(ConversationRecord(id="on", head=record.head))
    assert await imported(data, into=store, format="openai") == Imported(skipped=2)
    assert await imported(data + data, into=open_store("sqlite://"), format="openai") == Imported(2, 2, 2)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\n{", r"line 2: this is not valid JSON"),
        (b"{}", r"line 1: object missing required field `messages`"),
        (example(ASKED) + example({"role": "alien", "content": ""}), r"line 2: messages\[0\].role: 'alien' is none of"),
    ],
)
async def test_a_wrong_line_is_named_and_those_before_it_are_stored(data: bytes, problem: str) -> None:
    store = open_store("sqlite://")
    with pytest.raises(InvalidInput, match=f"^{problem}"):
        await imported(data, into=store, format="openai")
    assert len(await store.conversations()) == data.count(b"2 + 2")


async def test_images_inside_a_line_come_in_as_bytes() -> None:
    store = open_store("sqlite://")
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}
    await imported(example({"role": "user", "content": [picture]}, ANSWERED), into=store, format="openai")
    (record,) = await store.conversations()
    assert record.head is not None
    (turn,) = await store.path(record.head)
    assert turn.input[0].parts == (Image(Inline(b"\x89PNG", "image/png")),)


@settings(max_examples=50, deadline=None)
@given(any_growth(), st.sampled_from(["openai", "sharegpt"]))
def test_whatever_was_said_can_be_exported_and_imported_again(
    steps: list[Said | Forked | Deleted], format: str
) -> None:
    async def there_and_back() -> None:
        store, copy = open_store("sqlite://"), open_store("sqlite://")
        await grow(store, steps)
        first = await exported(store, format=format)  # type: ignore[arg-type]
        total = await imported(first, into=copy, format=format)  # type: ignore[arg-type]
        assert total.conversations + total.skipped == first.count(b"\n")
        assert await copy.check() == ()

    sync.run(there_and_back())


@pytest.mark.parametrize(
    ("start", "format"),
    [
        (b'{"kind":"header"', "jsonl"),
        (b'{"tools": [], "messages" : [', "openai"),
        (b'[\n  {"id": "x", "conversations": [', "sharegpt"),
        (b"", "jsonl"),
    ],
)
def test_the_format_shows_at_the_start_of_a_file(start: bytes, format: str) -> None:
    assert guess(start) == format
