"""Who can be asked by name, as data: one row a provider.

What a row says was taken from the provider's own documentation where it says so,
and from what its users report where it does not. A server that is in no row gets `compatible`.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.chat_completions import Dialect
from multiturn.formats.switching import Target

Api: TypeAlias = Literal["chat", "responses"]
FORMAT_OF: dict[Api, str] = {"chat": "chat_completions", "responses": "responses"}


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. `dialects` are the formats that it speaks, the one it is asked in first. `keys` are the variables
    that may hold its key, the first that is set wins, and `key_header` is where it goes, beside `headers`;
    `url_variable` may hold another base URL, and `host_variable` just a host, as Ollama's does."""

    base_url: str
    dialects: tuple[Target, ...]
    keys: tuple[str, ...] = ()
    key_header: str = "Authorization"
    headers: tuple[tuple[str, str], ...] = ()
    needs_key: bool = True
    url_variable: str | None = None
    host_variable: str | None = None

    @property
    def name(self) -> str:
        return self.dialects[0].provider

    def dialect(self, api: Api | None) -> Target:
        """How it is spoken to over this API, over its usual one for None. Raises `InvalidInput`."""
        wanted = self.dialects[0].format if api is None else FORMAT_OF[api]
        found = next((dialect for dialect in self.dialects if dialect.format == wanted), None)
        if found is None:
            spoken = " or ".join(repr(name) for name, format in FORMAT_OF.items() if format in self._formats)
            other = f"it speaks api={spoken}" if spoken else "leave api out"
            raise InvalidInput(f"{self.name} does not speak api={api!r}; {other}")
        return found

    @property
    def _formats(self) -> set[str]:
        return {dialect.format for dialect in self.dialects}


def _hosted(name: str, base_url: str, *keys: str, url_variable: str | None = None, **habits: Any) -> Provider:
    return Provider(
        base_url=base_url, dialects=(_plain(name, keys[0], **habits),), keys=keys, url_variable=url_variable
    )


def _local(name: str, base_url: str, key: str, **habits: Any) -> Provider:
    """A server on one's own machine. It reads earlier tool calls into its chat template, and fails on broken ones."""
    dialect = _plain(name, key, repair_arguments=True, **habits)
    return Provider(base_url=base_url, dialects=(dialect,), keys=(key,), needs_key=False)


def _plain(name: str, key_variable: str, **habits: Any) -> Dialect:
    """What every server understands that is not OpenAI's own, but for these habits."""
    plain = {"developer_role": False, "max_tokens_field": "max_tokens", "refusals": False, "custom_tools": False}
    return Dialect(provider=name, key_variable=key_variable, **{**plain, **habits})


_ROWS = (
    Provider(
        base_url="https://api.openai.com/v1",
        dialects=(Dialect(provider="openai", key_variable="OPENAI_API_KEY"),),
        keys=("OPENAI_API_KEY",),
        url_variable="OPENAI_BASE_URL",
    ),
    _hosted(
        "xai",
        "https://api.x.ai/v1",
        "XAI_API_KEY",
        url_variable="XAI_BASE_URL",
        max_tokens_field="max_completion_tokens",
    ),
    _hosted(
        "arcee",
        "https://api.arcee.ai/api/v1",
        "ARCEE_API_KEY",
        "ARCEEAI_API_KEY",
        url_variable="ARCEE_BASE_URL",
        reasoning_field="reasoning_content",  # docs.arcee.ai: without it, tool use over several turns goes wrong
    ),
    _hosted(
        "deepseek",
        "https://api.deepseek.com/v1",
        "DEEPSEEK_API_KEY",
        url_variable="DEEPSEEK_BASE_URL",
        reasoning_field="reasoning_content",  # 400 if it is missing beside a tool call
    ),
    _hosted(
        "mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        url_variable="MISTRAL_BASE_URL",
        names=False,  # 422 "Extra inputs are not permitted", for this and for every other field it does not know
        stream_usage=False,  # a stream ends with the usage, asked for or not
        alternate=True,  # 400 for a system message after the first user message
        call_ids="[a-zA-Z0-9]{9}",
        call_prefix="",
    ),
    _hosted(
        "groq",
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        names=False,  # console.groq.com/docs/openai: 400 for messages[].name
        max_tokens_field="max_completion_tokens",
    ),
    _hosted(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        url_variable="OPENROUTER_BASE_URL",
        reasoning_field="reasoning",
        video=True,
    ),
    _hosted("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", url_variable="TOGETHER_BASE_URL"),
    _hosted(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        url_variable="FIREWORKS_BASE_URL",
        reasoning_field="reasoning_content",
    ),
    msgspec.structs.replace(
        _local("ollama", "http://localhost:11434/v1", "OLLAMA_API_KEY", reasoning_field="reasoning"),
        host_variable="OLLAMA_HOST",
    ),
    _local(
        "vllm",
        "http://localhost:8000/v1",
        "VLLM_API_KEY",
        reasoning_field="reasoning",  # called reasoning_content before 0.11; fields it does not know are ignored
        alternate=True,  # many chat templates raise otherwise
        video=True,
    ),
    _local(
        "llamacpp",
        "http://localhost:8080/v1",
        "LLAMA_API_KEY",
        reasoning_field="reasoning_content",
        alternate=True,
    ),
    _local("lmstudio", "http://localhost:1234/v1", "LM_API_TOKEN", alternate=True),
)

PROVIDERS = {row.name: row for row in _ROWS}
NOT_YET = {"anthropic": "anthropic", "gemini": "google"}
"""Providers with a format of their own, which comes with a later release, and what OpenRouter calls them."""

UPSTREAM_KEY = "MULTITURN_UPSTREAM_API_KEY"


def compatible(base_url: str) -> Provider:
    """The row for any OpenAI-compatible base URL: that of a provider we know by its address, else one that keeps to
    what all servers understand, named for its host."""
    known = next((row for row in _ROWS if same_address(row.base_url, base_url)), None)
    if known is not None:
        keys = (UPSTREAM_KEY, *known.keys)
        return msgspec.structs.replace(known, base_url=base_url, keys=keys, needs_key=False)
    dialect = _plain(urlsplit(base_url).hostname or base_url, UPSTREAM_KEY, repair_arguments=True)
    return Provider(base_url=base_url, dialects=(dialect,), keys=(UPSTREAM_KEY,), needs_key=False)


def same_address(one: str, other: str) -> bool:
    """Whether two base URLs lead to the same host and port."""
    return _address(one) == _address(other)


def _address(base_url: str) -> str:
    host = urlsplit(base_url).netloc.rpartition("@")[2].lower()
    return host.replace("127.0.0.1", "localhost").removesuffix(":443").removesuffix(":80")


_FAMILIES = {
    "openai": ("gpt-", "chatgpt", "o1", "o3", "o4"),
    "anthropic": ("claude",),
    "gemini": ("gemini",),
    "xai": ("grok",),
    "arcee": ("trinity", "arcee"),
    "deepseek": ("deepseek",),
    "mistral": ("mistral", "ministral", "magistral", "codestral", "devstral", "pixtral"),
    "ollama": ("llama", "qwen", "gemma", "phi", "smollm"),
}


def likely_provider(model: str) -> str | None:
    """Whose model a bare name sounds like. One with a tag (`deepseek-r1:8b`) is Ollama's."""
    if ":" in model:
        return "ollama"
    return next((name for name, starts in _FAMILIES.items() if model.lower().startswith(starts)), None)
