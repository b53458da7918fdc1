"""From a model's name to the model: who is asked, where, and with which key."""

import subprocess
import sys

import pytest

from multiturn.errors import InvalidInput, MissingKey, UnknownModel
from multiturn.formats.chat_completions import Dialect
from multiturn.models.offline import OfflineModel
from multiturn.models.providers import NOT_YET, PROVIDERS, UPSTREAM_KEY, Provider, compatible
from multiturn.models.registry import UPSTREAM, resolve
from multiturn.models.remote import RemoteModel


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in PROVIDERS.values():
        for name in (
            *row.keys,
            row.url_variable,
            row.host_variable,
            UPSTREAM,
            UPSTREAM_KEY,
        ):
            if name:
                monkeypatch.delenv(name, raising=False)


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
    assert found(f"{name}:some-model") == (name, "some-model", row.base_url, "sk-1")
    assert found(f"{name}:some-model", api_key="sk-2")[3] == "sk-2"


@pytest.mark.parametrize("name", [name for name, row in PROVIDERS.items() if not row.needs_key])
def test_a_local_server_needs_no_key(name: str) -> None:
    assert found(f"{name}:some-model") == (name, "some-model", PROVIDERS[name].base_url, None)


@pytest.mark.parametrize("row", PROVIDERS.values(), ids=PROVIDERS)
def test_every_row_is_sound(row: Provider) -> None:
    assert row.base_url.startswith("https://" if row.needs_key else "http://localhost:")
    assert row.dialect(None).key_variable == row.keys[0]
    assert row.name == row.name.lower()


def test_what_follows_the_first_colon_is_the_name() -> None:
    assert found("ollama:qwen3:4b")[:2] == ("ollama", "qwen3:4b")
    assert found(" Ollama:qwen3:4b ")[:2] == ("ollama", "qwen3:4b")


def test_a_base_url_is_asked_for_any_name() -> None:
    url = "http://gpu.example:8000/v1"
    assert found("tiny", url) == ("gpu.example", "tiny", url, None)
    assert found("qwen3:4b", url)[:2] == ("gpu.example", "qwen3:4b")
    assert found("anthropic:claude", url)[1] == "anthropic:claude"
    assert found("tiny", url, "sk-1")[3] == "sk-1"


def test_a_provider_s_habits_at_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://gpu.example:8000/v1"
    assert found("openai:tiny", url) == ("openai", "tiny", url, None)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert found("openai:tiny", url)[3] == "sk-1"


def test_a_provider_s_address_is_known_for_its_habits() -> None:
    assert compatible("http://127.0.0.1:11434/v1").dialects == PROVIDERS["ollama"].dialects
    assert compatible("https://api.mistral.ai:443/v1").dialects == PROVIDERS["mistral"].dialects
    dialect = compatible("http://localhost:9999/v1").dialect("chat")
    assert isinstance(dialect, Dialect)
    assert dialect.max_tokens_field == "max_tokens"


def test_the_upstream_is_asked_for_what_has_no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UPSTREAM, "http://gpu.example:8000/v1")
    monkeypatch.setenv(UPSTREAM_KEY, "sk-up")
    assert found("tiny") == ("gpu.example", "tiny", "http://gpu.example:8000/v1", "sk-up")
    assert found("qwen3:4b")[1] == "qwen3:4b"
    assert found("ollama:qwen3:4b")[:2] == ("ollama", "qwen3:4b")
    with pytest.raises(UnknownModel, match="later release"):
        resolve("anthropic:claude-sonnet-4-5")


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
        ("claude-sonnet-4-5", "anthropic comes with a later release.*'openrouter:anthropic/claude-sonnet-4-5'"),
        ("gemini:gemini-3-pro", "gemini comes with a later release.*'openrouter:google/gemini-3-pro'"),
        ("tiny", "Name its provider: openai:…, xai:…"),
        ("", "names no model"),
        ("openai:", "names no model"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_where_it_could(name: str, says: str) -> None:
    with pytest.raises(UnknownModel, match=says) as caught:
        resolve(name)
    assert "names no model" in says or "give base_url" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_providers_to_come_are_not_rows() -> None:
    assert not NOT_YET.keys() & PROVIDERS.keys()


def test_a_base_url_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must be like https://host/v1"):
        resolve("tiny", base_url="localhost:8000")


def test_resolving_imports_no_http_client() -> None:
    code = (
        "import sys; from multiturn.models.registry import resolve; "
        "resolve('ollama:qwen3'); assert 'aiohttp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
