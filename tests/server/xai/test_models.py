"""The models that the gRPC door lists, with the official SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xai_sdk.proto import models_pb2

from multiturn.server.upstreams import Route
from multiturn.server.upstreams import Upstream as Place
from upstream import Upstream
from xai_clients import Door, async_client_of, client_of, refused


async def test_models_are_listed_with_what_is_known_of_them(
    open_door: Callable[..., Door], monkeypatch: Any, upstream: Upstream
) -> None:
    monkeypatch.setenv("THE_KEY", "xai-1")
    places = (
        Place(name="xai", key_variable="THE_KEY", models=("grok-4.3",)),
        Place(name="gpu", urls=(upstream.url,), models=("tiny",)),
    )
    door = open_door(upstreams=places, routes=(Route(match="small-*", to="gpu", model="tiny"),))
    async with async_client_of(door.host) as client:
        listed = await client.models.list_language_models()
        grok, tiny = listed
        assert (grok.name, tiny.name) == ("grok-4.3", "tiny")
        # https://docs.x.ai/developers/models: $1.25 and $2.50 for a million, in cents for 100 million
        assert (grok.prompt_text_token_price, grok.completion_text_token_price) == (12_500, 25_000)
        assert 0 < grok.cached_prompt_token_price < grok.prompt_text_token_price
        assert grok.max_prompt_length >= 100_000
        assert list(grok.input_modalities) == [models_pb2.TEXT, models_pb2.IMAGE]
        assert (tiny.max_prompt_length, list(tiny.output_modalities)) == (0, [models_pb2.TEXT])
        assert await client.models.get_language_model("grok-4.3") == grok
        assert (await client.models.get_language_model("small-1")).name == "small-1"
    client = client_of(door.host)
    code, details = refused(lambda: client.models.get_language_model("tini"))
    assert (code, details) == ("NOT_FOUND", "there is no model 'tini' here; did you mean 'tiny'?")
    assert refused(client.models.list_embedding_models)[0] == "UNIMPLEMENTED"
    client.close()


def test_the_stand_in_says_that_it_is_alone(client: Any) -> None:
    assert [model.name for model in client.models.list_language_models()] == ["offline"]
    code, details = refused(lambda: client.models.get_language_model("grok-4"))
    assert code == "NOT_FOUND"
    assert "offline, which answers to every name" in details
