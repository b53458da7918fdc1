"""From a model's name to the model.

    resolve("offline")                                    the built-in stand-in
    resolve("openai:gpt-5-mini")                          a provider's; its key from OPENAI_API_KEY
    resolve("ollama:qwen3:4b")                            what comes after the first colon is the model's own name
    resolve("tiny", base_url="http://gpu:8000/v1")        any OpenAI-compatible server
    resolve("openai:tiny", base_url="http://gpu:8000/v1") the same, spoken to as OpenAI is
    resolve("tiny")                                       the server in MULTITURN_UPSTREAM
    resolve("mybox:tiny")                                 the user's own row of that name (`multiturn.models.config`)

Nothing is connected, and the HTTP client not even imported, before the model is asked.
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Collection
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import msgspec

from multiturn.errors import InvalidInput, MissingKey, UnknownModel
from multiturn.formats.base import Format
from multiturn.formats.switching import Modality, Switching, Target
from multiturn.models import catalogue
from multiturn.models.base import Model
from multiturn.models.catalogue import ModelInfo
from multiturn.models.providers import (
    UPSTREAM_KEY,
    Api,
    Provider,
    compatible,
    known_providers,
    likely_provider,
    same_address,
)
from multiturn.models.remote import Endpoint, RemoteModel

if TYPE_CHECKING:
    from multiturn.models.limits import Retries, Timeouts

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
    if client is not None:
        from multiturn.models.sdk import through

        return through(client, name, api=api, switching=switching or Switching())
    if name == "offline":
        from multiturn.models.offline import OfflineModel

        return OfflineModel()
    provider, name, url = _found(name, base_url)
    variable = key_variable(provider, base_url)
    key = (api_key or os.environ.get(variable or "", "")).strip() or None
    if key is None and must_have_key(provider, url):
        raise MissingKey(f"{provider.name} needs a key: set {' or '.join(provider.keys)}, or give api_key")
    switching = switching or Switching()
    if api == "grpc" and provider.grpc:
        from multiturn.models.xai import XaiModel

        host = url.partition("://")[2].partition("/")[0] or url
        return XaiModel(name, key=key, host=host, timeouts=timeouts, retries=retries, switching=switching)
    endpoint = Endpoint(provider=provider.name, base_url=url, key_header=provider.key_header, headers=provider.headers)
    dialect = provider.dialect(api, name)
    dialect = msgspec.structs.replace(
        dialect,
        key_variable=variable or dialect.key_variable,
        inputs=inputs_of(provider, dialect, name),
        switching=switching,
    )
    return RemoteModel(name, endpoint, format_of(dialect), dialect, key=key, timeouts=timeouts, retries=retries)


def model_info(model: str, *, base_url: str | None = None) -> ModelInfo:
    """What is known of the model of this name, by the user's own word or the catalogue's; `ModelInfo()` if nothing is.
    Raises `UnknownModel`."""
    if model.strip() == "offline":
        return ModelInfo(id="offline")
    provider, name, _ = _found(model.strip(), base_url)
    return info_of(provider, name)


def info_of(provider: Provider, name: str) -> ModelInfo:
    return next((info for info in provider.models if info.id == name), None) or catalogue.find(provider.name, name)


def inputs_of(provider: Provider, dialect: Target, name: str) -> tuple[Modality, ...] | None:
    """What the model reads, as far as its dialect can carry it."""
    if provider.reads is not None:
        return provider.reads
    read, carried = info_of(provider, name).inputs, dialect.inputs
    if read is None or carried is None:
        return carried if read is None else read
    return tuple(kind for kind in read if kind in carried)


def format_of(dialect: Target) -> Format[Target]:
    """The format that this is a dialect of: a module of `multiturn.formats`."""
    return cast(Format[Target], importlib.import_module(f"multiturn.formats.{dialect.format}"))


def _found(name: str, base_url: str | None) -> tuple[Provider, str, str]:
    """Whom to ask for which model, and where."""
    prefix, colon, rest = name.partition(":")
    provider = known_providers().get(prefix.lower()) if colon else None
    if provider is not None and rest:
        return provider, rest, base_url or own_url(provider)
    upstream = base_url or os.environ.get(UPSTREAM)
    if upstream and name and provider is None:
        return compatible(upstream), name, upstream
    raise _unknown(name)


def own_url(provider: Provider) -> str:
    """Where a provider is asked: at the address that its variable holds, or its usual one. Raises `InvalidInput` where
    it has none."""
    if provider.url_variable and (url := os.environ.get(provider.url_variable)):
        return url
    if provider.host_variable and (host := os.environ.get(provider.host_variable)):
        return _url_of_host(host, provider.base_url)
    if provider.needs_host:
        raise InvalidInput(f"{provider.name} is at another address for everyone: set {provider.host_variable}")
    return provider.base_url


def _url_of_host(host: str, base_url: str) -> str:
    """The base URL with another host: `gpu`, `gpu:9000`, `http://gpu`. The address that a server listens on to be
    reached from everywhere is no address to reach it at."""
    usual = urlsplit(base_url)
    url = urlsplit(host if "://" in host else f"{usual.scheme}://{host}")
    netloc = url.netloc.replace("0.0.0.0", "127.0.0.1")
    if "://" not in host and url.port is None and usual.port:
        netloc = f"{netloc}:{usual.port}"
    return url._replace(netloc=netloc, path=url.path.rstrip("/") or usual.path).geturl()


def must_have_key(provider: Provider, url: str) -> bool:
    """Whether there is no asking at this address without a key. A provider's habits may be those of another server,
    which wants none."""
    return provider.needs_key and (provider.needs_host or same_address(url, provider.base_url))


def key_variable(provider: Provider, base_url: str | None = None) -> str | None:
    """The variable that holds its key, the first of those that are set; None if none is. The upstream's key goes to the
    upstream, and to no other server."""
    upstream = os.environ.get(UPSTREAM)
    elsewhere = bool(base_url and upstream and not same_address(base_url, upstream))
    names = (name for name in provider.keys if not (name == UPSTREAM_KEY and elsewhere))
    return next((name for name in names if os.environ.get(name)), None)


def _unknown(name: str) -> UnknownModel:
    prefix, _, rest = name.partition(":")
    providers = known_providers()
    if not name or (prefix.lower() in providers and not rest):
        return UnknownModel(f"{name!r} names no model; name one as in 'openai:gpt-5-mini' or 'ollama:qwen3:4b'")
    meant = _meant(name, providers)
    hint = f"Did you mean {meant!r}?" if meant else f"Name its provider: {', '.join(f'{row}:…' for row in providers)}."
    return UnknownModel(
        f"nothing says where to find the model {name!r}. {hint} "
        f"Or set {UPSTREAM}, or give base_url, to ask an OpenAI-compatible server for it."
    )


def _meant(name: str, providers: Collection[str]) -> str | None:
    """The name that was most likely meant: another mark after the provider, a slip in it, or none given."""
    for mark in ("/", ":"):
        prefix, found, rest = name.partition(mark)
        if found and rest and (close := difflib.get_close_matches(prefix.lower(), providers, n=1, cutoff=0.88)):
            return f"{close[0]}:{rest}"
    likely = likely_provider(name)
    return likely and f"{likely}:{name}"
