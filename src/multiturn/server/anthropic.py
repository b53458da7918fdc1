"""Anthropic's Messages API: `POST /v1/messages`, as JSON and as server-sent events, and `/v1/messages/count_tokens`.

The API has no way to ask that an answer be kept, so none is, unless whoever runs the server wants it. A kept one is a
turn that the other APIs show; a request that repeats what was said up to it goes on from it (`server.histories`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from multiturn.context.estimates import estimate
from multiturn.context.tokens import counter_for
from multiturn.errors import InvalidInput
from multiturn.formats.anthropic import (
    PING,
    ServerRequest,
    StreamEncoder,
    decode_count,
    decode_request,
    encode_count,
    encode_error,
    encode_reply,
)
from multiturn.ids import new_id
from multiturn.path import Path
from multiturn.request import Request
from multiturn.server.doors import Call, Door, json, while_there
from multiturn.server.exchange import Asked
from multiturn.server.histories import Histories, Replayed
from multiturn.server.limits import check_items
from multiturn.server.observing import visits
from multiturn.server.service import Service
from multiturn.server.streaming import EventStream


class AnthropicDoor(Door):
    """A door whose every answer has an id, as Anthropic's have: in a header, and in the body of an error too."""

    def __init__(self, service: Service) -> None:
        super().__init__(service, "anthropic", encode_error)

    def error(self, error: Exception) -> Response:
        told, headers = super().error(error), request_id()
        body = encode_error(error, request_id=headers["request-id"])[1]
        if wait := told.headers.get("retry-after"):
            headers["retry-after"] = wait
        return json(body, told.status_code, headers)


def routes(service: Service) -> list[BaseRoute]:
    door, histories = AnthropicDoor(service), Histories()

    async def create(call: Call) -> ASGIApp:
        return await _create(call, histories, stores=service.settings.store_messages)

    return [door.route("/v1/messages", create), door.route("/v1/messages/count_tokens", count_tokens)]


def request_id() -> dict[str, str]:
    """The header by which an answer can be spoken of."""
    return {"request-id": visits.request_id() or new_id("req")}


async def _create(call: Call, histories: Histories, *, stores: bool) -> ASGIApp:
    request = decode_request(await call.body())
    check_items(len(request.messages), call.service.settings.limits)
    asked = asked_of(request, stored=stores)
    replayed = await histories.begin(call.service.exchanges, asked, call.caller)
    exchange, id = replayed.exchange, f"msg_{replayed.exchange.id}"
    if request.stream:
        model = exchange.model
        signed = getattr(model, "format", None) == asked.format
        encoder = StreamEncoder(id=id, model=asked.model, provider=model.provider, signed=signed)
        return EventStream(_events(replayed, encoder), encoder.fail, request_id(), ping=PING)
    turn = await while_there(call.request.receive, exchange.ended())
    replayed.keep()
    assert exchange.answer is not None
    body = encode_reply(exchange.answer, id=id, model=asked.model, usage=turn.usage, provider=exchange.model.provider)
    return json(body, headers=request_id())


async def count_tokens(call: Call) -> ASGIApp:
    """How many tokens a request would take, by our own count: nobody is asked."""
    request = decode_count(await call.body())
    asked = asked_of(request, stored=False)
    model = call.service.upstreams.model(asked.model)
    shown = Request(
        path=Path(),
        input=asked.messages,
        instructions=asked.instructions,
        tools=asked.tools,
        settings=asked.settings,
    )
    tokens = estimate(shown, counter_for(model.provider, model.name)).tokens
    return json(encode_count(tokens), headers=request_id())


def asked_of(request: ServerRequest, *, stored: bool) -> Asked:
    """What the request asks, in the words of every door. Raises `InvalidInput`."""
    if not request.model:
        raise InvalidInput("model: this field is required")
    return Asked(
        model=request.model,
        messages=request.messages,
        format="anthropic",
        instructions=request.instructions,
        tools=request.tools,
        settings=request.settings,
        native=request.native,
        stream=request.stream,
        stored=stored,
        kind="message",
        user=request.user,
    )


async def _events(replayed: Replayed, encoder: StreamEncoder) -> AsyncGenerator[bytes, None]:
    """The message as server-sent events. Raises what the exchange raises."""
    exchange, begun = replayed.exchange, False
    async with aclosing(exchange.deltas()) as deltas:
        async for pieces in deltas:
            opening = b"" if begun else encoder.begin() + PING
            yield opening + b"".join(map(encoder.encode, pieces))
            begun = True
    replayed.keep()
    assert exchange.answer is not None
    yield encoder.finish(exchange.answer, exchange.turn.usage)
