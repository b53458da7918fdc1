"""Models, which OpenAI's and Anthropic's clients ask for at one address; and what is for whoever runs the server."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from multiturn.server.observing.health import Readiness
from multiturn.server.openapi import anthropic
from multiturn.server.openapi.chat_completions import ERROR
from multiturn.server.openapi.operations import Api, Operation, Query


class Card(Struct):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class List(Struct):
    object: Literal["list"]
    data: list[Card]


class AnthropicCard(Struct, tag_field="type", tag="model"):
    id: str
    display_name: str
    created_at: str
    lifecycle: str
    max_input_tokens: int | None
    max_tokens: int | None


class AnthropicList(Struct):
    data: list[AnthropicCard]
    has_more: bool
    first_id: str | None
    last_id: str | None


class Health(Struct):
    status: Literal["ok"]


_PAGE = "With the header `anthropic-version` alone: "

MODELS = Api(
    "Models",
    (
        Operation(
            "GET",
            "/v1/models",
            "listModels",
            "The models that can be asked by name; as Anthropic has it with the header `anthropic-version`",
            (List, AnthropicList),
            query=(
                Query("limit", Annotated[int, Meta(ge=1, le=1000)], f"{_PAGE}how many at most; 20 without it."),
                Query("after_id", str, f"{_PAGE}the id of the last one before this page."),
                Query("before_id", str, f"{_PAGE}the id of the first one after this page."),
            ),
        ),
        Operation("GET", "/v1/models/{id}", "getModel", "One of them", (Card, AnthropicCard)),
    ),
    (ERROR, anthropic.ERROR),
    prefix="Model",
)

RUNNING = Api(
    "Running it",
    (
        Operation("GET", "/health", "health", "That the process answers", Health),
        Operation(
            "GET", "/ready", "ready", "Whether requests should come here, and if not, why", Readiness, failures=(503,)
        ),
        Operation("GET", "/metrics", "metrics", "Figures for Prometheus", str, media_type="text/plain"),
        Operation("GET", "/openapi.json", "openapi", "This document", dict),
    ),
    prefix="Server",
)
