"""`POST /v1/responses`, as JSON and as server-sent events; and the routes of what is stored."""

from __future__ import annotations

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp

from multiturn.formats.responses import encode_error
from multiturn.server.doors import Call, Door, json, while_there
from multiturn.server.responses import background
from multiturn.server.responses.asking import begun, decoded
from multiturn.server.responses.compacting import compact, input_tokens
from multiturn.server.responses.include import ENCRYPTED
from multiturn.server.responses.shown import encoder_of, events, response_of
from multiturn.server.responses.stored import cancel, delete, input_items, retrieve
from multiturn.server.responses.websocket import Connections
from multiturn.server.service import Service
from multiturn.server.streaming import EventStream


def routes(service: Service) -> list[BaseRoute]:
    door = Door(service, "responses", encode_error)
    service.background.resumes(background.knows, background.resume)
    return [
        door.route("/v1/responses", create),
        WebSocketRoute("/v1/responses", Connections(door, "/v1/responses")),
        door.route("/v1/responses/compact", compact),
        door.route("/v1/responses/input_tokens", input_tokens),
        door.route("/v1/responses/{response_id}", retrieve, methods=("GET",)),
        door.route("/v1/responses/{response_id}", delete, methods=("DELETE",)),
        door.route("/v1/responses/{response_id}/input_items", input_items, methods=("GET",)),
        door.route("/v1/responses/{response_id}/cancel", cancel),
    ]


async def create(call: Call) -> ASGIApp:
    body = await call.body()
    request = decoded(call, body)
    exchange = await begun(call, body, request)
    if request.background:
        return await background.started(call, exchange, stream=request.stream)
    encrypted = ENCRYPTED in request.include
    echo = None if exchange.is_replayed else request.echo
    if request.stream:
        encoder = encoder_of(exchange.turn, echo, encrypted=encrypted)
        return EventStream(events(exchange, encoder), encoder.fail)
    turn = await while_there(call.request.receive, exchange.ended())
    return json(response_of(turn, echo, encrypted=encrypted))
