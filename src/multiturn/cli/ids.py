"""Ids as people type them: whole, or the end of one that multiturn has made up."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from multiturn.errors import NotFound
from multiturn.stores.base import Store
from multiturn.stores.records import ConversationRecord
from multiturn.turns import Turn

_MADE_UP = re.compile(r"(conv|turn)_[0-9a-v]{26}")
_SHORT = 8  # characters, all of them random: 40 bits
_SHORTEST = 6


def short(id: str) -> str:
    """The end of an id that was made up; any other whole."""
    return id[-_SHORT:] if _MADE_UP.fullmatch(id) else id


async def find_conversation(store: Store | None, given: str) -> ConversationRecord:
    """The conversation of this id. Where there is none, one sentence that says what to do."""
    if store is not None:
        try:
            return await store.conversation(given)
        except NotFound:
            if found := await _by_end(store, given):
                return found
    raise click.ClickException(f"there is no conversation '{given}'; 'multiturn list' shows those there are")


async def known_id(store: Store, given: str) -> str:
    """The id that this means: that of a conversation there is, else itself."""
    try:
        return (await store.conversation(given)).id
    except NotFound:
        found = await _by_end(store, given)
        return found.id if found else given


async def _by_end(store: Store, given: str) -> ConversationRecord | None:
    if not _is_an_end(given):
        return None
    records = {record.id: record for record in await store.conversations(limit=100_000)}
    found = _ending(records, given)
    return records[found] if found else None


def find_turn(turns: Iterable[Turn], path: Iterable[Turn], given: str) -> Turn:
    """The turn that this means: an id, the end of one, or the number of a message on the path as `show` counts."""
    by_id = {turn.id: turn for turn in turns}
    numbered = {str(number): turn for number, turn in enumerate(path, start=1)}
    if found := by_id.get(given) or numbered.get(given):
        return found
    if _is_an_end(given) and (end := _ending(by_id, given)):
        return by_id[end]
    raise click.ClickException(f"there is no turn '{given}' in this conversation; 'multiturn show --tree' shows them")


def _is_an_end(given: str) -> bool:
    return len(given) >= _SHORTEST and re.fullmatch(r"[0-9a-v]+", given) is not None


def _ending(ids: Iterable[str], end: str) -> str | None:
    found = [id for id in ids if _MADE_UP.fullmatch(id) and id.endswith(end)]
    if len(found) > 1:
        raise click.ClickException(f"'{end}' could be {' or '.join(sorted(found)[:3])}; give more of it")
    return found[0] if found else None
