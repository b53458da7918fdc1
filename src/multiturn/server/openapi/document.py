"""The document, and its route."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import multiturn
from multiturn.server.doors import json
from multiturn.server.openapi import anthropic, chat_completions, open_responses, others, responses
from multiturn.server.openapi.operations import REF, Json

if TYPE_CHECKING:
    from multiturn.server.service import Service

_APIS = (
    responses.RESPONSES,
    responses.CONVERSATIONS,
    chat_completions.API,
    anthropic.API,
    others.MODELS,
    others.RUNNING,
)


def routes(service: Service) -> list[BaseRoute]:
    """`/openapi.json`, which nobody needs a key for."""

    async def openapi(_: Request) -> Response:
        return json(_page())

    return [Route("/openapi.json", openapi)]


def document() -> Json:
    """The OpenAPI document of all that the server answers over HTTP."""
    schemas, paths = open_responses.schemas(), Json()
    for api in _APIS:
        schemas |= api.schemas()
        for path, operations in api.paths().items():
            paths.setdefault(path, {}).update(operations)
    _say_items(schemas)
    paths["/v1/responses"]["x-openresponses-websocket"] = {
        "description": "A WebSocket: each message asks for a response, whose events are sent in order.",
        "clientMessage": {"$ref": f"{REF}WebSocketResponseCreateEvent"},
        "errorMessage": {"$ref": f"{REF}WebSocketErrorEvent"},
    }
    keys = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "multiturn",
            "version": multiturn.__version__,
            "description": "Open Responses with state, and the other APIs that official SDKs speak.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"apiKey": []}, {}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": keys},
    }


def _say_items(schemas: Json) -> None:
    """Where our own shapes hold items, let these be those of Open Responses."""
    schemas["ConversationsItems"]["properties"]["data"]["items"] = {"$ref": f"{REF}ItemField"}
    schemas["ResponseItems"]["properties"]["data"]["items"] = {"$ref": f"{REF}ItemField"}


@cache
def _page() -> bytes:
    return msgspec.json.encode(document())
