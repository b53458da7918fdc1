"""`/v1/models` over real sockets, as the SDKs of OpenAI and Anthropic read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from multiturn.server.upstreams import Route
from multiturn.server.upstreams import Upstream as Place
from serving import Server

NAMES = ["meta-llama/Llama-3.3-70B", "qwen3", "gpt-5-mini"]


@pytest.fixture
def listing(serve: Callable[..., Server]) -> Server:
    """A server that knows `NAMES`, and sends whatever begins with `local-` somewhere too."""
    gpu = Place(name="gpu", urls=("http://127.0.0.1:9/v1",), models=tuple(NAMES[:2]))
    routes = (Route(match="gpt-5-mini", to="gpu", model="qwen3"), Route(match="local-*", to="gpu"))
    return serve(upstreams=(gpu,), routes=routes)


@pytest.fixture
def client(listing: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=listing.base_url, api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def anthropic_client(listing: Server) -> Iterator[Anthropic]:
    with Anthropic(base_url=listing.url, api_key="none", max_retries=0) as made:
        yield made


def test_openai_s_sdk_lists_what_can_be_asked_for(client: OpenAI) -> None:
    found = list(client.models.list())
    assert sorted(model.id for model in found) == sorted(NAMES)
    assert all((model.object, model.created) == ("model", 0) for model in found)
    assert all(model.owned_by for model in found)


@pytest.mark.parametrize("name", [*NAMES, "local-anything"])
def test_one_model_is_retrieved_by_its_name_also_one_that_only_a_glob_leads_to(client: OpenAI, name: str) -> None:
    assert client.models.retrieve(name).id == name


def test_a_model_that_leads_nowhere_is_not_found(client: OpenAI, anthropic_client: Anthropic) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("qwen4")
    assert caught.value.code == "model_not_found"
    assert "qwen3" in caught.value.message
    with pytest.raises(anthropic.NotFoundError) as other:
        anthropic_client.models.retrieve("qwen4")
    body: Any = other.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    assert body["request_id"] == other.value.request_id


def test_anthropic_s_sdk_gets_them_in_its_own_shape_and_in_pages(anthropic_client: Anthropic) -> None:
    found = list(anthropic_client.models.list(limit=2))
    assert sorted(model.id for model in found) == sorted(NAMES)
    assert all((model.type, model.display_name, model.lifecycle) == ("model", model.id, "active") for model in found)
    names = [model.id for model in found]
    page = anthropic_client.models.list(limit=1, before_id=names[2])
    assert ([model.id for model in page.data], page.has_more) == ([names[1]], True)
    assert (page.first_id, page.last_id) == (names[1], names[1])
    assert anthropic_client.models.retrieve(names[0]).id == names[0]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"after_id": "nothing"}, {"before_id": "nothing"}])
def test_a_page_that_there_is_not_is_a_bad_request(anthropic_client: Anthropic, query: dict[str, Any]) -> None:
    with pytest.raises(anthropic.BadRequestError, match=next(iter(query))):
        anthropic_client.models.list(**query)


def test_without_an_upstream_there_is_offline_alone(server: Server) -> None:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        assert [(model.id, model.owned_by) for model in client.models.list()] == [("offline", "offline")]
        assert client.models.retrieve("offline").id == "offline"
        with pytest.raises(openai.NotFoundError, match="answers to every name"):
            client.models.retrieve("gpt-5")
