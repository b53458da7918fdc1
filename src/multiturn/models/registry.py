"""From a model's name to the model.

    resolve("offline")                                    the built-in stand-in
    resolve("openai:gpt-5-mini")                          a provider's; its key from OPENAI_API_KEY
    resolve("ollama:qwen3:4b")                            what comes after the first colon is the model's own name
    resolve("tiny", base_url="http://gpu:8000/v1")        any OpenAI-compatible server
    resolve("openai:tiny", base_url="http://gpu:8000/v1") the same, spoken to as OpenAI is
    resolve("tiny")                                       the server in MULTITURN_UPSTREAM

Nothing is connected, and the HTTP client not even imported, before the model is asked.
"""

from __future__ import annotations

import difflib
import importlib
import os
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import msgspec

from multiturn.errors import MissingKey, UnknownModel
from multiturn.formats.base import Format
from multiturn.formats.switching import Switching, Target
from multiturn.models.base import Model
from multiturn.models.providers import (
    NOT_YET,
    PROVIDERS,
    UPSTREAM_KEY,
    Api,
    Provider,
    compatible,
    likely_provider,
    same_address,
)
from multiturn.models.remote import Endpoint, RemoteModel

if TYPE_CHECKING:
    from multiturn.models.http import Retries, Timeouts

UPSTREAM = "MULTITURN_UPSTREAM"


def resolve(
    model: str | Model,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    api: Api | None = None,
    client: object | None = None,
    switching: Switching | None = None,
    timeouts: Timeouts | None = None,
    retries: Retries | None = None,
) -> Model:
    """The model of this name; a `Model` is given back as it is. `api` chooses among the APIs of a provider that has
    several, `client` is an SDK client to ask through, and `switching` says what is shown of other providers' words.

    Raises `UnknownModel`, `InvalidInput` for an API that the provider does not speak, and `MissingKey` where its own
    address is to be asked without a key."""
    if not isinstance(model, str):
        return model
    name = model.strip()
    if name == "offline":
        from multiturn.models.offline import OfflineModel

        return OfflineModel()
    if client is not None:
        from multiturn.models.sdk import through

        return through(client, name, api=api, switching=switching or Switching())
    provider, name, url = _found(name, base_url)
    key = (api_key or _key(provider, base_url) or "").strip() or None
    if key is None and provider.needs_key and same_address(url, provider.base_url):
        raise MissingKey(f"{provider.name} needs a key: set {' or '.join(provider.keys)}, or give api_key")
    endpoint = Endpoint(provider=provider.name, base_url=url, key_header=provider.key_header, headers=provider.headers)
    dialect = msgspec.structs.replace(provider.dialect(api), switching=switching or Switching())
    return RemoteModel(name, endpoint, format_of(dialect), dialect, key=key, timeouts=timeouts, retries=retries)


def format_of(dialect: Target) -> Format[Target]:
    """The format that this is a dialect of: a module of `multiturn.formats`."""
    return cast(Format[Target], importlib.import_module(f"multiturn.formats.{dialect.format}"))


def _found(name: str, base_url: str | None) -> tuple[Provider, str, str]:
    """Whom to ask for which model, and where."""
    prefix, colon, rest = name.partition(":")
    provider = PROVIDERS.get(prefix.lower()) if colon else None
    if provider is not None and rest:
        return provider, rest, base_url or _own_url(provider)
    upstream = base_url or (None if prefix.lower() in NOT_YET else os.environ.get(UPSTREAM))
    if upstream and name and provider is None:
        return compatible(upstream), name, upstream
    raise _unknown(name)


def _own_url(provider: Provider) -> str:
    if provider.url_variable and (url := os.environ.get(provider.url_variable)):
        return url
    if provider.host_variable and (host := os.environ.get(provider.host_variable)):
        return _url_of_host(host, provider.base_url)
    return provider.base_url


def _url_of_host(host: str, base_url: str) -> str:
    """The base URL with another host: `gpu`, `gpu:9000`, `http://gpu`. The address that a server listens on to be
    reached from everywhere is no address to reach it at."""
    usual = urlsplit(base_url)
    url = urlsplit(host if "://" in host else f"{usual.scheme}://{host}")
    netloc = url.netloc.replace("0.0.0.0", "127.0.0.1")
    if "://" not in host and url.port is None:
        netloc = f"{netloc}:{usual.port}"
    return url._replace(netloc=netloc, path=url.path.rstrip("/") or usual.path).geturl()


def _key(provider: Provider, base_url: str | None) -> str | None:
    """The key from the environment. The upstream's goes to the upstream, and to no other server."""
    upstream = os.environ.get(UPSTREAM)
    elsewhere = bool(base_url and upstream and not same_address(base_url, upstream))
    names = (name for name in provider.keys if not (name == UPSTREAM_KEY and elsewhere))
    return next((key for name in names if (key := os.environ.get(name))), None)


def _unknown(name: str) -> UnknownModel:
    prefix, _, rest = name.partition(":")
    if not name or (prefix.lower() in PROVIDERS and not rest):
        return UnknownModel(f"{name!r} names no model; name one as in 'openai:gpt-5-mini' or 'ollama:qwen3:4b'")
    asked_for = prefix.lower() if prefix.lower() in NOT_YET else None
    likely = asked_for or likely_provider(name)
    by_variable = "" if asked_for else f"set {UPSTREAM}, or "
    otherwise = f"Or {by_variable}give base_url, to ask an OpenAI-compatible server for it."
    if likely in NOT_YET:
        through = f"openrouter:{NOT_YET[likely]}/{rest if asked_for else name}"
        return UnknownModel(
            f"{name!r} cannot be asked yet: {likely} comes with a later release of multiturn. "
            f"Until then, try {through!r}. {otherwise}"
        )
    meant = _meant(name, likely)
    hint = f"Did you mean {meant!r}?" if meant else f"Name its provider: {', '.join(f'{row}:…' for row in PROVIDERS)}."
    return UnknownModel(f"nothing says where to find the model {name!r}. {hint} {otherwise}")


def _meant(name: str, likely: str | None) -> str | None:
    """The name that was most likely meant: another mark after the provider, a slip in it, or none given."""
    for mark in ("/", ":"):
        prefix, found, rest = name.partition(mark)
        if found and rest and (close := difflib.get_close_matches(prefix.lower(), PROVIDERS, n=1, cutoff=0.88)):
            return f"{close[0]}:{rest}"
    return likely and f"{likely}:{name}"
