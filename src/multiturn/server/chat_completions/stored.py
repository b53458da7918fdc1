"""What is stored of completions: list, retrieve, update, delete, and the messages that led to one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw
from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp

from multiturn.errors import InvalidInput, NotFound
from multiturn.formats.chat_completions import stored_messages
from multiturn.formats.decoding import read_request
from multiturn.server.chat_completions.shown import (
    completion_id,
    completion_of,
    conversation_id,
    no_completion,
    said_in,
    turn_id,
    turn_of,
)
from multiturn.server.doors import Call, json
from multiturn.stores.base import Store
from multiturn.stores.records import ConversationRecord, Filter
from multiturn.turns import Turn

_MOST = 100  # of a page
_METADATA = re.compile(r"metadata\[(.+)\]", re.DOTALL)
_encode = msgspec.json.Encoder().encode


class _Update(msgspec.Struct):
    metadata: dict[str, str] | None


_UPDATE = msgspec.json.Decoder(_Update)


async def listed(call: Call) -> ASGIApp:
    """`GET /v1/chat/completions`: those that were stored, in the order in which they were made."""
    query, store = call.request.query_params, call.store
    page = _Page(query)
    metadata = {name[1]: value for key, value in query.multi_items() if (name := _METADATA.fullmatch(key))}
    filter = Filter(metadata=metadata or None, model=query.get("model"))
    last = conversation_id(turn_id(page.after)) if page.after else None
    shown: list[tuple[str, Any]] = []
    while len(shown) <= page.limit and (
        records := await store.made(
            "chat.completion", filter=filter, limit=page.limit + 1, after=last, newest_first=page.newest_first
        )
    ):
        for record in records:
            with suppress(NotFound):  # deleted meanwhile, or broken off
                shown.append(await _shown(store, record))
        last = records[-1].id
    return _list(shown, page)


async def retrieve(call: Call) -> ASGIApp:
    """`GET /v1/chat/completions/{id}`: a stored completion, or the answer of any other turn."""
    turn = await _turn(call)
    try:
        metadata = (await call.store.conversation(conversation_id(turn.id))).metadata
    except NotFound:
        metadata = turn.metadata
    return json(completion_of(turn, metadata))


async def update(call: Call) -> ASGIApp:
    """`POST /v1/chat/completions/{id}`: other metadata."""
    wanted = read_request(_UPDATE, await call.body())
    turn = await _turn(call)
    said_in(turn)
    try:
        record = await call.store.update(conversation_id(turn.id), metadata=wanted.metadata or None)
    except NotFound:
        raise no_completion(turn.id) from None
    return json(completion_of(turn, record.metadata))


async def delete(call: Call) -> ASGIApp:
    """`DELETE /v1/chat/completions/{id}`. Completions that go on from it keep what was said."""
    turn, store = await _turn(call), call.store
    try:
        await store.conversation(conversation_id(turn.id))
        await store.withdraw(turn.id)
        await store.delete(conversation_id(turn.id))
    except NotFound:
        raise no_completion(turn.id) from None
    fields = {"object": "chat.completion.deleted", "id": completion_id(turn.id), "deleted": True}
    return json(_encode(fields))


async def messages(call: Call) -> ASGIApp:
    """`GET /v1/chat/completions/{id}/messages`: all that was said before the answer, the oldest first."""
    page, turn = _Page(call.request.query_params), await _turn(call)
    *run, _ = said_in(turn)
    path = await call.service.exchanges.path(call.store, call.caller.tenant, turn.id)
    before = (message for each in path.turns[:-1] for message in each.messages)
    items = stored_messages([*before, *turn.input, *run], completion_id(turn.id))
    if page.newest_first:
        items.reverse()
    start = 0
    if page.after is not None:
        start = 1 + next((n for n, item in enumerate(items) if item["id"] == page.after), -1)
        if not start:
            raise NotFound("message", page.after)
    rest = items[start:]
    return _list([(item["id"], item) for item in rest], page)


# --- looking up -----------------------------------------------------------------------------------------------------


async def _turn(call: Call) -> Turn:
    id = turn_id(call.param("id"))
    try:
        return await call.store.turn(id)
    except NotFound:
        raise no_completion(id) from None


async def _shown(store: Store, record: ConversationRecord) -> tuple[str, Raw]:
    """The id and the JSON of the completion whose conversation this is. Raises `NotFound` where there is none: the
    conversation has not moved to a turn that failed."""
    id = turn_of(record.id)
    if record.head != id:
        raise no_completion(id)
    return completion_id(id), Raw(completion_of(await store.turn(id), record.metadata))


# --- pages ----------------------------------------------------------------------------------------------------------


class _Page:
    """Which page of a list is asked for. Raises `InvalidInput`."""

    def __init__(self, query: QueryParams) -> None:
        limit, order = query.get("limit", "20"), query.get("order", "asc")
        if not limit.isdecimal() or not 1 <= int(limit) <= _MOST:
            raise InvalidInput(f"limit: must be a whole number from 1 to {_MOST}, not {limit!r}")
        if order not in ("asc", "desc"):
            raise InvalidInput(f"order: must be asc or desc, not {order!r}")
        self.after = query.get("after")
        self.limit = int(limit)
        self.newest_first = order == "desc"


def _list(items: Sequence[tuple[str, Any]], page: _Page) -> Response:
    """The page that begins with these items, given with their ids."""
    shown = items[: page.limit]
    fields = {
        "object": "list",
        "data": [item for _, item in shown],
        "first_id": shown[0][0] if shown else None,
        "last_id": shown[-1][0] if shown else None,
        "has_more": len(items) > page.limit,
    }
    return json(_encode(fields))
