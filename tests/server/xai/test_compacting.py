"""`CompactContext` with the official SDK: a shorter history that the client carries."""

from __future__ import annotations

import json
from typing import Any

from xai_sdk.chat import Response, assistant, chat_pb2, system, tool_result, user

from upstream import Upstream, reply, tool_call
from xai_clients import Door, async_client_of, refused

TALK = [system("Be brief."), user("I am Alice."), assistant("Hello, Alice."), user("I like tea."), assistant("Noted.")]


def last_request(upstream: Upstream) -> list[tuple[str, str]]:
    messages = upstream.requests[-1].json["messages"]
    return [(message["role"], message.get("content") or "") for message in messages]


def test_a_compacted_chat_goes_on_with_the_summary_and_what_the_system_said(
    relayed_client: Any, relayed: Door, upstream: Upstream
) -> None:
    upstream.script(reply("Alice likes tea."), reply("You are Alice."))
    chat = relayed_client.chat.create(model="m", messages=TALK, store_messages=True)
    compacted = chat.compact()
    assert last_request(upstream)[:5] == [(role(each), each.content[0].text) for each in TALK]
    assert (compacted.dropped_message_count, compacted.usage.total_tokens) == (4, 15)
    assert len(compacted.id) == 26
    assert len(chat.messages) == 1
    assert relayed.turns() == []

    response = chat.append(user("Who am I?")).sample()
    assert response.content == "You are Alice."
    first, summary, question = last_request(upstream)
    assert (first, question) == (("system", "Be brief."), ("user", "Who am I?"))
    assert summary[0] == "user"
    assert "Alice likes tea." in summary[1]
    stored = relayed_client.chat.create(model="m", store_messages=True, previous_response_id=response.id)
    stored.append(user("And?")).sample()
    assert last_request(upstream)[:2] == [first, summary]


def role(message: Any) -> str:
    name: str = chat_pb2.MessageRole.Name(message.role)
    return name.removeprefix("ROLE_").lower()


async def test_the_async_sdk_compacts_what_was_compacted(relayed: Door, upstream: Upstream) -> None:
    upstream.script(reply("Alice likes tea."), reply("Alice likes tea and coffee."), reply("Tea and coffee."))
    async with async_client_of(relayed.host) as client:
        chat = client.chat.create(model="m", messages=TALK)
        await chat.compact()
        chat.append(user("And coffee.")).append(assistant("Noted."))
        compacted = await chat.compact()
        assert "Alice likes tea." in last_request(upstream)[1][1]
        assert compacted.dropped_message_count == 3
        chat.append(user("What do I like?"))
        assert (await chat.sample()).content == "Tea and coffee."
    assert [role for role, _ in last_request(upstream)] == ["system", "user", "user"]
    assert "and coffee" in last_request(upstream)[1][1]


def test_it_stands_for_what_comes_before_it_in_an_assistants_message_too(
    relayed_client: Any, upstream: Upstream
) -> None:
    upstream.script(reply("Alice likes tea."), reply("Tea."))
    compacted = relayed_client.chat.compact_context("m", TALK)
    blob = chat_pb2.Message(role="ROLE_ASSISTANT", encrypted_content=compacted.encrypted_content)
    relayed_client.chat.create(model="m", messages=[*TALK, blob, user("What do I like?")]).sample()
    assert [role for role, _ in last_request(upstream)] == ["system", "user", "user"]


def test_calls_that_wait_for_their_results_stay_as_they_are(relayed_client: Any, upstream: Upstream) -> None:
    upstream.script(tool_call("clock", {}, call_id="call_7"), reply("Alice asked for the time."), reply("Noon."))
    chat = relayed_client.chat.create(model="m", messages=[*TALK, user("What time is it?")])
    response: Response = chat.sample()
    compacted = chat.append(response).compact()
    assert compacted.dropped_message_count == 5
    assert chat.append(tool_result("12:00", "call_7")).sample().content == "Noon."
    assert [role for role, _ in last_request(upstream)] == ["system", "user", "assistant", "tool"]
    assert upstream.requests[-1].json["messages"][2]["tool_calls"][0]["id"] == "call_7"


def test_what_cannot_be_compacted_is_refused(client: Any) -> None:
    compact = client.chat.compact_context
    nothing = ("INVALID_ARGUMENT", "input: there is nothing to compact")
    assert refused(lambda: compact("m", [])) == nothing
    assert refused(lambda: compact("m", [system("Be brief.")])) == nothing
    assert refused(lambda: compact("", TALK))[0] == "INVALID_ARGUMENT"


def test_a_damaged_compaction_is_refused(client: Any) -> None:
    good = client.chat.compact_context("m", TALK).encrypted_content
    for broken in (good[:-9], good.replace("mtx1.", "mtx1.%"), "mtx1.AAAA"):
        blob = chat_pb2.Message(role="ROLE_USER", encrypted_content=broken)
        code, details = refused(client.chat.create(model="m", messages=[blob, user("hi")]).sample)
        assert code == "INVALID_ARGUMENT"
        assert details.startswith("messages[0].encrypted_content: this compaction is damaged")


def test_what_a_summary_took_counts_for_the_limit_of_the_key(relayed: Door, upstream: Upstream) -> None:
    from xai_clients import client_of

    upstream.script(reply("Alice likes tea.", usage={"prompt_tokens": 500, "completion_tokens": 100}))
    client = client_of(relayed.host, key=relayed.key("acme", tokens_per_minute=100))
    client.chat.compact_context("m", TALK)
    code, details = refused(lambda: client.chat.compact_context("m", TALK))
    assert (code, "100 tokens" in details) == ("RESOURCE_EXHAUSTED", True)
    assert json.dumps(upstream.requests[0].json).count("likes tea") == 0
    client.close()
