"""`POST /v1/responses` over a real socket: what comes back, as JSON and as events, and what every answer repeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from multiturn.server.upstreams import Upstream as Place
from responses_wire import Json, Wire, said, told
from serving import Server
from upstream import Upstream, reply, stream, tool_call
from upstream_responses import Provider, ResponsesUpstream, custom_call, message, reasoning

WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
SQL: Json = {"type": "custom", "name": "run_sql", "description": "Runs a query."}
NAMED = {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "get_weather"}}


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def relayed(relay: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as client:
        yield client


# --- what comes back ------------------------------------------------------------------------------------------------


def test_the_sdk_gets_a_whole_response(client: OpenAI) -> None:
    response = client.responses.create(model="gpt-5-mini", input="My name is Alice.")
    assert response.status == "completed"
    assert response.output_text == "Nice to meet you, Alice."
    assert response.model == "gpt-5-mini"
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
    assert response.completed_at is not None
    assert response.completed_at >= response.created_at > 1_700_000_000


async def test_the_async_sdk_gets_a_stream_whose_deltas_are_the_text(server: Server) -> None:
    async with AsyncOpenAI(base_url=server.base_url, api_key="none") as client:
        pieces, last = [], None
        async for event in await client.responses.create(model="m", input="count to 30", stream=True):
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
            last = event
        assert last is not None
        assert last.type == "response.completed"
        assert last.response.output_text == "".join(pieces)
        assert len(pieces) > 5
        stored = await client.responses.retrieve(last.response.id)
        assert stored.to_dict() == last.response.to_dict()


def test_the_sdks_stream_helper_gives_the_final_response(client: OpenAI) -> None:
    with client.responses.stream(model="m", input="My name is Bo.") as events:
        for _ in events:
            pass
        assert events.get_final_response().output_text == "Nice to meet you, Bo."


def test_every_field_that_the_schema_wants_is_there_with_what_was_asked(wire: Wire) -> None:
    asked = {
        "model": "m",
        "instructions": "Be brief.",
        "temperature": 0.3,
        "top_p": 0.5,
        "presence_penalty": 0.25,
        "frequency_penalty": -0.5,
        "max_output_tokens": 64,
        "max_tool_calls": 3,
        "parallel_tool_calls": False,
        "truncation": "auto",
        "metadata": {"a": "b"},
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "tools": [WEATHER],
        "tool_choice": "none",
    }
    response = wire.create(
        **asked, input="Hi", reasoning={"effort": "low"}, text={"format": {"type": "text"}, "verbosity": "low"}
    )
    assert {name: response[name] for name in asked} == asked
    assert response["reasoning"] == {"effort": "low", "summary": None}
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert (response["store"], response["background"], response["top_logprobs"]) == (True, False, 0)
    assert wire.response(response["id"]) == response


def test_a_streamed_response_is_the_stored_one_and_the_same_as_a_whole_one(wire: Wire) -> None:
    asked: Json = {"model": "m", "input": "My name is Cy.", "metadata": {"a": "b"}, "instructions": "Be kind."}
    *events, last = wire.events(**asked)
    assert told(events) == said(last["response"]) == "Nice to meet you, Cy."
    assert wire.response(last["response"]["id"]) == last["response"]
    whole = wire.create(**asked)
    volatile = ("id", "created_at", "completed_at", "output")
    assert {k: v for k, v in whole.items() if k not in volatile} == {
        k: v for k, v in last["response"].items() if k not in volatile
    }


def test_a_structured_answer_is_parsed(client: OpenAI) -> None:
    class Person(BaseModel):
        name: str
        age: int

    parsed = client.responses.parse(model="m", input="Alice is 30 years old.", text_format=Person)
    assert isinstance(parsed.output_parsed, Person)
    assert parsed.to_dict()["text"]["format"]["type"] == "json_schema"  # type: ignore[index]


def test_what_a_limit_cuts_short_is_incomplete(relayed: OpenAI, relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(reply("one two", finish_reason="length"), reply("no", finish_reason="content_filter"))
    cut = relay_wire.create(model="m", input="count", max_output_tokens=16)
    assert (cut["status"], cut["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (cut["completed_at"], cut["output"][0]["status"]) == (None, "incomplete")
    assert relay_wire.response(cut["id"]) == cut
    *_, last = relay_wire.events(model="m", input="x")
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "content_filter"}
    assert relay_wire.response(last["response"]["id"]) == last["response"]


def test_a_model_that_counts_nothing_leaves_usage_unsaid(relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(reply("Hi", usage=None))
    assert relay_wire.create(model="m", input="Hi")["usage"] is None


# --- what the model is asked ----------------------------------------------------------------------------------------


def test_settings_reach_the_model(relay_wire: Wire, upstream: Upstream) -> None:
    relay_wire.create(
        model="m",
        input="Hi",
        instructions="Be brief.",
        temperature=0.3,
        top_p=0.5,
        max_output_tokens=64,
        parallel_tool_calls=False,
        reasoning={"effort": "low"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
        **NAMED,
    )
    asked = upstream.requests[0].json
    assert asked["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert (asked["temperature"], asked["top_p"], asked["parallel_tool_calls"]) == (0.3, 0.5, False)
    assert asked["reasoning_effort"] == "low"
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert asked["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert 64 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))


def test_only_the_allowed_tools_are_offered(relay_wire: Wire, upstream: Upstream) -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_weather"}]}
    other = {**WEATHER, "name": "get_time"}
    response = relay_wire.create(model="m", input="Hi", tools=[WEATHER, other], tool_choice=choice)
    asked = upstream.requests[0].json
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["get_weather"]
    assert asked["tool_choice"] == "required"
    assert response["tool_choice"] == choice
    assert len(response["tools"]) == 2


def test_a_clients_functions_are_called_and_answered(client: OpenAI) -> None:
    tools: Any = [WEATHER]
    asked = client.responses.create(model="m", input="What is the weather in Paris?", tools=tools)
    (call,) = asked.output
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"city": "Paris"}
    output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "Sunny, 21 degrees"}]
    answer = client.responses.create(model="m", input=output, tools=tools, previous_response_id=asked.id)
    assert "21" in answer.output_text
    kinds = [item.type for item in client.responses.input_items.list(answer.id, order="asc")]
    assert kinds == ["message", "function_call", "function_call_output"]


def test_a_custom_tool_is_a_function_to_a_model_that_knows_only_those(relay_wire: Wire, upstream: Upstream) -> None:
    upstream.script(tool_call("run_sql", {"input": 'SELECT "é\n" FROM t'}), reply("Two rows."))
    *events, last = relay_wire.events(model="m", input="How many?", tools=[WEATHER, SQL])
    (call,) = last["response"]["output"]
    assert (call["type"], call["name"], call["input"]) == ("custom_tool_call", "run_sql", 'SELECT "é\n" FROM t')
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == call["input"]
    offered = upstream.requests[0].json["tools"][1]["function"]
    assert offered["name"] == "run_sql"
    assert offered["parameters"]["properties"] == {"input": {"type": "string"}}
    output = [{"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "2"}]
    answer = relay_wire.create(model="m", input=output, tools=[SQL], previous_response_id=last["response"]["id"])
    assert said(answer) == "Two rows."
    roles = [message["role"] for message in upstream.requests[1].json["messages"]]
    assert roles == ["user", "assistant", "tool"]
    items = relay_wire.get(f"/responses/{answer['id']}/input_items", order="asc")["data"]
    assert [item["type"] for item in items] == ["message", "custom_tool_call", "custom_tool_call_output"]


def test_input_of_a_custom_tool_that_is_no_json_is_taken_as_it_is(relay_wire: Wire, upstream: Upstream) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "run_sql", "arguments": "SELECT 1"}}
    upstream.script(stream(tool_calls=[call], finish_reason="tool_calls"))
    *events, last = relay_wire.events(model="m", input="Go", tools=[SQL])
    (item,) = last["response"]["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "SELECT 1")
    deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == "SELECT 1"


# --- a model that is asked through the same API ---------------------------------------------------------------------


def place(url: str) -> tuple[Place, ...]:
    return (Place(name="provider", urls=(url,), provider="openai", api="responses"),)


def test_what_only_this_api_has_reaches_a_model_asked_through_it(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with ResponsesUpstream(provider := Provider()) as upstream:
        provider.says(reasoning("Hm.", encrypted="gAAA", id="rs_1"), custom_call("run_sql", "SELECT 1"))
        provider.says(message("One.", phase="final_answer"))
        wire = Wire(serve(upstreams=place(upstream.url)).url)
        first = wire.create(
            model="gpt-5", input="Go", tools=[SQL, {"type": "web_search"}], include=["reasoning.encrypted_content"]
        )
        assert [tool["type"] for tool in upstream.requests[0].json["tools"]] == ["custom", "web_search"]
        thought, call = first["output"]
        assert (thought["encrypted_content"], call["input"]) == ("gAAA", "SELECT 1")
        output = [{"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "1"}]
        second = wire.create(model="gpt-5", input=output, previous_response_id=first["id"])
        assert second["output"][0]["phase"] == "final_answer"
        thoughts = [item for item in provider.contexts[-1] if item["type"] == "reasoning"]
        assert [thought["encrypted_content"] for thought in thoughts] == ["gAAA"]
        wire.close()


def test_encrypted_thinking_is_shown_only_where_it_is_asked_for(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    include = ["reasoning.encrypted_content"]
    with ResponsesUpstream(provider := Provider()) as upstream:
        for _ in range(3):
            provider.says(reasoning("Hm.", encrypted="gAAA", id="rs_1"), message("Hi"))
        wire = Wire(serve(upstreams=place(upstream.url)).url)
        hidden = wire.create(model="gpt-5", input="Hi")
        assert "gAAA" not in json.dumps([hidden, wire.events(model="gpt-5", input="Hi")])
        shown = wire.events(model="gpt-5", input="Hi", include=include)
        done = [event["item"] for event in shown if event["type"] == "response.output_item.done"]
        assert done[0]["encrypted_content"] == shown[-1]["response"]["output"][0]["encrypted_content"] == "gAAA"
        assert "gAAA" not in json.dumps(wire.response(hidden["id"]))
        for name in ("include", "include[]"):
            read = wire.response(hidden["id"], **{name: include})
            assert read["output"][0]["encrypted_content"] == "gAAA"
        wire.close()


def test_thinking_that_a_client_sends_back_reaches_the_provider_that_it_is_of(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    asked: Json = {"model": "gpt-5", "store": False, "include": ["reasoning.encrypted_content"]}
    with ResponsesUpstream(provider := Provider()) as upstream:
        provider.says(reasoning("Hm.", encrypted="gAAA", id="rs_1"), message("Hi"))
        wire = Wire(serve(upstreams=place(upstream.url)).url)
        first = wire.create(**asked, input="Hi")
        user = {"role": "user", "content": "Hi"}
        wire.create(**asked, input=[user, *first["output"], user])
        assert [item.get("encrypted_content") for item in provider.contexts[-1]] == [None, "gAAA", None, None]
        wire.close()


# --- what is refused ------------------------------------------------------------------------------------------------

REFUSED: list[tuple[Json, str | None]] = [
    ({"input": "Hi"}, "model"),
    ({"model": "m"}, "input"),
    ({"model": "m", "input": []}, "input"),
    ({"model": "m", "input": "Hi", "temperature": 3}, "temperature"),
    ({"model": "m", "input": "Hi", "top_p": -1}, "top_p"),
    ({"model": "m", "input": "Hi", "max_output_tokens": 1}, "max_output_tokens"),
    ({"model": "m", "input": "Hi", "truncation": "some"}, "truncation"),
    ({"model": "m", "input": [{"role": "waiter", "content": "Hi"}]}, "input[0].role"),
    ({"model": "m", "input": [{"role": "user", "content": [{"type": "smell"}]}]}, "input[0].content[0].type"),
    ({"model": "m", "input": "Hi", "tools": [{"type": "function"}]}, "tools[0]"),
    ({"model": "m", "input": "Hi", "tools": [{"type": "web_search"}]}, "tools"),
    ({"model": "m", "input": "Hi", "tool_choice": "perhaps"}, "tool_choice"),
    ({"model": "m", "input": "Hi", "tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice.type"),
    # metadata: 16 pairs, names of 64 characters, values of 512
    ({"model": "m", "input": "Hi", "metadata": {str(n): "" for n in range(17)}}, "metadata"),
    ({"model": "m", "input": "Hi", "metadata": {"n" * 65: ""}}, "metadata"),
    ({"model": "m", "input": "Hi", "metadata": {"n": "v" * 513}}, "metadata.n"),
    ({"model": "m", "input": "Hi", "metadata": {"n": 1}}, "metadata[...]"),
    # what cannot be included, or is not known
    ({"model": "m", "input": "Hi", "include": ["message.output_text.logprobs"]}, "include"),
    ({"model": "m", "input": "Hi", "include": ["everything"]}, "include"),
    ({"model": "m", "input": "Hi", "top_logprobs": 2}, "top_logprobs"),
    ({"model": "m", "input": "Hi", "prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"model": "m", "input": "Hi", "temprature": 1}, "temprature"),
    ({"model": "m", "input": "Hi", "conversation": "conv_1", "previous_response_id": "resp_1"}, "conversation"),
    ({"model": "m", "input": [{"type": "item_reference", "id": "msg_x"}]}, "input"),
    ({"model": "m", "input": "Hi", "safety_identifier": "x" * 65}, "safety_identifier"),
]


@pytest.mark.parametrize(("body", "param"), REFUSED, ids=lambda value: value if isinstance(value, str) else None)
def test_what_cannot_be_done_is_refused_with_the_field_that_asks_it(wire: Wire, body: Json, param: str | None) -> None:
    for streams in (False, True):
        error = wire.refused(400, "POST", "/responses", json={**body, "stream": streams})
        assert (error["type"], error["param"]) == ("invalid_request_error", param), error


def test_a_body_that_is_no_json_is_refused(wire: Wire) -> None:
    for body in (b"", b"{", b"[]", b'"x"', b"\xff"):
        wire.refused(400, "POST", "/responses", content=body)


def test_nothing_is_stored_of_what_is_refused(client: OpenAI, server: Server) -> None:
    tools: Any = [{"type": "web_search"}]
    with pytest.raises(BadRequestError):
        client.responses.create(model="m", input="Hi", tools=tools)
    assert server.run(server.service.store.conversations()) == ()


def test_an_id_that_leads_nowhere_is_never_ignored(client: OpenAI) -> None:
    for id in ("resp_06gvvr5qstgff9q1r2047q05q4", "resp_", "msg_1", "x"):
        with pytest.raises(BadRequestError) as raised:
            client.responses.create(model="m", input="Hi", previous_response_id=id)
        assert raised.value.code == "previous_response_not_found"
        assert raised.value.param == "previous_response_id"
    with pytest.raises(NotFoundError):
        client.responses.create(model="m", input="Hi", conversation="conv_06gvvr5qstgff9q1r2047q05q4")


def test_hints_that_a_model_can_do_without_are_taken(wire: Wire) -> None:
    wire.create(
        model="m",
        input="Hi",
        user="u",
        prompt_cache_retention="24h",
        prompt_cache_options={"mode": "implicit"},
        stream_options={"include_obfuscation": False},
        reasoning={"summary": "auto"},
        top_logprobs=0,
        include=["message.input_image.image_url", "web_search_call.action.sources"],
    )
