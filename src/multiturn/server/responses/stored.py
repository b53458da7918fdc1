"""Responses that are stored: read, deleted, cancelled, and what went into them."""

from __future__ import annotations

import msgspec
from starlette.types import ASGIApp

from multiturn.errors import InvalidInput, NotFound
from multiturn.server.doors import Call, json
from multiturn.server.responses import background
from multiturn.server.responses.include import ENCRYPTED, included
from multiturn.server.responses.items import listed, page_of
from multiturn.server.responses.shown import turn_id
from multiturn.turns import Turn


async def retrieve(call: Call) -> ASGIApp:
    """`GET /v1/responses/{id}`: any turn, whichever door it came through."""
    encrypted = ENCRYPTED in included(call.request.query_params)
    turn = await turn_of(call)
    if call.request.query_params.get("stream") == "true":
        return await background.streamed(call, turn)
    return json(await background.shown(call, turn, encrypted=encrypted))


async def delete(call: Call) -> ASGIApp:
    """`DELETE /v1/responses/{id}`. Turns that follow it keep what they rest on."""
    id = call.param("response_id")
    turn = await turn_of(call)
    try:
        await call.store.withdraw(turn.id)
    except NotFound:
        raise NotFound("response", id) from None
    return json(msgspec.json.encode({"id": id, "object": "response.deleted", "deleted": True}))


async def input_items(call: Call) -> ASGIApp:
    """`GET /v1/responses/{id}/input_items`: all that the response was made from, that of the responses before it
    included, a page of it."""
    page = page_of(call.request.query_params)
    turn = await turn_of(call)
    before = await call.service.exchanges.path(call.store, call.caller.tenant, turn.parent)
    turns = (*before.turns, msgspec.structs.replace(turn, output=()))
    return json(listed(turns, page, before.mark))


async def cancel(call: Call) -> ASGIApp:
    """`POST /v1/responses/{id}/cancel`: whoever runs it is told to stop; the response as it is by then."""
    turn = await turn_of(call)
    if not turn.background:
        raise InvalidInput("only a response that runs in the background can be cancelled; hang up to stop another")
    return json(await background.cancelled(call, turn))


async def turn_of(call: Call) -> Turn:
    """The turn that is the response of the path. Raises `NotFound`."""
    id = call.param("response_id")
    try:
        return await call.store.turn(turn_id(id))
    except NotFound:
        raise NotFound("response", id) from None
