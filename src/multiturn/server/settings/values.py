"""What can be set of the server: plain values, each with what it means under it, from which `--help` and the page
docs/reference/configuration.md are made."""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec.structs import force_setattr

from multiturn.errors import InvalidInput
from multiturn.models.providers import UPSTREAM_KEY
from multiturn.server.upstreams import Route, Upstream

Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Size: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=31_536_000)]  # a year


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one request may be, and how much one key may ask for."""

    body_bytes: Count = 64 << 20
    """The longest body of a request. A longer one is refused (413) before it is read."""

    depth: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    """How deeply the JSON of a request may be nested; a tool's schema takes two levels for each of its own."""

    items: Count = 10_000
    """How many messages and other items one request may hold."""

    stream_s: Seconds = 3600.0
    """How long one answer may take, in seconds, from the request to its last event."""

    websocket_s: Seconds = 3600.0
    """How long one WebSocket may stay open, in seconds; OpenAI's own closes after an hour."""

    requests_per_minute: Count | None = None
    """How many requests a minute a key may make that has no limit of its own (`multiturn keys create --rpm`). Each
    process counts for itself."""

    tokens_per_minute: Count | None = None
    """The same for tokens, those that went in and those that came out."""


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to stderr."""

    format: Literal["text", "json"] = "text"
    """`text` for people, `json` for programs: one object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is worth a line."""

    content: bool = False
    """Whether logs and traces hold what was said. They never hold keys."""


class Background(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Responses that run on without their caller."""

    concurrency: Count = 64
    """How many of them run at once in one process; the others wait."""

    keep_drafts_s: Seconds = 86_400.0
    """How long after its end the stream of one can still be picked up, in seconds. The answer itself stays."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the server does, and where. Made by `read`, or by hand, for which `store` is enough.

    Where it is made, what follows from the rest is filled in: `grpc_port`, `allow_providers`, and an upstream named
    `default` with its route for the URL in `upstream`. So `upstreams` and `routes` say all. Raises `InvalidInput`
    where one value does not fit another."""

    store: str
    """Where conversations and keys are kept: `sqlite:///relative.db`, `sqlite:////absolute.db`, or `postgresql://…`,
    which several nodes can share. A password in it does not belong in the file; give the whole URL by the variable, or
    the password by `PGPASSWORD` or a `PGPASSFILE`. [default: the file of `multiturn chat`, chats.db in
    ~/.local/share/multiturn]"""

    host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` is all of this machine's. Only this machine itself is served until there is
    an API key (`multiturn keys create`)."""

    port: Port = 8787
    """The port of HTTP and WebSocket; 0 takes one that is free."""

    grpc: bool = True
    """Whether xAI's gRPC API is served as well, where `multiturn[xai]` is installed."""

    grpc_port: Port | None = None
    """The port of gRPC. [default: the one after `port`]"""

    workers: Count = 1
    """How many processes; one keeps about one core busy."""

    upstream: str | None = None
    """The base URL of one OpenAI-compatible server that every name leads to which no route matches, as
    `http://gpu:8000/v1`; its key, if it wants one, is read from `MULTITURN_UPSTREAM_API_KEY`."""

    upstreams: tuple[Upstream, ...] = ()
    """The servers and providers that can be asked, a table each, as `[upstreams.gpu]`. Without any, and without
    `upstream`, the built-in stand-in `offline` answers every name."""

    routes: tuple[Route, ...] = ()
    """Which models' names lead to which upstream: first one that is the name itself, then the glob that says most of
    it. With just one upstream, none is needed."""

    allow_providers: bool | None = None
    """Whether callers may ask for `offline` and for `provider:name`, as `openai:gpt-5-mini`, on the keys in this
    process's variables. [default: only where there is no upstream]"""

    queue: bool = True
    """Whether a request waits for the turn that runs on its conversation; else it is refused (409)."""

    store_messages: bool = False
    """Whether what is said through `/v1/messages` is kept; Anthropic's API has no field to ask for it."""

    cors_origins: tuple[str, ...] = ()
    """The web pages, as `https://app.example`, whose scripts may call the server from a browser; `*` is all."""

    metrics: bool = True
    """Whether figures for Prometheus are at `/metrics`. They hold no names of tenants, keys or conversations."""

    tracing: bool = False
    """Whether each request is a trace of OpenTelemetry, which its own variables (`OTEL_…`) send on."""

    drain_s: Seconds = 25.0
    """How long running requests may take to finish once the server is told to end, in seconds; Kubernetes kills after
    30."""

    path_cache_bytes: Size = 64 << 20
    """About how much memory a process uses to have the conversations at hand that were used last."""

    limits: Limits = Limits()
    log: Log = Log()
    background: Background = Background()

    def __post_init__(self) -> None:
        if self.grpc_port is None:
            force_setattr(self, "grpc_port", self.port and self.port + 1)
        if self.upstream is not None:
            self._add_upstream(self.upstream)
        if self.allow_providers is None:
            force_setattr(self, "allow_providers", not self.upstreams)
        if self.grpc and self.port and self.grpc_port == self.port:
            raise InvalidInput(f"port and grpc_port are both {self.port}; give grpc_port another")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def _add_upstream(self, url: str) -> None:
        """The one that was given by its URL, behind all others; once, however often the value is made anew."""
        named = next((upstream for upstream in self.upstreams if upstream.name == _DEFAULT), None)
        if named is None:
            key = UPSTREAM_KEY if os.environ.get(UPSTREAM_KEY) else None
            added = Upstream(name=_DEFAULT, urls=(url,), key_variable=key)
            force_setattr(self, "upstreams", (*self.upstreams, added))
            force_setattr(self, "routes", (*self.routes, Route(match="*", to=_DEFAULT)))
        elif named.urls != (url,):
            raise InvalidInput(f"upstream makes one named {_DEFAULT!r}, and upstreams has another of that name")


_DEFAULT = "default"


def is_loopback(host: str) -> bool:
    """Whether this address is only this machine's."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
