"""Who can be asked by name: the built-in rows, with the user's own over them. A server that is in no row gets
`compatible`."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from multiturn.models import config
from multiturn.models.provider import FORMAT_OF, Api, Provider
from multiturn.models.remote import Endpoint
from multiturn.models.rows import ROWS, unknown

__all__ = [
    "FORMAT_OF",
    "PROVIDERS",
    "UPSTREAM_KEY",
    "Api",
    "Provider",
    "compatible",
    "known_providers",
    "likely_provider",
    "same_address",
]

PROVIDERS = {row.name: row for row in ROWS}
"""The built-in ones."""

UPSTREAM_KEY = "MULTITURN_UPSTREAM_API_KEY"


def known_providers() -> Mapping[str, Provider]:
    """The built-in ones and the user's own, by name. Raises `InvalidInput` for a file of theirs that cannot be used."""
    return config.merged(PROVIDERS)


def compatible(base_url: str) -> Provider:
    """The row for any OpenAI-compatible base URL: that of a provider we know by its address, else one that keeps to
    what all servers understand, named for its host. Raises `InvalidInput` for what is no URL."""
    Endpoint(provider="the server", base_url=base_url)
    known = next((row for row in known_providers().values() if same_address(row.base_url, base_url)), None)
    if known is not None:
        keys = (UPSTREAM_KEY, *known.keys)
        return msgspec.structs.replace(known, base_url=base_url, keys=keys, needs_key=False)
    return unknown(urlsplit(base_url).hostname or base_url, base_url, UPSTREAM_KEY)


def same_address(one: str, other: str) -> bool:
    """Whether two base URLs lead to the same host and port."""
    return _address(one) == _address(other)


def _address(base_url: str) -> str:
    try:
        netloc = urlsplit(base_url).netloc
    except ValueError:  # half an IPv6 address
        netloc = base_url
    host = netloc.rpartition("@")[2].lower()
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
