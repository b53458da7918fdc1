"""Settings in words: what the server will do, and where each value comes from."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import msgspec

from multiturn.server.settings.options import TABLES, options
from multiturn.server.settings.sources import Given
from multiturn.server.settings.values import ServerSettings
from multiturn.server.upstreams import Route, Upstream
from multiturn.stores.postgres import addresses
from multiturn.stores.records import KeyRecord

_OTHERS = ("CONFIG", "MODEL", "UPSTREAM_API_KEY", "ENCRYPTION_KEY", "ENCRYPTION_KEY_FILE", "OFFLINE_DELAY_MS")


def summary(settings: ServerSettings, keys: Collection[KeyRecord]) -> str:
    """Where the server listens, what it keeps, who may call it and whom it asks; a few lines, without secrets."""
    lines, last = [], ""
    for title, words in (*_places(settings), ("Serves", _who(keys)), *_models(settings)):
        lines.append(f"{'' if title == last else title:<8}{words}")
        last = title
    return "\n".join(lines)


def explain(given: Given, keys: Collection[KeyRecord], environ: Mapping[str, str]) -> str:
    """The same, and then every key, its value, and the flag, variable or file that it comes from."""
    return "\n".join([summary(given.settings, keys), "", *_values(given), *_strays(given.settings, environ)])


def shown_store(url: str) -> str:
    """The store's URL without its password."""
    return addresses.read(url).shown if url.startswith(("postgresql:", "postgres:")) else url


# --- in short -------------------------------------------------------------------------------------------------------


def _places(settings: ServerSettings) -> Iterator[tuple[str, str]]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    processes = f", in {settings.workers} processes" if settings.workers > 1 else ""
    yield "Listens", f"on http://{host}:{settings.port or '(a free port)'}/v1{processes}"
    if settings.grpc and find_spec("xai_sdk"):
        yield "Listens", f"on {host}:{settings.grpc_port or '(a free port)'} for xAI's gRPC"
    elif settings.grpc:
        yield "Listens", "not for xAI's gRPC, which needs: pip install 'multiturn[xai]'"
    yield "Keeps", f"conversations in {shown_store(settings.store)}"


def _who(keys: Collection[KeyRecord]) -> str:
    tenants = [key.tenant for key in keys if key.revoked_at is None]
    if not keys:
        return "this machine only, and whoever asks there; API keys are made with: multiturn keys create"
    return f"whoever has an API key; there are {len(tenants)}, of {_counted(len(set(tenants)), 'tenant')}"


def _models(settings: ServerSettings) -> Iterator[tuple[str, str]]:
    if not settings.upstreams:
        yield (
            "Asks",
            "nobody: offline, the built-in stand-in, answers every name, for there is no upstream (--upstream)",
        )
    for upstream in settings.upstreams:
        yield "Asks", _asked(upstream)
    for route in settings.routes:
        yield "Leads", _led(route)
    if settings.allow_providers:
        yield "Asks", "for names such as openai:gpt-5-mini that provider, on the keys in this process's variables"


def _asked(upstream: Upstream) -> str:
    where = ", ".join(upstream.urls) or f"the address of {upstream.provider or upstream.name}"
    key = upstream.key_variable or upstream.key_file
    models = f"; its models are {', '.join(upstream.models)}" if upstream.models else ""
    return f"{upstream.name} at {where}{f', its key from {key}' if key else ''}{models}"


def _led(route: Route) -> str:
    name = f" as {route.model}" if route.model else ""
    return f"{route.match} to {', then '.join(route.upstreams)}{name}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# --- in full --------------------------------------------------------------------------------------------------------


def _values(given: Given) -> Iterator[str]:
    rows = [(option.key, _shown(option.key, given.settings), _origin(option.key, given)) for option in options()]
    key_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    for key, value, origin in rows:
        yield f"{key:<{key_width}}  {value:<{value_width}}  {origin}".rstrip()


def _origin(key: str, given: Given) -> str:
    return f"from {given.origins[key]}" if key in given.origins else "by default"


def _shown(key: str, settings: ServerSettings) -> str:
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    if key in TABLES:
        return _counted(len(value), key.removesuffix("s"))
    text = msgspec.json.encode(shown_store(value) if key == "store" else value).decode()
    return "none" if text in ("null", "[]") else text


def _strays(settings: ServerSettings, environ: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable of ours that nothing reads."""
    ours = [option.variable for option in options()] + [f"MULTITURN_{name}" for name in _OTHERS]
    known = {*ours, *(upstream.key_variable for upstream in settings.upstreams)}
    for name in sorted(environ):
        if name.startswith("MULTITURN_") and name not in known:
            near = difflib.get_close_matches(name, ours, n=1)
            yield f"\nNothing reads {name}{f'; did you mean {near[0]}?' if near else '.'}"
