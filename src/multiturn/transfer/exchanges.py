"""Messages without turns or times, as files of other tools hold them, made into a conversation.

Its ids come from the messages, so that what is imported twice is there once. They begin with the turn's place instead
of a time, and so sort before all that was ever said here.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile

import msgspec

from multiturn.messages import Message, Text
from multiturn.stores.records import ConversationRecord
from multiturn.transfer.base import Tree
from multiturn.turns import Totals, Turn, TurnStatus, finished


def conversation(messages: Sequence[Message], *, id: str | None, line: int) -> Tree:
    """A conversation with a turn for each exchange: what was asked, and what was answered. Words of the system at the
    start are its instructions. Where the last words have no answer, their turn is `incomplete`, for `retry`."""
    source = msgspec.json.encode((id, messages))
    leading = list(takewhile(_is_instruction, messages))
    instructions = "\n\n".join(message.text for message in leading) or None
    made_in = id or _id("conv", source, 0)
    now = time.time()
    turns: list[Turn] = []
    for asked, answered in _exchanges(messages[len(leading) :]):
        before = turns[-1] if turns else None
        turn = Turn(
            id=_id("turn", source, len(turns)),
            conversation=made_in,
            parent=before.id if before else None,
            input=asked,
            instructions=instructions,
            created_at=now,
        )
        turns.append(_ended(turn, answered, before.totals if before else Totals(), now))
    head = next((turn.id for turn in reversed(turns) if turn.output), None)
    record = ConversationRecord(
        id=made_in,
        head=head,
        latest=turns[-1].id if turns else None,
        instructions=instructions,
        created_at=now,
        updated_at=now,
    )
    return Tree((record,), tuple(turns), line)


def _ended(turn: Turn, answered: tuple[Message, ...], before: Totals, now: float) -> Turn:
    if answered:
        return finished(turn, TurnStatus.COMPLETED, before=before, at=now, output=answered)
    return finished(turn, TurnStatus.INCOMPLETE, before=before, at=now, reason="interrupted")


def _is_instruction(message: Message) -> bool:
    only_text = all(isinstance(part, Text) for part in message.parts)
    return message.role in ("system", "developer") and only_text


def _exchanges(messages: Sequence[Message]) -> Iterator[tuple[tuple[Message, ...], tuple[Message, ...]]]:
    """What was asked and what was answered, in turn; the answer with its tools' results."""
    asked: tuple[Message, ...] = ()
    for is_answer, group in groupby(messages, lambda message: message.role in ("assistant", "tool")):
        if is_answer:
            yield asked, tuple(group)
            asked = ()
        else:
            asked = tuple(group)
    if asked:
        yield asked, ()


def _id(prefix: str, source: bytes, place: int) -> str:
    data = place.to_bytes(6) + hashlib.sha256(source).digest()[:10]
    return f"{prefix}_{base64.b32hexencode(data).decode().rstrip('=').lower()}"
