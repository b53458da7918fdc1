"""OpenAI's clients over the Responses API: where it is asked, and that only what is new is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from models.sdk_clients import AZURE, KEY, OPENAI, Make, answered, asking, azure, failing, model_of, openai
from multiturn import Conversation
from multiturn.deltas import TextDelta
from multiturn.errors import RateLimited
from multiturn.events import RunNotice
from multiturn.formats import responses as format
from multiturn.models.remote import Endpoint, RemoteModel
from upstream import Upstream, status
from upstream_responses import Provider, ResponsesUpstream, message

every_client = pytest.mark.parametrize("client", OPENAI + AZURE)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def upstream(provider: Provider) -> Iterator[Upstream]:
    with ResponsesUpstream(provider) as up:
        yield up


@every_client
@pytest.mark.parametrize("streams", [False, True])
async def test_an_answer(upstream: Upstream, provider: Provider, client: Make, streams: bool) -> None:
    provider.says(message("Hello there"))
    deltas, answer = await answered(model_of(client(upstream), api="responses"), asking(streams=streams))
    assert answer.text == "Hello there"
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "Hello there" * streams


@pytest.mark.parametrize("client", OPENAI)
async def test_the_body_is_the_one_of_our_own_transport(upstream: Upstream, client: Make) -> None:
    model = model_of(client(upstream), "openai:tiny", api="responses")
    endpoint = Endpoint(provider="openai", base_url=upstream.url)
    await answered(model, asking())
    await answered(RemoteModel("tiny", endpoint, format, format.Dialect(), key=KEY), asking())
    theirs, own = upstream.requests
    assert (theirs.path, theirs.body) == (own.path, own.body)


async def test_azure_asks_where_the_sdk_itself_would(upstream: Upstream) -> None:
    for made in (azure(upstream), azure(upstream, azure_deployment="mine")):
        made.responses.create(model="tiny", input=[{"role": "user", "content": "hi"}])
        await answered(model_of(made, api="responses"), asking())
    assert {request.path for request in upstream.requests} == {"/openai/responses?api-version=2025-04-01"}


@pytest.mark.parametrize("client", OPENAI + AZURE)
def test_only_what_is_new_is_sent(upstream: Upstream, provider: Provider, client: Make) -> None:
    name = "tiny" if client in [param.values[0] for param in AZURE] else "openai:tiny"
    chat = Conversation(name, client=client(upstream), api="responses")
    chat.send("I am Ann")
    list(chat.stream("Who am I?"))
    body = upstream.requests[1].json
    assert body["previous_response_id"]
    assert "I am Ann" not in json.dumps(body)
    provider.forget()
    assert [event for event in chat.stream("And now?") if isinstance(event, RunNotice)]
    assert "I am Ann" in json.dumps(upstream.requests[-1].json)


async def test_an_error(upstream: Upstream) -> None:
    upstream.script(status(429))
    assert isinstance(await failing(model_of(openai(upstream), api="responses"), asking()), RateLimited)
