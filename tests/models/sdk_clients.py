"""The clients of the SDKs, made to ask the scripted upstream, and the calls that the tests make through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

from multiturn.deltas import Answer, Delta, each
from multiturn.errors import ModelError
from multiturn.formats.switching import Switching
from multiturn.messages import Message, assistant, user
from multiturn.models.base import Model
from multiturn.models.providers import Api
from multiturn.models.sdk import through
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import Request, Settings, ToolSpec
from multiturn.turns import Turn, TurnStatus
from upstream import Upstream

KEY = "sk-very-secret"
Make: TypeAlias = Callable[..., Any]


def openai(upstream: Upstream, **options: Any) -> OpenAI:
    return OpenAI(**{"base_url": upstream.url, "api_key": KEY, "max_retries": 0, **options})


def async_openai(upstream: Upstream, **options: Any) -> AsyncOpenAI:
    return AsyncOpenAI(**{"base_url": upstream.url, "api_key": KEY, "max_retries": 0, **options})


def azure(upstream: Upstream, **options: Any) -> AzureOpenAI:
    return AzureOpenAI(**_azure(upstream, options))


def async_azure(upstream: Upstream, **options: Any) -> AsyncAzureOpenAI:
    return AsyncAzureOpenAI(**_azure(upstream, options))


def _azure(upstream: Upstream, options: dict[str, Any]) -> dict[str, Any]:
    endpoint = upstream.url.removesuffix("/v1")
    return {"azure_endpoint": endpoint, "api_version": "2025-04-01", "api_key": KEY, "max_retries": 0, **options}


def anthropic(upstream: Upstream, **options: Any) -> Anthropic:
    return Anthropic(**{"base_url": upstream.url.removesuffix("/v1"), "api_key": KEY, "max_retries": 0, **options})


def async_anthropic(upstream: Upstream, **options: Any) -> AsyncAnthropic:
    return AsyncAnthropic(**{"base_url": upstream.url.removesuffix("/v1"), "api_key": KEY, "max_retries": 0, **options})


OPENAI = [pytest.param(openai, id="OpenAI"), pytest.param(async_openai, id="AsyncOpenAI")]
AZURE = [pytest.param(azure, id="AzureOpenAI"), pytest.param(async_azure, id="AsyncAzureOpenAI")]
ANTHROPIC = [pytest.param(anthropic, id="Anthropic"), pytest.param(async_anthropic, id="AsyncAnthropic")]


def model_of(client: object, name: str = "tiny", *, api: Api | None = None) -> Model:
    return through(client, name, api=api, switching=Switching())


def asking(text: str = "hi", *, streams: bool = False, path: Path | None = None) -> Request:
    return Request(path=path or Path(), input=(user(text),), stream=streams)


def everything(*, streams: bool) -> Request:
    """A request with a history, a tool, instructions and settings, and words that JSON may write in several ways."""
    said = Turn(
        id="turn_1",
        conversation="conv_1",
        input=(user("naïve </script> \u2028 🙂"),),
        output=(assistant("Ja\n\t/"),),
        status=TurnStatus.COMPLETED,
    )
    return Request(
        path=Path((said,)),
        input=(user("and now?"),),
        instructions="Be brief.",
        tools=(ToolSpec("weather", "Today's weather"),),
        settings=Settings(temperature=0.5, max_output_tokens=40),
        stream=streams,
    )


async def answered(model: Model, request: Request) -> tuple[list[Delta], Message]:
    """The deltas and the message of one answer."""
    items = [item async for item in model.answer(request)]
    assert isinstance(items[-1], Answer)
    return [delta for item in items[:-1] if not isinstance(item, Answer | Notice) for delta in each(item)], items[
        -1
    ].message


async def failing(model: Model, request: Request) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await answered(model, request)
    return caught.value
