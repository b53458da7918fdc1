"""Responses that follow one another: chains, forks, conversations, what is not stored, what is said twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, OpenAI

from responses_wire import Json, Wire, said, told
from serving import Server
from upstream import Upstream, reply, status, tool_call

USER = {"role": "user", "content": "My name is Alice."}


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


def read(upstream: Upstream, nth: int = -1) -> list[tuple[str, str]]:
    """What the model read."""
    return [(message["role"], message.get("content") or "") for message in upstream.requests[nth].json["messages"]]


def test_a_chain_remembers_and_instructions_are_not_inherited(relay_wire: Wire, upstream: Upstream) -> None:
    first = relay_wire.create(model="m", input="one", instructions="Be brief.")
    second = relay_wire.create(model="m", input="two", previous_response_id=first["id"])
    assert (second["previous_response_id"], second["instructions"]) == (first["id"], None)
    assert read(upstream) == [("user", "one"), ("assistant", "You said: one"), ("user", "two")]


def test_a_chain_outlives_a_restart(client: OpenAI, server: Server) -> None:
    first = client.responses.create(model="m", input="My name is Alice.")
    server.restart()
    second = client.responses.create(model="m", input="What's my name?", previous_response_id=first.id)
    assert second.output_text == "Your name is Alice."


async def test_a_response_can_be_followed_by_many_at_once(server: Server) -> None:
    async with AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        first = await client.responses.create(model="m", input="My name is Alice.")
        asked = "What's my name?"
        several = [client.responses.create(model="m", input=asked, previous_response_id=first.id) for _ in range(8)]
        answers = await asyncio.gather(*several)
        assert {answer.output_text for answer in answers} == {"Your name is Alice."}
        for answer in answers:
            assert answer.previous_response_id == first.id
            assert (await client.responses.retrieve(answer.id)).to_dict() == answer.to_dict()


def test_a_failed_turn_changes_nothing_for_the_next(relay_wire: Wire, upstream: Upstream) -> None:
    first = relay_wire.create(model="m", input="one")
    upstream.script(status(500))
    relay_wire.refused(
        502, "POST", "/responses", json={"model": "m", "input": "x", "previous_response_id": first["id"]}
    )
    relay_wire.create(model="m", input="two", previous_response_id=first["id"])
    assert read(upstream) == [("user", "one"), ("assistant", "You said: one"), ("user", "two")]


def test_a_model_that_is_not_named_is_the_one_before(relay_wire: Wire, upstream: Upstream) -> None:
    first = relay_wire.create(model="tiny", input="one")
    second = relay_wire.create(input="two", previous_response_id=first["id"])
    assert second["model"] == "tiny"
    assert upstream.requests[1].json["model"] == "tiny"


# --- store=false ----------------------------------------------------------------------------------------------------


def test_what_is_not_stored_leaves_no_trace(client: OpenAI, server: Server) -> None:
    first = client.responses.create(model="m", input="My name is Alice.")
    unstored = client.responses.create(model="m", input="What's my name?", previous_response_id=first.id, store=False)
    assert (unstored.output_text, unstored.to_dict()["store"]) == ("Your name is Alice.", False)
    with pytest.raises(BadRequestError, match="not found"):
        client.responses.create(model="m", input="And?", previous_response_id=unstored.id)
    store = server.service.store
    (record,) = server.run(store.conversations())
    assert len(server.run(store.tree(record.id))) == 1


def test_what_is_deleted_cannot_be_followed_even_without_storing(client: OpenAI) -> None:
    first = client.responses.create(model="m", input="My name is Alice.")
    client.responses.delete(first.id)
    for store in (True, False):
        with pytest.raises(BadRequestError) as raised:
            client.responses.create(model="m", input="Hi", previous_response_id=first.id, store=store)
        assert raised.value.code == "previous_response_not_found"


# --- conversations --------------------------------------------------------------------------------------------------


def test_a_conversation_goes_on_at_its_end_by_its_id_or_as_an_object(client: OpenAI) -> None:
    conversation = client.conversations.create()
    first = client.responses.create(model="m", input="My name is Alice.", conversation=conversation.id)
    assert first.conversation is not None
    assert (first.conversation.id, first.previous_response_id) == (conversation.id, None)
    second = client.responses.create(model="m", input="What's my name?", conversation={"id": conversation.id})
    assert second.output_text == "Your name is Alice."
    assert client.responses.retrieve(second.id).to_dict() == second.to_dict()


def test_following_a_response_of_a_conversation_leaves_the_conversation_as_it_is(client: OpenAI) -> None:
    conversation = client.conversations.create()
    first = client.responses.create(model="m", input="My name is Alice.", conversation=conversation.id)
    aside = client.responses.create(model="m", input="What's my name?", previous_response_id=first.id)
    assert (aside.output_text, aside.conversation) == ("Your name is Alice.", None)
    assert len(client.conversations.items.list(conversation.id).data) == 2


async def test_two_at_once_in_a_conversation_take_turns(server: Server) -> None:
    async with AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        conversation = await client.conversations.create()
        several = [
            client.responses.create(model="m", input=f"Fact {n}", conversation=conversation.id) for n in range(5)
        ]
        await asyncio.gather(*several)
        items = [item async for item in client.conversations.items.list(conversation.id, order="asc")]
        roles = [item.role for item in items if item.type == "message"]
        assert roles == ["user", "assistant"] * 5


# --- said twice -----------------------------------------------------------------------------------------------------


def test_history_that_is_sent_as_well_is_not_stored_twice(relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Paris"}), reply("Sunny."))
    first = relay_wire.create(model="m", input=[{"role": "system", "content": "Be kind."}, USER])
    result = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    sent = [{"role": "system", "content": "Be kind."}, USER, *first["output"], result]
    second = relay_wire.create(model="m", input=sent, previous_response_id=first["id"])
    assert [role for role, _ in read(upstream)] == ["system", "user", "assistant", "tool"]
    sent += [*second["output"], {"role": "user", "content": "Thanks."}]
    third = relay_wire.create(model="m", input=sent, previous_response_id=second["id"])
    assert [role for role, _ in read(upstream)] == ["system", "user", "assistant", "tool", "assistant", "user"]
    items = relay_wire.get(f"/responses/{third['id']}/input_items", order="asc")["data"]
    assert [item["type"] for item in items] == ["message", "message", "function_call", "function_call_output"] + [
        "message"
    ] * 2
    assert len({item["id"] for item in items}) == 6


REPLAYS: list[tuple[str, list[Json], list[str]]] = [
    # the whole history, without any id
    ("whole", [USER, {"role": "assistant", "content": "Noted."}, {"role": "user", "content": "And?"}], ["And?"]),
    # the last answer alone
    ("tail", [{"role": "assistant", "content": "Noted."}, {"role": "user", "content": "And?"}], ["And?"]),
    # the user says the same thing again, and means it
    ("again", [USER, {"role": "user", "content": "And?"}], ["My name is Alice.", "And?"]),
    ("same", [USER], ["My name is Alice."]),
    # another answer than was given: the client's own, and it is kept
    (
        "other",
        [USER, {"role": "assistant", "content": "Hm."}, {"role": "user", "content": "And?"}],
        ["My name is Alice.", "Hm.", "And?"],
    ),
]


@pytest.mark.parametrize(("name", "sent", "new"), REPLAYS, ids=[name for name, *_ in REPLAYS])
def test_only_what_the_chain_ends_with_is_left_out(
    relay_wire: Wire, upstream: Upstream, name: str, sent: list[Json], new: list[str]
) -> None:
    upstream.script(reply("Noted."))
    first = relay_wire.create(model="m", input=[USER])
    relay_wire.create(model="m", input=sent, previous_response_id=first["id"])
    assert [text for _, text in read(upstream)] == ["My name is Alice.", "Noted.", *new]


def test_an_item_with_its_id_is_not_said_twice_even_out_of_place(relay_wire: Wire, upstream: Upstream) -> None:
    first = relay_wire.create(model="m", input="one")
    second = relay_wire.create(model="m", input="two", previous_response_id=first["id"])
    for item in (first["output"][0], {"type": "item_reference", "id": first["output"][0]["id"]}):
        sent = [item, {"role": "user", "content": "three"}]
        relay_wire.create(model="m", input=sent, previous_response_id=second["id"])
        assert [text for _, text in read(upstream)] == ["one", "You said: one", "two", "You said: two", "three"]


def test_a_conversation_does_not_grow_by_what_it_holds(relay_wire: Wire) -> None:
    conversation = relay_wire.post("/conversations")["id"]
    history: list[Any] = []
    for text in ("one", "two", "three"):
        history.append({"role": "user", "content": text})
        history += relay_wire.create(model="m", input=history, conversation=conversation)["output"]
    assert len(relay_wire.get(f"/conversations/{conversation}/items")["data"]) == 6


# --- references -----------------------------------------------------------------------------------------------------


def test_a_reference_leads_to_the_item_of_any_response(relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(tool_call("get_weather", {"city": "Paris"}))
    first = relay_wire.create(model="m", input="Weather?")
    asked = relay_wire.get(f"/responses/{first['id']}/input_items")["data"][0]
    sent = [
        {"type": "item_reference", "id": asked["id"]},
        {"id": first["output"][0]["id"]},  # the type may be left out
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    ]
    relay_wire.create(model="m", input=sent)
    messages = upstream.requests[-1].json["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == "call_1"


def test_a_reference_that_leads_nowhere_is_refused(wire: Wire) -> None:
    first = wire.create(model="m", input="Hi")
    for id in (first["output"][0]["id"] + "9", "msg_06gvvr5qstgff9q1r2047q05q4_o0", "msg_1", ""):
        sent = [{"type": "item_reference", "id": id}, {"role": "user", "content": "Hi"}]
        error = wire.refused(400, "POST", "/responses", json={"model": "m", "input": sent})
        assert "no item" in error["message"]


# --- the same request again -----------------------------------------------------------------------------------------


def test_a_request_that_comes_again_under_its_key_is_answered_once(relay: Server, upstream: Upstream) -> None:
    client = OpenAI(base_url=relay.base_url, api_key="none")
    headers = {"Idempotency-Key": "k1"}
    first = client.responses.create(model="m", input="one", extra_headers=headers, metadata={"a": "b"})
    again = client.responses.create(model="m", input="one", extra_headers=headers)
    assert again.to_dict() == first.to_dict()
    follow = {"Idempotency-Key": "k2"}
    second = client.responses.create(model="m", input="two", previous_response_id=first.id, extra_headers=follow)
    again = client.responses.create(model="m", input="two", previous_response_id=first.id, extra_headers=follow)
    assert again.to_dict() == second.to_dict()
    assert client.responses.create(model="m", input="one", extra_headers=headers).id == first.id
    assert len(upstream.requests) == 2
    client.close()
    wire = Wire(relay.url, **headers)
    events = wire.events(model="m", input="one")
    assert told(events) == said(events[-1]["response"]) == first.output_text
    assert events[-1]["response"] == wire.response(first.id)
    wire.close()


async def test_a_request_that_comes_again_while_it_runs_waits_for_its_answer(relay: Server, upstream: Upstream) -> None:
    upstream.script(reply("one", delay_s=0.2), reply("two", delay_s=0.2))
    async with AsyncOpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as client:

        async def ask(key: str, after: str | None = None) -> Any:
            return await client.responses.create(
                model="m", input="Hi", previous_response_id=after, extra_headers={"Idempotency-Key": key}
            )

        first, again = await asyncio.gather(ask("a"), ask("a"))
        assert first.id == again.id
        second, again = await asyncio.gather(ask("b", first.id), ask("b", first.id))
        assert second.id == again.id
    assert len(upstream.requests) == 2


def test_what_failed_under_a_key_is_tried_again(relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(status(500))
    key = {"Idempotency-Key": "k"}
    body = {"model": "m", "input": "one"}
    assert relay_wire.send("POST", "/responses", json=body, headers=key).status_code == 502
    answer = relay_wire.send("POST", "/responses", json=body, headers=key)
    assert said(json.loads(answer.text)) == "You said: one"
    assert relay_wire.send("POST", "/responses", json=body, headers=key).json() == answer.json()


# --- the window -----------------------------------------------------------------------------------------------------


def test_a_history_that_is_too_long_is_an_error_unless_it_may_be_cut(relay_wire: Wire, upstream: Upstream) -> None:
    from upstream import context_overflow

    first = relay_wire.create(model="m", input="one")
    second = relay_wire.create(model="m", input="two", previous_response_id=first["id"])
    upstream.script(context_overflow())
    asked: Json = {"model": "m", "input": "three", "previous_response_id": second["id"]}
    error = relay_wire.refused(400, "POST", "/responses", json=asked)
    assert error["code"] == "context_length_exceeded"
    upstream.script(context_overflow())
    third = relay_wire.create(**asked, truncation="auto")
    assert (said(third), third["truncation"]) == ("You said: three", "auto")
    assert read(upstream)[-1] == ("user", "three")
    assert len(read(upstream)) < 5
