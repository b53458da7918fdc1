"""From a model's name to the model: who is asked, where, and with which key."""

import subprocess
import sys
from pathlib import Path as Folder

import pytest

from multiturn.errors import InvalidInput, MissingKey, UnknownModel
from multiturn.formats.chat_completions import Dialect
from multiturn.formats.switching import Switching, Target
from multiturn.messages import Image, Inline, user
from multiturn.models.catalogue import ModelInfo
from multiturn.models.offline import OfflineModel
from multiturn.models.providers import PROVIDERS, UPSTREAM_KEY, Api, Provider, compatible
from multiturn.models.registry import UPSTREAM, model_info, resolve
from multiturn.models.remote import RemoteModel
from multiturn.models.xai import XaiModel
from multiturn.path import Path
from multiturn.request import Request

AZURE = "https://mine.openai.azure.com"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Folder) -> None:
    for row in PROVIDERS.values():
        for name in (*row.keys, row.url_variable, row.host_variable, UPSTREAM, UPSTREAM_KEY):
            if name:
                monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"{AZURE}/")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def found(name: str, base_url: str | None = None, api_key: str | None = None) -> tuple[str, str, str, str | None]:
    """Provider, name, base URL and key of the model that this resolves to."""
    model = resolve(name, base_url=base_url, api_key=api_key)
    assert isinstance(model, RemoteModel)
    return model.provider, model.name, model.endpoint.base_url, model._key


def test_a_model_is_given_back_as_it_is() -> None:
    model = OfflineModel()
    assert resolve(model) is model


def test_the_offline_model() -> None:
    assert isinstance(resolve("offline"), OfflineModel)


@pytest.mark.parametrize("name", [name for name, row in PROVIDERS.items() if row.needs_key])
def test_a_provider_is_asked_with_the_key_of_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = PROVIDERS[name]
    with pytest.raises(MissingKey, match=f"{name} needs a key: set {row.keys[0]}"):
        resolve(f"{name}:some-model")
    monkeypatch.setenv(row.keys[-1], " sk-1\n")
    url = row.base_url.replace("https://RESOURCE.openai.azure.com", AZURE)
    assert found(f"{name}:some-model") == (name, "some-model", url, "sk-1")
    assert found(f"{name}:some-model", api_key="sk-2")[3] == "sk-2"


@pytest.mark.parametrize("name", [name for name, row in PROVIDERS.items() if not row.needs_key])
def test_a_local_server_needs_no_key(name: str) -> None:
    assert found(f"{name}:some-model") == (name, "some-model", PROVIDERS[name].base_url, None)


@pytest.mark.parametrize("row", PROVIDERS.values(), ids=PROVIDERS)
def test_every_row_is_sound(row: Provider) -> None:
    assert row.base_url.startswith("https://" if row.needs_key else "http://localhost:")
    assert row.name == row.name.lower()
    assert len(row.formats) == len(set(row.formats)) == len(row.dialects)
    for dialect in row.dialects:
        assert (dialect.provider, dialect.key_variable) == (row.name, row.keys[0])


def test_what_follows_the_first_colon_is_the_name() -> None:
    assert found("ollama:qwen3:4b")[:2] == ("ollama", "qwen3:4b")
    assert found(" Ollama:qwen3:4b ")[:2] == ("ollama", "qwen3:4b")


def test_a_base_url_is_asked_for_any_name() -> None:
    url = "http://gpu.example:8000/v1"
    assert found("tiny", url) == ("gpu.example", "tiny", url, None)
    assert found("qwen3:4b", url)[:2] == ("gpu.example", "qwen3:4b")
    assert found("someone:claude", url)[1] == "someone:claude"
    assert found("tiny", url, "sk-1")[3] == "sk-1"


def test_a_provider_s_habits_at_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://gpu.example:8000/v1"
    assert found("openai:tiny", url) == ("openai", "tiny", url, None)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert found("openai:tiny", url)[3] == "sk-1"


def test_a_provider_s_address_is_known_for_its_habits() -> None:
    assert compatible("http://127.0.0.1:11434/v1").spoken == PROVIDERS["ollama"].spoken
    assert compatible("https://api.mistral.ai:443/v1").spoken == PROVIDERS["mistral"].spoken
    dialect = compatible("http://localhost:9999/v1").dialect("chat")
    assert isinstance(dialect, Dialect)
    assert dialect.max_tokens_field == "max_tokens"


def test_the_upstream_is_asked_for_what_has_no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UPSTREAM, "http://gpu.example:8000/v1")
    monkeypatch.setenv(UPSTREAM_KEY, "sk-up")
    assert found("tiny") == ("gpu.example", "tiny", "http://gpu.example:8000/v1", "sk-up")
    assert found("qwen3:4b")[1] == "qwen3:4b"
    assert found("ollama:qwen3:4b")[:2] == ("ollama", "qwen3:4b")


def test_the_upstream_s_key_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UPSTREAM_KEY, "sk-up")
    assert found("tiny", "http://gpu.example/v1")[3] == "sk-up"  # as `--upstream` does
    monkeypatch.setenv(UPSTREAM, "http://gpu.example/v1")
    assert found("tiny", "http://gpu.example/v1/")[3] == "sk-up"
    assert found("tiny", "http://other.example/v1")[3] is None


@pytest.mark.parametrize(
    ("variable", "value", "name", "url"),
    [
        ("OPENAI_BASE_URL", "http://proxy.example/openai", "openai:gpt-5", "http://proxy.example/openai"),
        ("OLLAMA_HOST", "gpu", "ollama:qwen3", "http://gpu:11434/v1"),
        ("OLLAMA_HOST", "gpu:9000", "ollama:qwen3", "http://gpu:9000/v1"),
        ("OLLAMA_HOST", "0.0.0.0", "ollama:qwen3", "http://127.0.0.1:11434/v1"),
        ("OLLAMA_HOST", "https://ollama.com", "ollama:qwen3", "https://ollama.com/v1"),
        ("OLLAMA_HOST", "http://gpu/ollama/", "ollama:qwen3", "http://gpu/ollama"),
        ("ANTHROPIC_BASE_URL", "http://proxy.example", "anthropic:claude", "http://proxy.example"),
        ("GOOGLE_GEMINI_BASE_URL", "http://proxy.example/", "gemini:gemini", "http://proxy.example/v1beta"),
    ],
)
def test_a_variable_leads_to_another_address(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str, url: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert found(name)[2] == url  # and asks for no key there


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gpt-5-mini", "Did you mean 'openai:gpt-5-mini'"),
        ("o3", "Did you mean 'openai:o3'"),
        ("grok-4", "Did you mean 'xai:grok-4'"),
        ("mistral-large-latest", "Did you mean 'mistral:mistral-large-latest'"),
        ("trinity-mini", "Did you mean 'arcee:trinity-mini'"),
        ("deepseek-chat", "Did you mean 'deepseek:deepseek-chat'"),
        ("qwen3:4b", "Did you mean 'ollama:qwen3:4b'"),
        ("deepseek-r1:8b", "Did you mean 'ollama:deepseek-r1:8b'"),
        ("opnai:gpt-5", "Did you mean 'openai:gpt-5'"),
        ("openai/gpt-5", "Did you mean 'openai:gpt-5'"),
        ("claude-sonnet-5-5", "Did you mean 'anthropic:claude-sonnet-5-5'"),
        ("gemini-3.8-flash", "Did you mean 'gemini:gemini-3.8-flash'"),
        ("antropic:claude-sonnet-5-5", "Did you mean 'anthropic:claude-sonnet-5-5'"),
        ("tiny", "Name its provider: openai:…, anthropic:…, gemini:…, xai:…"),
        ("", "names no model"),
        ("openai:", "names no model"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_where_it_could(name: str, says: str) -> None:
    with pytest.raises(UnknownModel, match=says) as caught:
        resolve(name)
    assert "names no model" in says or "give base_url" in str(caught.value)
    assert len(str(caught.value)) < 400


# --- which API ------------------------------------------------------------------------------------------------------


def spoken(name: str, api: Api | None = None, base_url: str | None = None) -> tuple[str, bool]:
    """The format, and whether only what is new is sent."""
    model = resolve(name, api=api, base_url=base_url, api_key="sk-1")
    assert isinstance(model, RemoteModel)
    return model._dialect.format, model._dialect.keeps_answers


@pytest.mark.parametrize(
    ("name", "api", "format", "keeps"),
    [
        ("openai:m", None, "chat_completions", False),
        ("openai:m", "chat", "chat_completions", False),
        ("openai:m", "responses", "responses", True),
        ("anthropic:m", None, "anthropic", False),
        ("gemini:m", None, "gemini", False),
        ("xai:m", "responses", "responses", True),
        ("azure:m", "responses", "responses", True),
        ("lmstudio:m", "responses", "responses", True),
        ("groq:m", "responses", "responses", False),
        ("openrouter:m", "responses", "responses", False),
        ("ollama:m", "responses", "responses", False),
        ("vllm:m", "responses", "responses", False),
    ],
)
def test_an_api_is_chosen(name: str, api: Api | None, format: str, keeps: bool) -> None:
    assert spoken(name, api) == (format, keeps)


def test_an_unknown_server_s_responses_are_not_trusted_to_be_kept() -> None:
    assert spoken("m", "responses", "http://gpu.example/v1") == ("responses", False)
    assert spoken("openai:m", "responses", "http://gpu.example/v1") == ("responses", True)


@pytest.mark.parametrize(
    ("name", "api", "says"),
    [
        ("mistral:m", "responses", "mistral does not speak api='responses'; it speaks api='chat'"),
        ("anthropic:m", "chat", "anthropic does not speak api='chat'; leave api out"),
        ("openai:m", "grpc", "openai does not speak api='grpc'; it speaks api='chat' or 'responses'"),
        ("xai:m", "soap", "xai does not speak api='soap'; it speaks api='chat' or 'responses' or 'grpc'"),
    ],
)
def test_an_api_that_a_provider_does_not_speak_is_refused(name: str, api: Api, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        resolve(name, api=api, api_key="sk-1")


@pytest.mark.parametrize(
    ("base_url", "host"),
    [(None, "api.x.ai"), ("https://eu.api.x.ai/v1", "eu.api.x.ai"), ("localhost:50051", "localhost:50051")],
)
def test_xai_over_grpc(base_url: str | None, host: str) -> None:
    model = resolve("xai:grok-4.7", api="grpc", api_key="sk-1", base_url=base_url)
    assert isinstance(model, XaiModel)
    assert (model.provider, model.name) == ("xai", "grok-4.7")
    assert host in repr(model)
    with pytest.raises(MissingKey, match="set XAI_API_KEY"):
        resolve("xai:grok-4.7", api="grpc")


@pytest.mark.parametrize(
    ("name", "thinking"),
    [
        ("claude-3-7-sonnet-latest", "budget"),
        ("claude-opus-4-20250514", "budget"),
        ("claude-haiku-4-5", "budget"),
        ("claude-haiku-4-5-20251001", "budget"),
        ("claude-opus-4-6", "adaptive"),
        ("claude-haiku-5-5", "adaptive"),
        ("of-tomorrow", "adaptive"),
    ],
)
def test_older_claudes_are_told_how_much_to_think(name: str, thinking: str) -> None:
    assert PROVIDERS["anthropic"].dialect(None, name).thinking == thinking  # type: ignore[attr-defined]
    model = resolve(f"anthropic:{name}", api_key="sk-1")
    assert isinstance(model, RemoteModel)
    assert model._dialect.thinking == thinking


def test_azure_is_somewhere_else_for_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("azure:gpt-5-mini", api_key="sk-1")[2] == f"{AZURE}/openai/v1"
    proxy = "http://proxy.example/openai/v1"
    assert found("azure:gpt-5-mini", proxy, "sk-1")[2:] == (proxy, "sk-1")
    with pytest.raises(MissingKey, match="azure needs a key: set AZURE_OPENAI_API_KEY"):
        resolve("azure:gpt-5-mini", base_url=proxy)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "mine.openai.azure.com")
    assert found("azure:gpt-5-mini", api_key="sk-1")[2] == f"{AZURE}/openai/v1"
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT")
    with pytest.raises(InvalidInput, match="set AZURE_OPENAI_ENDPOINT"):
        resolve("azure:gpt-5-mini", api_key="sk-1")


# --- what is known of a model ---------------------------------------------------------------------------------------


def inputs(name: str, api: Api | None = None) -> tuple[str, ...] | None:
    model = resolve(name, api=api, api_key="sk-1")
    assert isinstance(model, RemoteModel)
    dialect: Target = model._dialect
    return dialect.inputs


def test_a_model_s_inputs_are_those_that_its_dialect_can_carry() -> None:
    assert inputs("openai:gpt-5-mini") == ("image", "file")
    assert inputs("openai:of-tomorrow") is None
    assert inputs("xai:grok-4.7") == ("image",)  # its chat completions take no files
    assert inputs("xai:grok-4.7", "responses") == ("image", "file")
    assert inputs("xai:of-tomorrow") == ("image",)
    assert inputs("deepseek:deepseek-v4-pro") == ()
    assert inputs("ollama:qwen3:4b") == ()
    assert inputs("openrouter:google/gemini-3.8-flash") == ("image", "audio", "video", "file")


async def test_an_image_for_a_model_that_reads_text_alone_is_refused_before_anything_is_sent() -> None:
    request = Request(path=Path(), input=(user("What is this?", Image(Inline(b"\x89PNG", "image/png"))),))
    with pytest.raises(InvalidInput, match="deepseek-v4-pro cannot read image input; choose a model that can"):
        _ = [item async for item in resolve("deepseek:deepseek-v4-pro", api_key="sk-1").answer(request)]


def test_what_is_known_of_a_model_by_its_name() -> None:
    assert model_info("openai:gpt-5-mini").context == 400_000
    assert model_info("gpt-5-mini", base_url="https://api.openai.com/v1").context == 400_000
    assert model_info("offline").id == "offline"
    assert model_info("ollama:of-tomorrow") == ModelInfo()
    with pytest.raises(UnknownModel):
        model_info("of-tomorrow")


def test_a_switch_of_provider_is_told_to_every_format() -> None:
    switching = Switching(reasoning="text")
    for name in ("openai:m", "anthropic:m", "gemini:m"):
        model = resolve(name, api_key="sk-1", switching=switching)
        assert isinstance(model, RemoteModel)
        assert model._dialect.switching == switching


# --- what is no name ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["localhost:8000", "http://[::1/v1"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    for name in ("tiny", "openai:tiny"):
        with pytest.raises(InvalidInput, match="must be like https://host/v1"):
            resolve(name, base_url=url)


def test_resolving_imports_no_http_client_and_no_format_but_the_one_spoken() -> None:
    code = (
        "import sys; from multiturn.models.registry import resolve; resolve('ollama:qwen3'); "
        "assert not {'httptools', 'grpc', 'multiturn.formats.gemini', 'multiturn.formats.responses'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
