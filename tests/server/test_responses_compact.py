"""`/v1/responses/compact`, which gives a shorter history, and `/v1/responses/input_tokens`, which counts one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from agents import Agent, OpenAIResponsesModel, RunConfig, Runner, SQLiteSession
from agents.memory import OpenAIResponsesCompactionSession
from openai import AsyncOpenAI, BadRequestError, OpenAI

from multiturn.context.view import SUMMARY_OPENS
from multiturn.formats.responses.compaction import opened
from multiturn.server.responses.shown import response_id
from openresponses import problems
from responses_wire import Json, Wire, said
from serving import Server
from upstream import Upstream, reply, status

ALICE: Json = {"role": "user", "content": "My name is Alice."}
BERN: Json = {"role": "user", "content": "I live in Bern."}
NOTED: Json = {"role": "assistant", "content": "Noted."}


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


def compacted(wire: Wire, **fields: Any) -> Json:
    """The compacted window, checked."""
    found = wire.post("/responses/compact", **{"model": "m", **fields})
    assert problems(found, "CompactResource") == []
    return found


def test_a_history_becomes_what_the_user_said_and_one_item(relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(reply("Alice lives in Bern."))
    found = compacted(relay_wire, input=[ALICE, NOTED, BERN, NOTED])
    *users, item = found["output"]
    assert [user["content"][0]["text"] for user in users] == ["My name is Alice.", "I live in Bern."]
    assert item["type"] == "compaction"
    assert "Bern" not in item["encrypted_content"]
    assert found["usage"]["input_tokens"] > 0
    assert len(upstream.requests[0].json["messages"]) == 5  # the history, and the wish for a summary


def test_a_later_request_carries_it_in_its_input(relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(reply("Alice lives in Bern."))
    found = compacted(relay_wire, input=[ALICE, NOTED, BERN])
    next_one = relay_wire.create(model="m", input=[*found["output"], {"role": "user", "content": "Hi"}])
    read = [message["content"] for message in upstream.requests[1].json["messages"]]
    assert "".join(read).count("Alice lives in Bern.") == 1
    assert "My name is Alice." in read[0]
    assert read[-1].endswith("Hi")
    (item,) = [
        item
        for item in relay_wire.get(f"/responses/{next_one['id']}/input_items")["data"]
        if item["type"] == "compaction"
    ]
    assert item["encrypted_content"] == found["output"][-1]["encrypted_content"]


def test_a_later_request_goes_on_from_its_id(relay_wire: Wire, upstream: Upstream) -> None:
    first = relay_wire.create(model="m", input=[ALICE])
    second = relay_wire.create(model="m", input=[BERN], previous_response_id=first["id"])
    upstream.script(reply("Alice lives in Bern."))
    found = compacted(relay_wire, previous_response_id=second["id"])
    ids = [item["id"] for item in relay_wire.get(f"/responses/{second['id']}/input_items", order="asc")["data"]]
    assert [item["id"] for item in found["output"][:-1]] == [ids[0], ids[2]]
    relay_wire.create(model="m", input="Hi", previous_response_id=found["id"])
    read = [message["content"] for message in upstream.requests[-1].json["messages"]]
    assert read[0].startswith(SUMMARY_OPENS)
    assert "My name is Alice." not in "".join(read)
    assert read[-1] == "Hi"
    relay_wire.create(model="m", input="Aside", previous_response_id=second["id"])  # the way without it is still there
    assert upstream.requests[-1].json["messages"][0]["content"] == "My name is Alice."


def test_it_can_be_retrieved_and_compacted_again(relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(reply("Alice."), reply("Alice in Bern."))
    first = compacted(relay_wire, input=[ALICE, NOTED])
    shown = relay_wire.response(first["id"])
    assert shown["output"] == [first["output"][-1]]
    second = compacted(relay_wire, input=[*first["output"], BERN, NOTED])
    texts = [item["content"][0]["text"] for item in second["output"][:-1]]
    assert texts == ["My name is Alice.", "I live in Bern."]
    assert "Alice in Bern." in (opened(second["output"][-1]["encrypted_content"]) or "")
    asked = "".join(str(message["content"]) for message in upstream.requests[1].json["messages"])
    assert "Alice." in asked


def test_an_item_of_another_server_goes_to_its_provider_alone(relay_wire: Wire, upstream: Upstream) -> None:
    for content in ("gAAAA", "mt1.", "mt1.!!", "mt1.eJwDAAAAAAE="):
        foreign = {"type": "compaction", "encrypted_content": content}
        relay_wire.create(model="m", input=[foreign, ALICE])
        assert [message["role"] for message in upstream.requests[-1].json["messages"]] == ["user"]


def test_a_model_that_fails_leaves_the_history_as_it_was(relay_wire: Wire, relay: Server, upstream: Upstream) -> None:
    first = relay_wire.create(model="m", input=[ALICE])
    upstream.script(status(500))
    body = {"model": "m", "previous_response_id": first["id"]}
    relay_wire.refused(502, "POST", "/responses/compact", json=body)
    records = relay.run(relay.service.store.conversations())
    failed = relay_wire.response(response_id(records[0].latest or ""))
    assert failed["status"] == "failed"
    upstream.script(reply("Fine."))
    assert said(relay_wire.create(model="m", input="Hi", previous_response_id=first["id"])) == "Fine."


def test_there_has_to_be_something(client: OpenAI, wire: Wire) -> None:
    for body in ({"model": "m"}, {"model": "m", "input": []}, {"input": "Hi"}):
        wire.refused(400, "POST", "/responses/compact", json=body)
    with pytest.raises(BadRequestError) as raised:
        client.responses.compact(model="m", previous_response_id="resp_06gvvr5qstgff9q1r2047q05q4")
    assert raised.value.code == "previous_response_not_found"


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
async def test_the_agents_sdk_compacts_its_session(server: Server) -> None:
    async with AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        session = OpenAIResponsesCompactionSession(
            "s",
            SQLiteSession("s"),
            client=client,
            should_trigger_compaction=lambda context: len(context["compaction_candidate_items"]) >= 2,
        )
        agent = Agent(name="A", model=OpenAIResponsesModel("m", client))
        config = RunConfig(tracing_disabled=True)
        await Runner.run(agent, "My name is Alice.", session=session, run_config=config)
        await Runner.run(agent, "Hello again.", session=session, run_config=config)
        items: list[Any] = await session.get_items()
        assert [item["type"] for item in items] == ["message", "message", "compaction"]
        answer = await Runner.run(agent, "What's my name?", session=session, run_config=config)
        assert answer.final_output == "Your name is Alice."


# --- counting -------------------------------------------------------------------------------------------------------


def test_counts_are_of_all_that_the_model_would_read(client: OpenAI) -> None:
    def count(**asked: Any) -> int:
        found = client.responses.input_tokens.count(model="m", **asked)
        assert found.object == "response.input_tokens"
        return found.input_tokens

    tools: Any = [{"type": "function", "name": "get_weather", "description": "The weather.", "parameters": {}}]
    alone = count(input="How are you today?")
    assert alone > 0
    assert count(input="How are you today?", instructions="Be very brief.") > alone
    assert count(input="How are you today?", tools=tools) > alone
    first = client.responses.create(model="m", input="My name is Alice.")
    chained = count(input="How are you today?", previous_response_id=first.id)
    assert chained > alone
    conversation = client.conversations.create(items=[ALICE])  # type: ignore[list-item]
    assert count(input="How are you today?", conversation=conversation.id) > alone
    assert count(input="How are you today?", previous_response_id=first.id, truncation="auto") == chained


def test_counting_stores_nothing_and_asks_nobody(relay_wire: Wire, relay: Server, upstream: Upstream) -> None:
    relay_wire.post("/responses/input_tokens", model="m", input="Hi")
    assert upstream.requests == []
    assert relay.run(relay.service.store.conversations()) == ()


def test_counting_refuses_what_answering_would(wire: Wire) -> None:
    for body in (
        {"input": "Hi"},
        {"model": "m", "input": "Hi", "tools": [{"type": "web_search"}]},
        {"model": "m", "input": "Hi", "previous_response_id": "resp_1"},
    ):
        wire.refused(400, "POST", "/responses/input_tokens", json=body)
