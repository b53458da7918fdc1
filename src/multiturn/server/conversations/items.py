"""The items of a conversation: what was said in it, whoever said it and through whichever door. Items that are added
are a turn in which nobody answers. One that is removed stays in its turn; another turn says that it is gone."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from msgspec import Raw
from starlette.types import ASGIApp

from multiturn import recording
from multiturn.errors import InvalidInput, NotFound
from multiturn.formats.decoding import read_request
from multiturn.formats.responses import place_of, references
from multiturn.formats.responses.incoming_messages import to_messages
from multiturn.ids import new_id
from multiturn.messages import Message
from multiturn.models.offline import OfflineModel
from multiturn.path import Path
from multiturn.runs import Ended
from multiturn.server.doors import Call, json
from multiturn.server.responses.asking import referred
from multiturn.server.responses.include import ENCRYPTED, included
from multiturn.server.responses.items import Item, Page, items_of, listed, page_of
from multiturn.server.responses.shown import turn_id
from multiturn.stores.records import HEAD, ConversationRecord
from multiturn.turns import INHERITED, Mark, Removed, Turn, TurnStatus, has_results, matched

MOST_ITEMS = 20
"""How many may be added at once, as OpenAI has it."""
_NOBODY = OfflineModel(delay_s=0)  # for turns that no model answers


class _Added(msgspec.Struct):
    items: list[Raw]


_ADDED = msgspec.json.Decoder(_Added)


async def create(call: Call) -> ASGIApp:
    """`POST …/items`: the items, as they are stored."""
    body = await call.body()
    encrypted = ENCRYPTED in included(call.request.query_params)
    said = await decoded(call, read_request(_ADDED, body).items)
    record = await conversation_of(call)
    if not said:
        raise InvalidInput("items: there must be at least one")
    turn = await say(call, record, said, key=call.request.headers.get("idempotency-key"))
    return json(listed([turn], Page(limit=len(items_of(turn)), ascending=True, encrypted=encrypted)))


async def list_page(call: Call) -> ASGIApp:
    """`GET …/items`: a page of them."""
    page = page_of(call.request.query_params)
    path = await _path(call, await conversation_of(call))
    return json(listed(path.turns, page, path.mark))


async def retrieve(call: Call) -> ASGIApp:
    """`GET …/items/{item_id}`."""
    encrypted = ENCRYPTED in included(call.request.query_params)
    path = await _path(call, await conversation_of(call))
    return json(_found(path, call.param("item_id"), encrypted=encrypted).json)


async def remove(call: Call) -> ConversationRecord:
    """Let no model and no list see the item of the path again; its conversation. Raises `NotFound`."""
    record = await conversation_of(call)
    path = await _path(call, record)
    await say(call, record, (), removed=_found(path, call.param("item_id")).at)
    return record


async def decoded(call: Call, items: Sequence[Raw]) -> tuple[Message, ...]:
    """The messages that these items are. Raises `InvalidInput`."""
    if len(items) > MOST_ITEMS:
        raise InvalidInput(f"items: {len(items)} are too many; {MOST_ITEMS} may be added at once")
    said = to_messages(items, "openai", place="items")
    if references(said):
        said = to_messages(items, "openai", await referred(call, said), place="items")
    return said


async def say(
    call: Call,
    record: ConversationRecord,
    said: tuple[Message, ...],
    *,
    removed: Removed | None = None,
    key: str | None = None,
) -> Turn:
    """Add a turn in which nobody answers to the conversation; it waits while another turn runs there, if the settings
    let it. Raises `ConversationBusy`."""
    exchanges, store, tenant = call.service.exchanges, call.store, call.caller.tenant
    if has_results(said):
        before = (await _path(call, record)).turns
        said = matched(said, (message for turn in reversed(before) for message in reversed(turn.messages)))
    turn = Turn(
        id=new_id("turn"),
        conversation=record.id,
        input=said,
        created_at=time.time(),
        window=Mark(INHERITED, removed=(removed,)) if removed else None,
    )
    queue = call.service.settings.queue
    written = await recording.begin(store, turn, _NOBODY, parent=HEAD, user=None, metadata=None, key=key, queue=queue)
    path = await exchanges.path(store, tenant, written.turn.parent)
    written.before = path.totals
    ended = await written.end(Ended(TurnStatus.COMPLETED))
    exchanges.paths.keep(tenant, path.followed_by(ended))
    return ended


def _found(path: Path, id: str, *, encrypted: bool = False) -> Item:
    """The item of this path with this id. Raises `NotFound`."""
    place, turns = place_of(id), path.turns
    if place is not None:
        wanted = turn_id(place.response_id)
        turns = tuple(turn for turn in turns if turn.id == wanted)
    items = (item for turn in reversed(turns) for item in items_of(turn, encrypted=encrypted))
    found = next((item for item in items if item.id == id), None)
    if found is None or found.at in path.mark.removed:
        raise NotFound("item", id)
    return found


async def _path(call: Call, record: ConversationRecord) -> Path:
    return await call.service.exchanges.path(call.store, call.caller.tenant, record.head)


async def conversation_of(call: Call) -> ConversationRecord:
    """The conversation of the path. Raises `NotFound`; also for one that nobody has asked for, which the server has
    made for responses that follow one another."""
    id = call.param("conversation_id")
    record = await call.store.conversation(id)
    if record.kind not in (None, "conversation"):
        raise NotFound("conversation", id)
    return record
