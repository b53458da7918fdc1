"""`/v1/conversations`: create, retrieve, update, delete."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from multiturn.formats.decoding import read_request
from multiturn.formats.responses import check_metadata, encode_error
from multiturn.ids import new_id
from multiturn.server.conversations import items
from multiturn.server.doors import Call, Door, json
from multiturn.server.service import Service
from multiturn.stores.records import ConversationRecord


class _New(msgspec.Struct):
    items: list[Raw] | None = None
    metadata: dict[str, str] | None = None


class _Changed(msgspec.Struct):
    metadata: dict[str, str] | None


_NEW = msgspec.json.Decoder(_New)
_CHANGED = msgspec.json.Decoder(_Changed)


def routes(service: Service) -> list[BaseRoute]:
    door = Door(service, "conversations", encode_error)
    one = "/v1/conversations/{conversation_id}"
    return [
        door.route("/v1/conversations", create),
        door.route(one, retrieve, methods=("GET",)),
        door.route(one, update),
        door.route(one, delete, methods=("DELETE",)),
        door.route(f"{one}/items", items.create),
        door.route(f"{one}/items", items.list_page, methods=("GET",)),
        door.route(f"{one}/items/{{item_id}}", items.retrieve, methods=("GET",)),
        door.route(f"{one}/items/{{item_id}}", delete_item, methods=("DELETE",)),
    ]


async def create(call: Call) -> ASGIApp:
    """`POST /v1/conversations`, with its first items if there are any."""
    body = await call.body()
    asked = read_request(_NEW, body) if body.strip() else _New()
    check_metadata(asked.metadata)
    said = await items.decoded(call, asked.items or [])
    record = await call.store.create(ConversationRecord(id=new_id("conv"), metadata=asked.metadata or None))
    if said:
        await items.say(call, record, said)
    return json(_shown(record))


async def retrieve(call: Call) -> ASGIApp:
    return json(_shown(await items.conversation_of(call)))


async def update(call: Call) -> ASGIApp:
    """`POST /v1/conversations/{id}`: other metadata, in the place of what there was."""
    asked = read_request(_CHANGED, await call.body())
    check_metadata(asked.metadata)
    record = await items.conversation_of(call)
    return json(_shown(await call.store.update(record.id, metadata=asked.metadata or None)))


async def delete(call: Call) -> ASGIApp:
    """`DELETE /v1/conversations/{id}`, with all that was said in it and that no other conversation rests on."""
    record = await items.conversation_of(call)
    await call.store.delete(record.id)
    return json(msgspec.json.encode({"id": record.id, "object": "conversation.deleted", "deleted": True}))


async def delete_item(call: Call) -> ASGIApp:
    """`DELETE /v1/conversations/{id}/items/{item_id}`. No model is shown it any more, and no list; the response that
    it stands in stays as it was."""
    return json(_shown(await items.remove(call)))


def _shown(record: ConversationRecord) -> bytes:
    fields: dict[str, Any] = {"id": record.id, "object": "conversation", "created_at": int(record.created_at)}
    return msgspec.json.encode({**fields, "metadata": record.metadata or {}})
