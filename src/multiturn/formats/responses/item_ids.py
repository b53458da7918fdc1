"""The ids of the items that our server shows. They are made of the response's id and the item's place in it, so that an
item has the same one in a stream, in the response, and in every list; and so that a reference leads to its place."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

Side: TypeAlias = Literal["input", "output"]
_OURS = re.compile(r"[a-z]{2,4}_([0-9a-v]{26})_([io])(\d+)")


class Place(NamedTuple):
    """Which item of which response: the `nth` of its input or of its output, from 0."""

    response_id: str
    side: Side
    nth: int


def item_id(prefix: str, response_id: str, side: Side, nth: int) -> str:
    """The id of that item; `prefix` is the usual one of its type, such as `msg`."""
    return f"{prefix}_{response_id.removeprefix('resp_')}_{side[0]}{nth}"


def place_of(item_id: str) -> Place | None:
    """Where the item with this id is; None if it is not of a response with an id of `multiturn.ids.new_id("resp")`."""
    found = _OURS.fullmatch(item_id)
    if found is None:
        return None
    return Place(f"resp_{found[1]}", "input" if found[2] == "i" else "output", int(found[3]))
