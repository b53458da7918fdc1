"""`/v1/models`: what can be asked for by name, as OpenAI lists it, and as Anthropic does for requests that have its
`anthropic-version` header."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from multiturn.errors import InvalidInput, UnknownModel
from multiturn.formats.chat_completions import encode_error
from multiturn.server.anthropic import AnthropicDoor, request_id
from multiturn.server.doors import Call, Door, json
from multiturn.server.service import Service
from multiturn.server.upstreams import ModelCard

_PATH = "/v1/models"
_ONE = f"{_PATH}/{{id:path}}"  # names such as meta-llama/Llama-3.3-70B
_UNKNOWN_DAY: Final = "1970-01-01T00:00:00Z"
"""When a model was made is not known here; Anthropic's API may say an epoch value then."""

_encode = msgspec.json.Encoder().encode


def routes(service: Service) -> list[BaseRoute]:
    usual, anthropic = Door(service, "models", encode_error), AnthropicDoor(service)
    return [
        _by_header(usual.route(_PATH, listed, ["GET"]), anthropic.route(_PATH, listed_for_anthropic, ["GET"])),
        _by_header(usual.route(_ONE, retrieve, ["GET"]), anthropic.route(_ONE, retrieve_for_anthropic, ["GET"])),
    ]


async def listed(call: Call) -> ASGIApp:
    """`GET /v1/models`, all of them at once."""
    cards = call.service.upstreams.names()
    return json(_encode({"object": "list", "data": [_fields(card) for card in cards]}))


async def retrieve(call: Call) -> ASGIApp:
    """`GET /v1/models/{id}`."""
    return json(_encode(_fields(_card(call))))


async def listed_for_anthropic(call: Call) -> ASGIApp:
    """The same as Anthropic has it, in pages: `limit`, and `after_id` or `before_id`."""
    cards, query = call.service.upstreams.names(), call.request.query_params
    limit = query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= 1000:
        raise InvalidInput(f"limit: must be a whole number from 1 to 1000, not {limit!r}")
    places = {card.id: n for n, card in enumerate(cards)}
    if before := query.get("before_id"):
        cards = cards[: _place(places, "before_id", before)]
        shown, has_more = cards[-int(limit) :], len(cards) > int(limit)
    else:
        after = query.get("after_id")
        cards = cards[_place(places, "after_id", after) + 1 :] if after else cards
        shown, has_more = cards[: int(limit)], len(cards) > int(limit)
    page = {
        "data": [_anthropic_fields(card) for card in shown],
        "has_more": has_more,
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
    }
    return json(_encode(page), headers=request_id())


async def retrieve_for_anthropic(call: Call) -> ASGIApp:
    return json(_encode(_anthropic_fields(_card(call))), headers=request_id())


def _card(call: Call) -> ModelCard:
    """The model, also one that only a glob leads to. Raises `UnknownModel`."""
    name, upstreams = call.param("id"), call.service.upstreams
    for card in upstreams.names():
        if card.id == name:
            return card
    model = upstreams.model(name)
    if upstreams.is_offline:
        raise UnknownModel(f"there is no model {name!r} here; there is offline, which answers to every name")
    return ModelCard(id=name, owner=model.provider)


def _place(places: dict[str, int], field: str, id: str) -> int:
    if id not in places:
        raise InvalidInput(f"{field}: there is no model {id!r}")
    return places[id]


def _fields(card: ModelCard) -> dict[str, Any]:
    return {"id": card.id, "object": "model", "created": 0, "owned_by": card.owner}


def _anthropic_fields(card: ModelCard) -> dict[str, Any]:
    return {
        "type": "model",
        "id": card.id,
        "display_name": card.id,
        "created_at": _UNKNOWN_DAY,
        "lifecycle": "active",
        "max_input_tokens": card.info.context,
        "max_tokens": card.info.output,
    }


def _by_header(usual: Route, anthropic: Route) -> Route:
    """One route, to the second for requests of Anthropic's SDK."""

    class _Either:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            wanted = anthropic if any(name == b"anthropic-version" for name, _ in scope["headers"]) else usual
            await wanted.app(scope, receive, send)

    return Route(usual.path, _Either(), methods=["GET"])
