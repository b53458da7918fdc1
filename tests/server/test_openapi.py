"""The OpenAPI document: it is served, it is one, it holds every route and nothing else. Requests hold in it what
the formats read; that answers are as it says, tests/conformance shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import msgspec
import pytest
import schemathesis
from starlette.routing import Mount, Route, WebSocketRoute

from multiturn.formats.anthropic import incoming as anthropic_incoming
from multiturn.formats.chat_completions import incoming as chat_incoming
from multiturn.formats.responses import incoming as responses_incoming
from multiturn.server.app import create_app
from multiturn.server.openapi import document, open_responses
from multiturn.server.settings import ServerSettings
from serving import Server

SCHEMAS: dict[str, Any] = document()["components"]["schemas"]


def test_it_is_served_to_everybody(server: Server) -> None:
    answer = httpx2.get(f"{server.url}/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads(json.dumps(document()))


def test_it_is_an_openapi_document() -> None:
    schema: Any = schemathesis.openapi.from_dict(document())
    schema.validate()
    for each in SCHEMAS.values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **each})


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, list):
            return {each for inner in value for each in references(inner)}
        if not isinstance(value, dict):
            return set()
        here = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return here | {each for inner in value.values() for each in references(inner)}

    assert references(document()) <= {f"#/components/schemas/{name}" for name in SCHEMAS}


def test_every_route_is_in_it_and_nothing_else(tmp_path: Path) -> None:
    routes = create_app(ServerSettings(store=f"sqlite:///{tmp_path / 'x.db'}")).routes
    served = {
        (method.lower(), route.path.replace(":path}", "}"))
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    sockets = {route.path for route in routes if isinstance(route, WebSocketRoute)}
    paths = document()["paths"]
    told = {
        (method, path) for path, operations in paths.items() for method in operations if not method.startswith("x-")
    }
    assert served == told
    assert sockets == {path for path in paths if "x-openresponses-websocket" in paths[path]}
    assert not any(isinstance(route, Mount) for route in routes)


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ("ChatRequest", chat_incoming._Body),
        ("AnthropicRequest", anthropic_incoming._Body),
        ("CreateResponseBody", responses_incoming._Body),
    ],
)
def test_requests_hold_what_the_formats_read(schema: str, body: type[msgspec.Struct]) -> None:
    assert set(SCHEMAS[schema]["properties"]) == set(body.__struct_fields__)


def test_open_responses_is_only_added_to() -> None:
    for name, published in open_responses.published().items():
        ours = SCHEMAS[name]
        assert ours.get("required") == published.get("required")
        assert published.get("properties", {}).keys() <= ours.get("properties", {}).keys()
        assert all(member in ours.get("oneOf", ()) for member in published.get("oneOf", ()))


def test_answers_of_every_kind_that_are_wrong_are_seen() -> None:
    def is_valid(name: str, value: object) -> bool:
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
        return bool(jsonschema_rs.Draft202012Validator(schema).is_valid(value))

    item = {"type": "message", "id": "msg_1", "status": "completed", "role": "user", "content": []}
    assert is_valid("ItemField", item)
    assert is_valid("ItemField", {"type": "web_search_call", "id": "ws_1"})
    assert not is_valid("ItemField", {**item, "status": None})
    assert not is_valid("ItemField", {"type": "web_search_call"})
    event = {"type": "response.output_text.delta", "sequence_number": 1}
    assert not is_valid(open_responses.STREAM_EVENT, event)
    assert not is_valid("ChatError", {"error": {"message": "x"}})
    assert not is_valid("AnthropicError", {"type": "error", "error": {"type": "x", "message": 1}, "request_id": None})
