"""`POST /v1/chat/completions`, as JSON and as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from multiturn.errors import InvalidInput
from multiturn.formats.chat_completions import (
    ServerRequest,
    StreamEncoder,
    decode_request,
    encode_error,
    encode_reply,
)
from multiturn.server.chat_completions import stored
from multiturn.server.chat_completions.shown import CONVERSATION, completion_id, kept
from multiturn.server.doors import Call, Door, json, while_there
from multiturn.server.exchange import Asked
from multiturn.server.histories import Histories, Replayed
from multiturn.server.limits import check_items
from multiturn.server.service import Service
from multiturn.server.streaming import EventStream

_PATH = "/v1/chat/completions"


def routes(service: Service) -> list[BaseRoute]:
    door, histories = Door(service, "chat_completions", encode_error), Histories()

    async def create(call: Call) -> ASGIApp:
        return await _create(call, histories)

    one = f"{_PATH}/{{id}}"
    return [
        door.route(_PATH, create),
        door.route(_PATH, stored.listed, ["GET"]),
        door.route(one, stored.retrieve, ["GET"]),
        door.route(one, stored.update),
        door.route(one, stored.delete, ["DELETE"]),
        door.route(f"{one}/messages", stored.messages, ["GET"]),
    ]


async def _create(call: Call, histories: Histories) -> ASGIApp:
    request = decode_request(await call.body())
    check_items(len(request.messages), call.service.settings.limits)
    replayed = await histories.begin(call.service.exchanges, asked_of(request), call.caller)
    exchange, turn = replayed.exchange, replayed.exchange.turn
    id, created, model = completion_id(turn.id), int(turn.created_at), turn.model or ""
    if request.stream:
        encoder = StreamEncoder(id=id, created=created, model=model, include_usage=request.include_usage)
        return EventStream(_events(replayed, encoder), encoder.fail)
    turn = await while_there(call.request.receive, exchange.ended())
    replayed.keep()
    assert exchange.answer is not None
    return json(encode_reply(exchange.answer, id=id, created=created, model=model, usage=turn.usage))


def asked_of(request: ServerRequest) -> Asked:
    """What the request asks, in the words of every door. Raises `InvalidInput`."""
    if not request.model:
        raise InvalidInput("model: this field is required")
    return Asked(
        model=request.model,
        messages=request.messages,
        format="chat_completions",
        tools=request.tools,
        settings=request.settings,
        native=request.native,
        stream=request.stream,
        stored=request.store is True,
        opens=CONVERSATION,
        kind="chat.completion",
        echo=kept(request) if request.store else None,
        metadata=request.metadata,
        user=request.user,
    )


async def _events(replayed: Replayed, encoder: StreamEncoder) -> AsyncGenerator[bytes, None]:
    """The completion as server-sent events. Raises what the exchange raises."""
    exchange = replayed.exchange
    async with aclosing(exchange.deltas()) as deltas:
        async for pieces in deltas:
            yield b"".join(map(encoder.encode, pieces))
    replayed.keep()
    assert exchange.answer is not None
    yield encoder.finish(exchange.answer, exchange.turn.usage)
