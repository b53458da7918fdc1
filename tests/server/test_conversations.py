"""`/v1/conversations` and their items, by the official SDK and raw."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from agents import Agent, OpenAIConversationsSession, OpenAIResponsesModel, RunConfig, Runner, function_tool
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from multiturn import Conversation
from openresponses import problems
from responses_wire import Json, Wire, said, texts
from serving import Server
from upstream import Upstream, reply, tool_call

ALICE: Any = {"role": "user", "content": "My name is Alice."}
NOWHERE = "conv_06gvvr5qstgff9q1r2047q05q4"


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


def said_in(client: OpenAI, id: str) -> list[str]:
    """What was said in the conversation, oldest first."""
    return texts(client.conversations.items.list(id, order="asc"))


# --- conversations --------------------------------------------------------------------------------------------------


def test_a_conversation_lives_from_create_to_delete(client: OpenAI) -> None:
    made = client.conversations.create(metadata={"topic": "demo"})
    assert (made.object, made.metadata) == ("conversation", {"topic": "demo"})
    assert made.id.startswith("conv_")
    assert client.conversations.retrieve(made.id).to_dict() == made.to_dict()
    changed = client.conversations.update(made.id, metadata={"topic": "other"})
    assert (
        client.conversations.retrieve(made.id).to_dict()
        == changed.to_dict()
        == {
            **made.to_dict(),
            "metadata": {"topic": "other"},
        }
    )
    assert client.conversations.update(made.id, metadata=None).metadata == {}
    gone = client.conversations.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "conversation.deleted")
    with pytest.raises(NotFoundError):
        client.conversations.retrieve(made.id)


def test_a_conversation_can_be_made_of_nothing_at_all(wire: Wire) -> None:
    several: list[Json] = [{}, {"json": {}}, {"json": {"items": None, "metadata": None}}, {"json": {"items": []}}]
    for options in several:
        made = wire.send("POST", "/conversations", **options).json()
        assert made["metadata"] == {}
        empty: Json = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
        assert wire.get(f"/conversations/{made['id']}/items") == empty


def test_a_conversation_begins_with_its_items(client: OpenAI) -> None:
    made = client.conversations.create(items=[ALICE, {"role": "assistant", "content": "Hello, Alice."}])
    assert said_in(client, made.id) == ["My name is Alice.", "Hello, Alice."]
    answer = client.responses.create(model="m", input="What's my name?", conversation=made.id)
    assert answer.output_text == "Your name is Alice."


async def test_the_async_sdk_does_the_same(server: Server) -> None:
    async with AsyncOpenAI(base_url=server.base_url, api_key="none") as client:
        made = await client.conversations.create(items=[ALICE])
        item = await anext(aiter(client.conversations.items.list(made.id)))
        assert (await client.conversations.items.retrieve(item.id or "", conversation_id=made.id)).id == item.id
        await client.conversations.items.delete(item.id or "", conversation_id=made.id)
        assert [item async for item in client.conversations.items.list(made.id)] == []


def test_every_route_says_that_a_conversation_is_not_there(wire: Wire) -> None:
    one = f"/conversations/{NOWHERE}"
    body: Json = {"items": [ALICE], "metadata": {}}
    for method, path in (
        ("GET", one),
        ("POST", one),
        ("DELETE", one),
        ("POST", f"{one}/items"),
        ("GET", f"{one}/items"),
        ("GET", f"{one}/items/msg_1"),
        ("DELETE", f"{one}/items/msg_1"),
    ):
        error = wire.refused(404, method, path, json=body if method == "POST" else None)
        assert NOWHERE in error["message"]


def test_a_chain_of_responses_is_no_conversation(wire: Wire, server: Server) -> None:
    wire.create(model="m", input="Hi")
    (record,) = server.run(server.service.store.conversations())
    wire.refused(404, "GET", f"/conversations/{record.id}")
    wire.refused(404, "DELETE", f"/conversations/{record.id}")
    wire.refused(404, "POST", "/responses", json={"model": "m", "input": "Hi", "conversation": record.id})


@pytest.mark.parametrize(
    "body",
    [{"metadata": {"n": "v" * 513}}, {"metadata": []}, {"items": [{"role": "waiter"}]}, {"items": [ALICE] * 21}],
    ids=["value", "kind", "role", "count"],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_made(wire: Wire, server: Server, body: Json) -> None:
    error = wire.refused(400, "POST", "/conversations", json=body)
    assert error["param"].partition("[")[0].partition(".")[0] in body
    assert server.run(server.service.store.conversations()) == ()


# --- items ----------------------------------------------------------------------------------------------------------


def test_items_are_added_and_read_in_every_way(client: OpenAI, wire: Wire) -> None:
    made = client.conversations.create()
    items: list[Any] = [
        ALICE,
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "One.", "annotations": []}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "https://e.com/a.png", "detail": "low"}]},
    ]
    added = client.conversations.items.create(made.id, items=items)
    assert [item.type for item in added.data] == [item.get("type", "message") for item in items]
    assert (added.first_id, added.last_id, added.has_more) == (added.data[0].id, added.data[-1].id, False)
    raw = wire.get(f"/conversations/{made.id}/items", order="asc")
    assert [item["id"] for item in raw["data"]] == [item.id for item in added.data]
    for item in raw["data"]:
        assert problems(item, "ItemField") == []
        assert wire.get(f"/conversations/{made.id}/items/{item['id']}") == item


def test_items_of_a_response_are_those_of_the_conversation(client: OpenAI, wire: Wire) -> None:
    made = client.conversations.create(items=[ALICE])
    response = wire.create(model="m", input="What's my name?", conversation=made.id)
    items = wire.get(f"/conversations/{made.id}/items", order="asc")["data"]
    assert items[2:] == response["output"]
    assert items[:2] == wire.get(f"/responses/{response['id']}/input_items", order="asc")["data"]


def test_pages_of_items(client: OpenAI) -> None:
    made = client.conversations.create(items=[{"role": "user", "content": f"n {n}"} for n in range(7)])
    assert texts(client.conversations.items.list(made.id, limit=3)) == [f"n {n}" for n in range(6, -1, -1)]


def test_a_result_that_is_added_answers_the_call_before(relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Paris"}))
    id = relay_wire.post("/conversations")["id"]
    relay_wire.create(model="m", input="Weather?", conversation=id)
    result = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    relay_wire.post(f"/conversations/{id}/items", items=[result])
    relay_wire.create(model="m", input="And?", conversation=id)
    roles = [message["role"] for message in upstream.requests[-1].json["messages"]]
    assert roles == ["user", "assistant", "tool", "user"]


def test_items_under_a_key_are_added_once(client: OpenAI) -> None:
    made = client.conversations.create()
    headers = {"Idempotency-Key": "k"}
    first = client.conversations.items.create(made.id, items=[ALICE], extra_headers=headers)
    again = client.conversations.items.create(made.id, items=[ALICE], extra_headers=headers)
    assert again.to_dict() == first.to_dict()
    assert len(said_in(client, made.id)) == 1


async def test_items_wait_for_the_turn_that_runs(relay: Server, upstream: Upstream) -> None:
    upstream.script(reply("one two three", delay_s=0.1))
    async with AsyncOpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as client:
        made = await client.conversations.create()
        asking = asyncio.create_task(client.responses.create(model="m", input="Hi", conversation=made.id))
        assert await upstream.until(lambda: len(upstream.requests) == 1)
        await client.conversations.items.create(made.id, items=[ALICE])
        assert (await asking).output_text == "one two three"
        items = [item async for item in client.conversations.items.list(made.id, order="asc")]
    assert texts(items) == ["Hi", "one two three", "My name is Alice."]


# --- items that are removed -----------------------------------------------------------------------------------------


def test_a_removed_item_is_seen_by_nobody_any_more(relay_wire: Wire, upstream: Upstream) -> None:
    id = relay_wire.post("/conversations", items=[ALICE, {"role": "user", "content": "I live in Bern."}])["id"]
    path = f"/conversations/{id}/items"
    first = relay_wire.create(model="m", input="Hi", conversation=id)
    alice, bern, hi, answer = relay_wire.get(path, order="asc")["data"]
    for gone in (alice, answer):
        assert relay_wire.delete(f"{path}/{gone['id']}")["id"] == id
        relay_wire.refused(404, "GET", f"{path}/{gone['id']}")
        relay_wire.refused(404, "DELETE", f"{path}/{gone['id']}")
    assert relay_wire.get(path, order="asc")["data"] == [bern, hi]
    second = relay_wire.create(model="m", input="And?", conversation=id)
    read = [message["content"] for message in upstream.requests[-1].json["messages"]]
    assert read == ["I live in Bern.", "Hi", "And?"]
    listed = relay_wire.get(f"/responses/{second['id']}/input_items", order="asc")["data"]
    assert [item["id"] for item in listed[:2]] == [bern["id"], hi["id"]]
    assert relay_wire.response(first["id"]) == first  # the response itself is as it was
    relay_wire.create(model="m", input="More?", conversation=id)
    read = [message["content"] for message in upstream.requests[-1].json["messages"]]
    assert read == ["I live in Bern.", "Hi", "And?", "You said: And?", "More?"]


def test_one_call_of_several_is_removed_with_nothing_left_hanging(relay_wire: Wire, upstream: Upstream) -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "output": "1"}
    items = [
        ALICE,
        *({**call, "call_id": id} for id in ("a", "b")),
        *({**output, "call_id": id} for id in ("a", "b")),
    ]
    id = relay_wire.post("/conversations", items=items)["id"]
    path = f"/conversations/{id}/items"
    listed = relay_wire.get(path, order="asc")["data"]
    relay_wire.delete(f"{path}/{listed[1]['id']}")
    relay_wire.create(model="m", input="Go on.", conversation=id)
    messages = upstream.requests[-1].json["messages"]
    calls = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    results = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert calls == results == ["b"]


def test_the_library_is_not_shown_it_either(client: OpenAI, server: Server) -> None:
    made = client.conversations.create(items=[ALICE])
    (item,) = client.conversations.items.list(made.id).data
    mine = Conversation("offline", store=server.settings.store, id=made.id)
    assert mine.send("What's my name?").text == "Your name is Alice."
    for listed in client.conversations.items.list(made.id):
        client.conversations.items.delete(listed.id or "", conversation_id=made.id)
    assert item.id not in [listed.id for listed in client.conversations.items.list(made.id)]
    mine = Conversation("offline", store=server.settings.store, id=made.id)
    assert "Alice" not in mine.send("What's my name?").text


def test_history_without_what_was_removed_is_not_stored_twice(relay_wire: Wire, upstream: Upstream) -> None:
    id = relay_wire.post("/conversations", items=[ALICE, {"role": "user", "content": "I live in Bern."}])["id"]
    path = f"/conversations/{id}/items"
    relay_wire.create(model="m", input="Hi", conversation=id)
    alice, *rest = relay_wire.get(path, order="asc")["data"]
    relay_wire.delete(f"{path}/{alice['id']}")
    relay_wire.create(model="m", input=[*rest, {"role": "user", "content": "And?"}], conversation=id)
    assert texts(relay_wire.get(path, order="asc")["data"])[:4] == ["I live in Bern.", "Hi", "You said: Hi", "And?"]


def test_positions_stay_when_items_go(client: OpenAI) -> None:
    made = client.conversations.create(items=[{"role": "user", "content": f"n {n}"} for n in range(5)])
    items = client.conversations.items.list(made.id, order="asc").data
    for item in items[1:4:2]:
        client.conversations.items.delete(item.id or "", conversation_id=made.id)
    page = client.conversations.items.list(made.id, order="asc", limit=2)
    assert [item.id for item in page.data] == [items[0].id, items[2].id]
    assert [item.id for item in page] == [items[0].id, items[2].id, items[4].id]
    behind = client.conversations.items.list(made.id, order="asc", after=items[1].id or "")
    assert [item.id for item in behind.data] == [items[2].id, items[4].id]


def test_removals_outlive_a_restart(client: OpenAI, server: Server) -> None:
    made = client.conversations.create(items=[ALICE])
    (item,) = client.conversations.items.list(made.id).data
    client.conversations.items.delete(item.id or "", conversation_id=made.id)
    server.restart()
    assert client.conversations.items.list(made.id).data == []
    answer = client.responses.create(model="m", input="What's my name?", conversation=made.id)
    assert "Alice" not in answer.output_text


# --- OpenAI's own session -------------------------------------------------------------------------------------------


async def test_the_agents_sdk_keeps_its_session_here(server: Server) -> None:
    @function_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"Sunny in {city}, 21 degrees"

    async with AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        session = OpenAIConversationsSession(openai_client=client)
        agent = Agent(name="A", model=OpenAIResponsesModel("m", client), tools=[get_weather])
        config = RunConfig(tracing_disabled=True)
        await Runner.run(agent, "My name is Alice.", session=session, run_config=config)
        weather = await Runner.run(agent, "What is the weather in Paris?", session=session, run_config=config)
        assert "21" in weather.final_output
        name = await Runner.run(agent, "What's my name?", session=session, run_config=config)
        assert name.final_output == "Your name is Alice."
        items: list[Any] = await session.get_items()
        kinds = [item["type"] for item in items]
        assert kinds == ["message"] * 3 + ["function_call", "function_call_output"] + ["message"] * 3
        popped: Any = await session.pop_item()
        assert popped["id"] == items[-1]["id"]
        assert await session.get_items() == items[:-1]
        await session.clear_session()


async def test_the_agents_sdk_goes_on_in_a_conversation(server: Server) -> None:
    async with AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        agent = Agent(name="A", model=OpenAIResponsesModel("m", client))
        config = RunConfig(tracing_disabled=True)
        conversation = await client.conversations.create()
        await Runner.run(agent, "My name is Alice.", conversation_id=conversation.id, run_config=config)
        answer = await Runner.run(agent, "What's my name?", conversation_id=conversation.id, run_config=config)
        assert answer.final_output == "Your name is Alice."


def test_an_empty_list_of_new_items_is_refused(client: OpenAI) -> None:
    made = client.conversations.create()
    with pytest.raises(BadRequestError):
        client.conversations.items.create(made.id, items=[])


def test_what_the_conversation_says_is_what_its_responses_say(wire: Wire) -> None:
    id = wire.post("/conversations")["id"]
    answers = [said(wire.create(model="m", input=f"Fact {n}", conversation=id)) for n in range(3)]
    listed = wire.get(f"/conversations/{id}/items", order="asc")["data"]
    assert [item["content"][0]["text"] for item in listed if item["role"] == "assistant"] == answers
