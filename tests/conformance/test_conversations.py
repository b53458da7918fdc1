"""The Conversations API through OpenAI's own SDK."""

from __future__ import annotations

from typing import Any

import openai
import pytest


def text_of(item: Any) -> str:
    return "".join(content.text for content in item.content)


async def test_a_conversation_is_made_read_changed_and_deleted(client: Any) -> None:
    made = await client.conversations.create(metadata={"topic": "travel"})
    assert (made.object, made.metadata) == ("conversation", {"topic": "travel"})
    assert (await client.conversations.retrieve(made.id)).to_dict() == made.to_dict()
    changed = await client.conversations.update(made.id, metadata={"topic": "food"})
    assert (changed.id, changed.metadata, changed.created_at) == (made.id, {"topic": "food"}, made.created_at)
    deleted = await client.conversations.delete(made.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "conversation.deleted", True)
    with pytest.raises(openai.NotFoundError):
        await client.conversations.retrieve(made.id)


async def test_items_are_added_listed_read_and_removed(client: Any) -> None:
    said = [{"type": "message", "role": "user", "content": f"number {n}"} for n in range(3)]
    made = await client.conversations.create(items=said)
    added = await client.conversations.items.create(
        made.id,
        items=[
            {"type": "function_call", "call_id": "call_1", "name": "get_time", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "noon"},
            {"role": "assistant", "content": "It is noon."},
        ],
    )
    assert [item.type for item in added.data] == ["function_call", "function_call_output", "message"]
    items = [item async for item in client.conversations.items.list(made.id, order="asc", limit=2)]
    texts = [text_of(item) for item in items if item.type == "message"]
    assert texts == ["number 0", "number 1", "number 2", "It is noon."]
    assert (await client.conversations.items.retrieve(items[3].id, conversation_id=made.id)).call_id == "call_1"
    assert (await client.conversations.items.delete(items[1].id, conversation_id=made.id)).id == made.id
    left = [item.id async for item in client.conversations.items.list(made.id, order="asc")]
    assert left == [item.id for item in items if item is not items[1]]
    with pytest.raises(openai.NotFoundError):
        await client.conversations.items.retrieve(items[1].id, conversation_id=made.id)


async def test_items_come_in_pages_of_either_order(client: Any) -> None:
    made = await client.conversations.create(items=[{"role": "user", "content": f"number {n}"} for n in range(3)])
    await client.conversations.items.create(made.id, items=[{"role": "user", "content": "number 3"}])
    await client.responses.create(model="m", input="number 4", conversation=made.id)
    for order, expected in (("asc", range(5)), ("desc", range(4, -1, -1))):
        listed = [item async for item in client.conversations.items.list(made.id, limit=2, order=order)]
        assert [text_of(item) for item in listed if item.role == "user"] == [f"number {n}" for n in expected]
    newest_first = [item.id async for item in client.conversations.items.list(made.id)]
    assert newest_first == [item.id for item in listed]
    page = await client.conversations.items.list(made.id, after=listed[1].id, limit=2)
    assert ([item.id for item in page.data], page.has_more) == (newest_first[2:4], True)
    (last,) = (await client.conversations.items.list(made.id, after=newest_first[-2])).data
    assert text_of(last) == "number 0"
    with pytest.raises(openai.NotFoundError):
        await client.conversations.items.list(made.id, after="msg_" + "0" * 26 + "_i0")
    with pytest.raises(openai.BadRequestError):
        await client.conversations.items.list(made.id, limit=1000)


async def test_a_response_in_a_conversation_is_among_its_items(client: Any) -> None:
    made = await client.conversations.create(items=[{"role": "user", "content": "My name is Alice."}])
    answer = await client.responses.create(model="m", input="What's my name?", conversation=made.id)
    assert answer.output_text == "Your name is Alice."
    assert answer.conversation.id == made.id
    items = [item async for item in client.conversations.items.list(made.id, order="asc")]
    assert items[-1].id == answer.output[0].id
    assert [text_of(item) for item in items] == ["My name is Alice.", "What's my name?", "Your name is Alice."]
    assert [
        event.type
        async for event in await client.responses.create(
            model="m", input="Thanks", conversation={"id": made.id}, stream=True
        )
    ][-1] == "response.completed"
    newest = await client.conversations.items.list(made.id, limit=2)
    assert [item.role for item in newest.data] == ["assistant", "user"]
    assert newest.has_more


async def test_what_is_removed_is_not_told_to_the_model(client: Any) -> None:
    made = await client.conversations.create(items=[{"role": "user", "content": "My name is Alice."}])
    (item,) = (await client.conversations.items.list(made.id)).data
    await client.conversations.items.delete(item.id, conversation_id=made.id)
    answer = await client.responses.create(model="m", input="What's my name?", conversation=made.id)
    assert "Alice" not in answer.output_text


async def test_nothing_is_found_where_nothing_is(client: Any) -> None:
    made = await client.conversations.create()
    for id in ("conv_" + "0" * 26, "nonsense"):
        for call in (
            client.conversations.retrieve(id),
            client.conversations.update(id, metadata={}),
            client.conversations.delete(id),
            client.conversations.items.list(id),
            client.conversations.items.create(id, items=[{"role": "user", "content": "Hi"}]),
            client.responses.create(model="m", input="Hi", conversation=id),
        ):
            with pytest.raises(openai.NotFoundError):
                await call
    for item in ("msg_" + "0" * 26 + "_i0", "nonsense"):
        for one in (client.conversations.items.retrieve, client.conversations.items.delete):
            with pytest.raises(openai.NotFoundError):
                await one(item, conversation_id=made.id)


async def test_too_much_is_refused(client: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="20 may be added"):
        await client.conversations.create(items=[{"role": "user", "content": "Hi"}] * 21)
    with pytest.raises(openai.BadRequestError, match="metadata"):
        await client.conversations.create(metadata={str(n): "x" for n in range(17)})
