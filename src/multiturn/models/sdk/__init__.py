"""A user's own SDK client as the way to a model: its key, headers, proxies, timeouts and retries; our formats.

    through(OpenAI(), "gpt-5-mini")              also AsyncOpenAI, AzureOpenAI, AsyncAzureOpenAI
    through(Anthropic(), "claude-sonnet-4-5")    also AsyncAnthropic, AnthropicFoundry, …
    through(genai.Client(), "gemini-2.5-flash")  of `from google import genai`
    through(xai_sdk.Client(), "grok-4")          also xai_sdk.AsyncClient

Whose client it is, is told by the module of its class; no SDK is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.switching import Switching, Target
from multiturn.models.base import Model
from multiturn.models.provider import FORMAT_OF, Api, Provider
from multiturn.models.providers import known_providers, same_address
from multiturn.models.registry import format_of, inputs_of
from multiturn.models.remote import Endpoint, RemoteModel
from multiturn.models.rows import unknown
from multiturn.models.sdk import google, stainless
from multiturn.models.transport import Transport

Make: TypeAlias = Callable[[Any, str, Api | None, Switching], Model]

AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
OPENAI_HOSTS = (".api.openai.com",)  # one for each region: https://platform.openai.com/docs/guides/your-data


def through(client: object, model: str, *, api: Api | None, switching: Switching) -> Model:
    """The model of this name, asked through the client. `provider:name` is taken too, where the client leads to that
    provider, or to an address that nobody knows. Raises `InvalidInput`."""
    make = _maker(client)
    if not model or model == "offline":
        raise InvalidInput(
            f"with client= a model must be named, one that {_shown(client)} can ask for, "
            f"as in Conversation('gpt-5-mini', client=OpenAI())"
        )
    return make(client, model, api, switching)


def _maker(client: object) -> Make:
    for kind in type(client).__mro__:
        for sdk, (names, make) in _SDKS.items():
            if kind.__name__ in names and f"{kind.__module__}.".startswith(f"{sdk}."):
                return make
    taken = "; ".join(f"{' or '.join(names)} of {sdk}" for sdk, (names, _) in _SDKS.items())
    raise InvalidInput(f"client= takes one of {taken}; not {_shown(client)}")


def _shown(client: object) -> str:
    return f"{type(client).__module__.partition('.')[0]}'s {type(client).__name__}"


# --- one SDK after another ------------------------------------------------------------------------------------------


def _openai(client: Any, name: str, api: Api | None, switching: Switching) -> Model:
    base_url, formats = _base_url(client), list(FORMAT_OF.values())
    on_azure = any(kind.__name__.endswith("AzureOpenAI") for kind in type(client).__mro__)
    row, name = _addressed(known_providers()["azure"] if on_azure else _row(base_url, formats), name, formats, client)
    usual = next(each for format in row.formats for each, spoken in FORMAT_OF.items() if spoken == format)
    names_deployment = on_azure and "/deployments" not in base_url

    def place(path: str) -> str:
        """AzureOpenAI takes the model from the body, to name its deployment in the path; here the body is bytes."""
        if names_deployment and path == "/chat/completions":
            return f"/deployments/{quote(name, safe='')}{path}"
        return path

    way = stainless.transport(client, place)
    return _remote(row, row.dialect(api or usual, name), name, base_url, switching, _key(client), way)


def _anthropic(client: Any, name: str, api: Api | None, switching: Switching) -> Model:
    _refuse(api, client)
    base_url = _base_url(client)  # ends before the /v1
    row, name = _addressed(_row(base_url, ["anthropic"]), name, ["anthropic"], client)
    way = stainless.transport(client, lambda path: path)
    return _remote(row, row.dialect_of("anthropic", name), name, f"{base_url}/v1", switching, _key(client), way)


def _gemini(client: Any, name: str, api: Api | None, switching: Switching) -> Model:
    _refuse(api, client)
    way = google.Way(client)
    row = unknown("vertex", way.base_url) if way.on_vertex else _row(way.base_url, ["gemini"])
    row, name = _addressed(row, name, ["gemini"], client)
    return _remote(row, row.dialect_of("gemini", name), name, way.base_url, switching, way.key, way)


def _xai(client: Any, name: str, api: Api | None, switching: Switching) -> Model:
    from multiturn.models.xai import XaiModel

    _refuse(None if api == "grpc" else api, client)
    name = _addressed(known_providers()["xai"], name, [], client)[1]
    return XaiModel.through(client, name, switching=switching)


_SDKS: dict[str, tuple[tuple[str, ...], Make]] = {
    "openai": (("OpenAI", "AsyncOpenAI"), _openai),
    "anthropic": (("Anthropic", "AsyncAnthropic"), _anthropic),
    "google.genai": (("Client", "AsyncClient"), _gemini),
    "xai_sdk": (("Client", "AsyncClient"), _xai),
}


# --- what they share ------------------------------------------------------------------------------------------------


def _refuse(api: Api | None, client: object) -> None:
    if api is not None:
        raise InvalidInput(f"{_shown(client)} has one API; leave api={api!r} out")


def _row(base_url: str, formats: Sequence[str]) -> Provider:
    """The provider at this address, if it speaks one of these there; else one of whom nothing is known, named for its
    host."""
    host, providers = urlsplit(base_url).hostname or "", known_providers()
    if host.endswith(AZURE_HOSTS) and "chat_completions" in formats:
        return providers["azure"]
    if host.endswith(OPENAI_HOSTS):
        return providers["openai"]
    rows = (row for row in providers.values() if same_address(row.base_url, base_url))
    return next((row for row in rows if set(row.formats) & set(formats)), None) or unknown(host, base_url)


def _addressed(row: Provider, name: str, formats: Sequence[str], client: object) -> tuple[Provider, str]:
    """Who is asked for which model, where the name may say who: as it says, if the client's address is unknown."""
    prefix, _, rest = name.partition(":")
    prefix, providers = prefix.lower(), known_providers()
    if not rest or (prefix != row.name and prefix not in providers):
        return row, name
    if prefix == row.name:
        return row, rest
    if row.name not in providers and row.name != "vertex" and set(providers[prefix].formats) & set(formats):
        return providers[prefix], rest
    raise InvalidInput(
        f"{name!r} cannot be asked through {_shown(client)}, which leads to {row.name}; "
        f"write {rest!r} if it has a model of that name, or leave client out"
    )


def _remote(
    row: Provider, dialect: Target, name: str, base_url: str, switching: Switching, key: str | None, way: Transport
) -> RemoteModel[Target]:
    """The key is given to be kept out of errors; the transport has its own."""
    endpoint = Endpoint(provider=row.name, base_url=base_url)
    dialect = msgspec.structs.replace(dialect, switching=switching, inputs=inputs_of(row, dialect, name))
    return RemoteModel(name, endpoint, format_of(dialect), dialect, key=key, transport=way)


def _base_url(client: Any) -> str:
    """Without what may be secret in it."""
    url = urlsplit(str(client.base_url))
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/")


def _key(client: Any) -> str | None:
    key = getattr(client, "api_key", None) or getattr(client, "auth_token", None)
    return key if isinstance(key, str) else None
