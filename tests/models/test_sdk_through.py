"""Whose client it is, where it leads, and what it may be asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import xai_sdk
from anthropic import Anthropic, AnthropicBedrock, AsyncAnthropic
from google import genai
from openai import AsyncOpenAI, AzureOpenAI, OpenAI

from models.sdk_clients import KEY, answered, asking, model_of
from multiturn import Conversation
from multiturn.errors import InvalidInput
from multiturn.formats.switching import Switching
from multiturn.models.registry import resolve
from multiturn.models.remote import RemoteModel
from multiturn.models.sdk import through
from multiturn.models.xai import XaiModel
from multiturn.request import Settings
from upstream import Upstream, reply


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as up:
        yield up


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def dialect_of(model: object) -> Any:
    assert isinstance(model, RemoteModel)
    return model._dialect


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://api.x.ai/v1", "xai"),
        ("https://openrouter.ai/api/v1/", "openrouter"),
        ("http://127.0.0.1:11434/v1", "ollama"),
        ("https://mine.openai.azure.com/openai/v1/", "azure"),
        ("https://mine.services.ai.azure.com/openai/v1/", "azure"),
        ("https://gateway.example:8443/v1", "gateway.example"),
        ("https://me:pass-word@gateway.example/v1?tenant=7", "gateway.example"),
        ("https://api.anthropic.com/v1/", "api.anthropic.com"),  # speaks chat completions there too
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "generativelanguage.googleapis.com"),
    ],
)
def test_an_openai_client_leads_where_its_base_url_does(base_url: str, provider: str) -> None:
    model = model_of(OpenAI(base_url=base_url, api_key=KEY))
    assert (model.provider, dialect_of(model).provider, dialect_of(model).format) == (
        provider,
        provider,
        "chat_completions",
    )
    assert not any(secret in repr(model) for secret in (KEY, "pass-word", "tenant"))


def test_a_provider_is_spoken_to_as_it_wants() -> None:
    plain = dialect_of(model_of(OpenAI(base_url="https://gateway.example/v1", api_key=KEY)))
    mistral = dialect_of(model_of(OpenAI(base_url="https://api.mistral.ai/v1", api_key=KEY)))
    azure = dialect_of(model_of(AzureOpenAI(azure_endpoint="https://x.example", api_version="1", api_key=KEY)))
    openai = dialect_of(model_of(OpenAI(api_key=KEY)))
    assert (plain.developer_role, plain.alternate, mistral.alternate) == (False, False, True)
    assert (azure.developer_role, openai.developer_role) == (True, True)
    assert (azure.key_variable, openai.key_variable) == ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY")


@pytest.mark.parametrize(
    ("client", "format"),
    [
        (Anthropic(api_key=KEY), "anthropic"),
        (AsyncAnthropic(api_key=KEY), "anthropic"),
        (genai.Client(api_key=KEY), "gemini"),
    ],
)
def test_other_sdks_speak_their_own_format(client: object, format: str) -> None:
    model = model_of(client)
    assert (model.provider, dialect_of(model).provider, dialect_of(model).format) == (format, format, format)


@pytest.mark.parametrize("api", [None, "responses"])
def test_openai_is_spoken_to_as_it_is_by_name(api: Any) -> None:
    assert dialect_of(model_of(OpenAI(api_key=KEY), "gpt-4.1", api=api)) == dialect_of(
        resolve("openai:gpt-4.1", api_key=KEY, api=api)
    )


@pytest.mark.parametrize("name", ["claude-3-7-sonnet-20250219", "claude-opus-4-1", "claude-of-tomorrow"])
def test_anthropic_is_spoken_to_as_it_is_by_name(name: str) -> None:
    assert dialect_of(model_of(Anthropic(api_key=KEY), name)) == dialect_of(resolve(f"anthropic:{name}", api_key=KEY))


def test_gemini_is_spoken_to_as_it_is_by_name() -> None:
    named = resolve("gemini:gemini-2.5-flash", api_key=KEY)
    assert dialect_of(model_of(genai.Client(api_key=KEY), "gemini-2.5-flash")) == dialect_of(named)


def test_a_compatible_server_of_anthropics_api_is_not_anthropic() -> None:
    model = model_of(Anthropic(base_url="https://api.other.example/anthropic", api_key=KEY))
    assert (model.provider, dialect_of(model).provider) == ("api.other.example", "api.other.example")


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_an_openai_client_speaks_the_api_that_is_asked_for(api: Any) -> None:
    format = {"chat": "chat_completions", "responses": "responses"}[api]
    azure = AzureOpenAI(azure_endpoint="https://x.example", api_version="1", api_key=KEY)
    for client in (OpenAI(api_key=KEY), OpenAI(base_url="http://gpu.example/v1", api_key=KEY), azure):
        assert dialect_of(model_of(client, api=api)).format == format


def test_switching_is_passed_on() -> None:
    model = through(OpenAI(api_key=KEY), "gpt-5-mini", api=None, switching=Switching(reasoning="text"))
    assert dialect_of(model).switching.reasoning == "text"


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "name", "provider", "own_name"),
    [
        ("https://api.openai.com/v1", "gpt-5-mini", "openai", "gpt-5-mini"),
        ("https://api.openai.com/v1", "openai:gpt-5-mini", "openai", "gpt-5-mini"),
        ("https://api.openai.com/v1", "ft:gpt-4o:acme::1", "openai", "ft:gpt-4o:acme::1"),
        ("http://localhost:11434/v1", "qwen3:4b", "ollama", "qwen3:4b"),
        ("http://localhost:11434/v1", "Ollama:qwen3:4b", "ollama", "qwen3:4b"),
        ("http://gateway.example/v1", "openai/gpt-5", "gateway.example", "openai/gpt-5"),
        ("http://gateway.example/v1", "openai:gpt-5", "openai", "gpt-5"),  # spoken to as OpenAI is
        ("http://gateway.example/v1", "vllm:qwen", "vllm", "qwen"),
    ],
)
def test_a_name_may_say_its_provider(base_url: str, name: str, provider: str, own_name: str) -> None:
    model = model_of(OpenAI(base_url=base_url, api_key=KEY), name)
    assert (model.provider, model.name, dialect_of(model).provider) == (provider, own_name, provider)


@pytest.mark.parametrize(
    ("client", "name"),
    [
        (OpenAI(api_key=KEY), "anthropic:claude-sonnet-4-5"),
        (OpenAI(api_key=KEY), "mistral:large"),
        (OpenAI(base_url="http://gateway.example/v1", api_key=KEY), "gemini:gemini-2.5-flash"),
        (Anthropic(api_key=KEY), "openai:gpt-5-mini"),
        (Anthropic(base_url="http://gateway.example", api_key=KEY), "openai:gpt-5-mini"),
        (genai.Client(api_key=KEY), "openai:gpt-5-mini"),
        (xai_sdk.Client(api_key=KEY), "openai:gpt-5-mini"),
    ],
)
def test_a_name_of_another_provider_is_refused(client: object, name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"'{name}' cannot be asked through .*'s \w+, which leads to"):
        model_of(client, name)


@pytest.mark.parametrize("name", ["", "offline"])
def test_a_model_must_be_named(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"openai's OpenAI can ask for, as in Conversation\('gpt-5-mini', client="):
        model_of(OpenAI(api_key=KEY), name)


# --- whose ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "client", [object(), OpenAI, "gpt-5-mini", AnthropicBedrock(aws_region="eu-west-1"), OpenAI(api_key=KEY).chat]
)
def test_what_is_no_client_is_refused(client: object) -> None:
    with pytest.raises(InvalidInput, match="client= takes one of OpenAI or AsyncOpenAI of openai; "):
        model_of(client)


@pytest.mark.parametrize("client", [Anthropic(api_key=KEY), genai.Client(api_key=KEY), xai_sdk.Client(api_key=KEY)])
def test_only_openais_clients_have_several_apis(client: object) -> None:
    with pytest.raises(InvalidInput, match="leave api='responses' out"):
        model_of(client, api="responses")


def test_a_key_that_cannot_be_sent_is_refused_and_not_shown() -> None:
    with pytest.raises(InvalidInput, match="the key for openai") as caught:
        model_of(OpenAI(api_key="sk-two\nlines"))
    assert "two" not in str(caught.value)


async def test_a_subclass_is_a_client_too(upstream: Upstream) -> None:
    class Ours(AsyncOpenAI):
        pass

    upstream.script(reply("Hello."))
    model = model_of(Ours(base_url=upstream.url, api_key=KEY))
    assert (await answered(model, asking()))[1].text == "Hello."


@pytest.mark.parametrize("client", [xai_sdk.Client(api_key=KEY), xai_sdk.AsyncClient(api_key=KEY)])
@pytest.mark.parametrize("name", ["grok-4", "xai:grok-4"])
def test_xais_clients_are_asked_over_their_channel(client: object, name: str) -> None:
    model = model_of(client, name)
    assert isinstance(model, XaiModel)
    assert (model.provider, model.name) == ("xai", "grok-4")


def test_no_sdk_is_imported_that_the_user_did_not_import() -> None:
    program = (
        "import sys, multiturn.models.sdk\n"
        "heavy = {'openai', 'anthropic', 'google.genai', 'xai_sdk', 'httpx', 'httpx2', 'aiohttp', 'grpc'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# --- a conversation -------------------------------------------------------------------------------------------------


def test_a_conversation_changes_client_and_model_between_turns(upstream: Upstream) -> None:
    upstream.script(reply("from the first"), reply("from the second"))
    chat = Conversation("tiny", client=OpenAI(base_url=upstream.url, api_key="one"), settings=Settings(temperature=0))
    chat.send("hello")
    chat.client, chat.model = AsyncOpenAI(base_url=upstream.url, api_key="two"), "large"
    assert chat.send("again").text == "from the second"
    assert [request.headers["authorization"] for request in upstream.requests] == ["Bearer one", "Bearer two"]
    assert [request.json["model"] for request in upstream.requests] == ["tiny", "large"]
    assert upstream.requests[1].json["messages"][1]["content"] == "from the first"


def test_a_fork_asks_through_the_same_client(upstream: Upstream) -> None:
    client = OpenAI(base_url=upstream.url, api_key=KEY)
    chat = Conversation("tiny", client=client)
    chat.send("hello")
    assert chat.fork().send("from here").text
    assert len(upstream.requests) == 2
