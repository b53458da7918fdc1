"""Items of turns: in order, by their ids, and page by page. An item has the same id wherever it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from starlette.datastructures import QueryParams

from multiturn.errors import InvalidInput, NotFound
from multiturn.formats.responses import Place, encode_items, place_of
from multiturn.formats.responses.served_items import places_of
from multiturn.messages import Message
from multiturn.server.responses.include import ENCRYPTED, included
from multiturn.server.responses.shown import response_id, status_of, turn_id
from multiturn.stores.base import Store
from multiturn.turns import Mark, Removed, Turn


class _WithId(msgspec.Struct):
    id: Any = None


_ID = msgspec.json.Decoder(_WithId)


class Item(NamedTuple):
    """An item as JSON, and where what it holds stands in its turn."""

    id: str
    json: bytes
    at: Removed


def items_of(turn: Turn, *, encrypted: bool = False) -> list[Item]:
    """The items of a turn: those of its input, then those of its output."""
    id, whole = response_id(turn.id), status_of(turn) == "completed"
    shown = encode_items(turn.input, response_id=id, side="input", encrypted=encrypted)
    shown += encode_items(turn.output, response_id=id, encrypted=encrypted, whole=whole)
    places = [Removed(turn.id, nth, parts) for nth, message in enumerate(turn.messages) for parts in places_of(message)]
    return [Item(_id(json), json, at) for json, at in zip(shown, places, strict=True)]


def _id(json: bytes) -> str:
    """The id of an item; one that is shown as its provider made it has that provider's."""
    id = _ID.decode(json).id
    return id if isinstance(id, str) else ""


# --- by their ids ---------------------------------------------------------------------------------------------------


async def stored_item(store: Store, id: str, turns: dict[str, Turn]) -> Message:
    """What the item with this id holds, as a message of its own. `turns` are those at hand, by their responses' ids;
    the item's turn is added. Raises `NotFound`."""
    place = place_of(id)
    if place is None:
        raise NotFound("item", id)
    turn = turns.get(place.response_id)
    if turn is None:
        try:
            turn = turns[place.response_id] = await store.turn(turn_id(place.response_id))
        except NotFound:
            raise NotFound("item", id) from None
    return message_at(turn, place, id)


def message_at(turn: Turn, place: Place, id: str) -> Message:
    """The part of a message that stands in this item of the turn. Raises `NotFound`."""
    messages = turn.input if place.side == "input" else turn.output
    nth = place.nth
    for message in messages:
        places = places_of(message)
        if nth < len(places):
            parts = tuple(message.parts[n] for n in places[nth])
            return msgspec.structs.replace(message, parts=parts, usage=None)
        nth -= len(places)
    raise NotFound("item", id)


# --- page by page ---------------------------------------------------------------------------------------------------


class Page(NamedTuple):
    """Which items of a list: at most `limit`, newest first unless `ascending`, those behind the item `after`."""

    limit: int = 20
    ascending: bool = False
    after: str | None = None
    encrypted: bool = False


def page_of(query: QueryParams) -> Page:
    """What the query asks for. Raises `InvalidInput`."""
    limit, order = query.get("limit", "20"), query.get("order", "desc")
    if not limit.isascii() or not limit.isdecimal() or not 1 <= int(limit) <= 100:
        raise InvalidInput(f"limit: {limit!r} is no number from 1 to 100")
    if order not in ("asc", "desc"):
        raise InvalidInput(f"order: {order!r} is neither asc nor desc")
    return Page(int(limit), order == "asc", query.get("after") or None, ENCRYPTED in included(query))


def listed(turns: Sequence[Turn], page: Page, mark: Mark = Mark()) -> bytes:  # noqa: B008
    """One page of the items of these turns, as a list of the API; without those that the mark says are removed. Raises
    `NotFound` where the page is to begin behind an item that is not there."""
    gone = frozenset(mark.removed)
    shown = (item for item in _walk(turns, page) if item.at not in gone)
    items = list(islice(shown, page.limit + 1))
    more, items = len(items) > page.limit, items[: page.limit]
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [msgspec.Raw(item.json) for item in items],
            "first_id": items[0].id if items else None,
            "last_id": items[-1].id if items else None,
            "has_more": more,
        }
    )


def _walk(turns: Sequence[Turn], page: Page) -> Iterator[Item]:
    """The items behind `after`, in the order of the page; a turn at a time, so that a page costs no more than it
    shows."""
    ordered = turns if page.ascending else turns[::-1]
    place = place_of(page.after) if page.after is not None else None
    start = 0
    if place is not None:
        wanted = turn_id(place.response_id)
        start = next((n for n, turn in enumerate(ordered) if turn.id == wanted), 0)
    waiting = page.after is not None
    for turn in ordered[start:]:
        items = items_of(turn, encrypted=page.encrypted)
        for item in items if page.ascending else reversed(items):
            if not waiting:
                yield item
            elif item.id == page.after:
                waiting = False
    if waiting:
        raise NotFound("item", page.after or "")
