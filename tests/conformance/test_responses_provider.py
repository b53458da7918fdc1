"""What only a model that is asked through the Responses API has, through OpenAI's own SDK: encrypted thinking, phases,
and the parameters that are its provider's to honour."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from conformance.checking import Watch
from conformance.conftest import ONCE, openai_client
from multiturn.server.upstreams import Upstream as Place
from serving import Server
from upstream import Upstream
from upstream_responses import Provider, ResponsesUpstream, message, reasoning

ENCRYPTED: Any = ["reasoning.encrypted_content"]


@pytest.fixture(scope="module")
def provider() -> Provider:
    return Provider()


@pytest.fixture(scope="module")
def asked(provider: Provider) -> Iterator[Upstream]:
    with ResponsesUpstream(provider) as running:
        yield running


@pytest.fixture(scope="module")
def provided(serve: Callable[..., Server], asked: Upstream) -> Iterator[Server]:
    """A server that asks the provider."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-test")
        yield serve(upstreams=(Place(name="p", urls=(asked.url,), provider="openai", api="responses", retries=ONCE),))


@pytest.fixture
async def through(provided: Server, face: str, watch: Watch) -> AsyncIterator[Any]:
    """OpenAI's client, of a server that asks the provider."""
    async for made in openai_client(provided, face, watch):
        yield made


async def test_encrypted_thinking_is_shown_to_who_includes_it(through: Any, provider: Provider) -> None:
    for _ in range(3):
        provider.says(reasoning("Hm.", encrypted="gAAA"), message("Hi"))
    hidden = await through.responses.create(model="gpt-5", input="Hi")
    assert hidden.output[0].encrypted_content is None
    shown = await through.responses.create(model="gpt-5", input="Hi", include=ENCRYPTED)
    assert shown.output[0].encrypted_content == "gAAA"
    stream = await through.responses.create(model="gpt-5", input="Hi", include=ENCRYPTED, stream=True)
    events = [event async for event in stream]
    (done, _) = [event.item for event in events if event.type == "response.output_item.done"]
    assert done.encrypted_content == events[-1].response.output[0].encrypted_content == "gAAA"
    assert (await through.responses.retrieve(hidden.id)).output[0].encrypted_content is None
    assert (await through.responses.retrieve(hidden.id, include=ENCRYPTED)).output[0].encrypted_content == "gAAA"


async def test_input_items_and_conversations_include_it_too(through: Any, provider: Provider) -> None:
    provider.says(reasoning("Hm.", encrypted="gAAA"), message("Hi"))
    provider.says(message("Bye"))
    made = await through.conversations.create()
    await through.responses.create(model="gpt-5", input="Hi", conversation=made.id)
    second = await through.responses.create(model="gpt-5", input="Go on", conversation=made.id)
    for listed in (
        through.responses.input_items.list(second.id, include=ENCRYPTED),
        through.conversations.items.list(made.id, include=ENCRYPTED),
    ):
        (thought,) = [item async for item in listed if item.type == "reasoning"]
        assert thought.encrypted_content == "gAAA"
    (thought,) = [item async for item in through.conversations.items.list(made.id) if item.type == "reasoning"]
    assert thought.encrypted_content is None
    one = await through.conversations.items.retrieve(thought.id, conversation_id=made.id, include=ENCRYPTED)
    assert one.encrypted_content == "gAAA"


@pytest.mark.parametrize("way", ["stateless", "chain"])
async def test_encrypted_thinking_goes_back_to_its_provider(through: Any, provider: Provider, way: str) -> None:
    provider.says(reasoning("Hm.", encrypted="gAAA"), message("Hi"))
    user: Any = {"role": "user", "content": "Hi"}
    if way == "stateless":
        first = await through.responses.create(model="gpt-5", input="Hi", include=ENCRYPTED, store=False)
        said = [item.to_dict(warnings=False) for item in first.output]
        await through.responses.create(model="gpt-5", input=[user, *said, user], include=ENCRYPTED, store=False)
    else:
        first = await through.responses.create(model="gpt-5", input="Hi")
        await through.responses.create(model="gpt-5", input=[user], previous_response_id=first.id)
    assert [item.get("encrypted_content") for item in provider.contexts[-1]] == [None, "gAAA", None, None]


async def test_phases_are_told_kept_and_sent_back(through: Any, provider: Provider) -> None:
    provider.says(message("Let me see.", phase="commentary"), message("Four.", phase="final_answer"))
    events = [event async for event in await through.responses.create(model="gpt-5", input="2+2?", stream=True)]
    response = events[-1].response
    assert [item.phase for item in response.output] == ["commentary", "final_answer"]
    done = [event.item.phase for event in events if event.type == "response.output_item.done"]
    assert done == ["commentary", "final_answer"]
    stored = await through.responses.retrieve(response.id)
    assert [item.phase for item in stored.output] == ["commentary", "final_answer"]
    second = await through.responses.create(model="gpt-5", input="Why?", previous_response_id=response.id)
    assert [item.get("phase") for item in provider.contexts[-1]] == [None, "commentary", "final_answer", None]
    listed = [item async for item in through.responses.input_items.list(second.id, order="asc")]
    assert [getattr(item, "phase", None) for item in listed] == [None, "commentary", "final_answer", None]


async def test_a_phase_that_the_client_tells_reaches_the_provider(through: Any, provider: Provider) -> None:
    said: Any = [
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "Let me see.", "phase": "commentary"},
        {"role": "user", "content": "Well?"},
    ]
    await through.responses.create(model="gpt-5", input=said)
    assert [item.get("phase") for item in provider.contexts[-1]] == [None, "commentary", None]


async def test_every_parameter_reaches_the_provider_and_is_told_again(through: Any, asked: Upstream) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tool = {"type": "function", "name": "f", "parameters": {**schema, "additionalProperties": False}, "strict": True}
    given: dict[str, Any] = {
        "instructions": "Be brief.",
        "max_output_tokens": 200,
        "max_tool_calls": 3,
        "metadata": {"topic": "names"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "alice",
        "reasoning": {"effort": "low", "summary": "auto"},
        "safety_identifier": "user-1",
        "service_tier": "flex",
        "temperature": 0.5,
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": False}},
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [tool],
        "top_logprobs": 2,
        "top_p": 0.9,
    }
    response = await through.responses.create(model="gpt-5", input="Hi", truncation="auto", **given)
    sent, shown = asked.requests[-1].json, response.to_dict(warnings=False)
    ours = ("metadata", "truncation")  # what is kept of them, and what is left out, is decided here
    assert {name: sent.get(name) for name in given if name not in ours} == {
        name: value for name, value in given.items() if name not in ours
    }
    assert {name: _like(shown[name], value) for name, value in given.items()} == given
    assert shown["truncation"] == "auto"


def _like(shown: Any, asked: Any) -> Any:
    """What is shown of the fields that were asked for; the schema wants more of them."""
    if isinstance(asked, dict) and asked:
        return {name: _like(shown[name], value) for name, value in asked.items()}
    return [_like(*pair) for pair in zip(shown, asked, strict=True)] if isinstance(asked, list) else shown
