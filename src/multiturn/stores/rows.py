"""What a turn looks like in a row: the same for every store.

A row holds the turn as MessagePack (msgpack.org), without what its place already says (id, conversation, parent,
status) and without what is kept once for many turns: instructions, the model's name, what was asked where that is long,
and the bytes of attachments, of which it has the digest. Most turns are a text and an answer: these are an array, any
other turn is a map.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

import msgspec

from multiturn.errors import InvalidInput, StoreError
from multiturn.messages import (
    Audio,
    File,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    Text,
    ToolResult,
    Uploaded,
    Usage,
    Video,
)
from multiturn.turns import Totals, Turn, TurnStatus

KEPT_HERE = "multiturn"
"""The provider of an `Uploaded` source that stands in a row for bytes kept as an attachment."""
_LEAST_BYTES = 512  # smaller ones stay in the row
_LEAST_ASKED = 64  # characters; shorter ones stay in the row
_MAP = 0x80  # the least first byte of MessagePack's maps; what is sealed or changed begins with a smaller one
_ARRAY = 0x9  # the first four bits of its short arrays
_CHANGED = b"\x02"
_SHORT = b"\x03"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Turn).decode
_Medium = Image | Audio | Video | File
_CHANGEABLE = (Image, Audio, Video, File, Opaque, ToolResult)  # parts for which something else may stand in a row
_Change = Callable[[Part], Part]


_OPENING = b"\xde\x00\x05\xa5input\x91\x82\xa4role\xa4user\xa5parts\x91\x82\xa4type\xa4text\xa4text"
"""What a body has begun with in whose place `_SHORT` stands: a row of a text and an answer, from before these were
arrays."""


class Answered(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What many answers share, and so is kept once for all of them: who answered, and why it ended."""

    origin: Origin
    finish_reason: str | None = None


class _Plain(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A turn of a text and, once it has ended, an answer of one text; nothing else stands in any of its fields."""

    created_at: float
    said: str
    finished_at: float | None
    totals: Totals
    answer: str | None = None
    answer_id: str | None = None
    answered: Answered | None = None
    usage: Usage | None = None


class Row(NamedTuple):
    """A turn, ready to be stored. `attachments` are bytes by the hex of their digest; `asked` is the turn's, where the
    body is without it."""

    body: bytes
    attachments: dict[str, bytes]
    asked: str | None


_decode_plain = msgspec.msgpack.Decoder(_Plain).decode

_NOWHERE: dict[str, object] = {
    "id": "",
    "conversation": "",
    "parent": None,
    "status": TurnStatus.IN_PROGRESS,
    "instructions": None,
    "model": None,
}
_NOWHERE_ASKED = _NOWHERE | {"asked": None}


def to_row(turn: Turn, digest: Callable[[bytes], bytes]) -> Row:
    """The row of a turn; `digest` names attachments."""
    asked = turn.asked if turn.asked is not None and len(turn.asked) >= _LEAST_ASKED else None
    bare = msgspec.structs.replace(turn, **(_NOWHERE if asked is None else _NOWHERE_ASKED))
    plain = _plain(bare)
    if plain is not None:
        return Row(_encode(plain), {}, asked)
    attachments: dict[str, bytes] = {}
    slim = _with_parts(bare, lambda part: _slim(part, attachments, digest))
    return Row(_encode(slim) if slim is bare else _CHANGED + _encode(slim), attachments, asked)


def _plain(turn: Turn) -> _Plain | None:
    """What is in a turn that is no more than a text and an answer; None for any other."""
    said, answer = _only_text(turn.input), _only_text(turn.output)
    if said is None or (answer is None and turn.output):
        return None
    plain = _Plain(turn.created_at, said, turn.finished_at, turn.totals)
    if answer is not None:
        by = turn.output[0]
        answered = None if by.origin is None else Answered(by.origin, by.finish_reason)
        plain = _Plain(turn.created_at, said, turn.finished_at, turn.totals, answer, by.id, answered, by.usage)
    return plain if _whole_of(plain) == turn else None


def _only_text(messages: Sequence[Message]) -> str | None:
    part = messages[0].parts[0] if len(messages) == 1 and len(messages[0].parts) == 1 else None
    return part.text if isinstance(part, Text) else None


def _whole_of(plain: _Plain) -> Turn:
    """The turn of which this is made."""
    output: tuple[Message, ...] = ()
    if plain.answer is not None:
        by, parts = plain.answered, (Text(plain.answer),)
        if by is None:
            output = (Message("assistant", parts, None, plain.answer_id, None, plain.usage),)
        else:
            output = (Message("assistant", parts, None, plain.answer_id, by.origin, plain.usage, by.finish_reason),)
    return Turn(
        input=(Message("user", (Text(plain.said),)),),
        output=output,
        created_at=plain.created_at,
        finished_at=plain.finished_at,
        totals=plain.totals,
    )


def indexed(turn: Turn) -> str:
    """What a turn is found by: what was said in it, once it has ended; empty before."""
    return text_of(turn) if is_indexed(turn) else ""


def is_indexed(turn: Turn) -> bool:
    """Whether a turn can be found by its words."""
    return turn.status not in (TurnStatus.IN_PROGRESS, TurnStatus.PAUSED)


def taken_out(turn: Turn) -> tuple[Turn, Answered | None]:
    """A turn with one answer, without what it shares with many and without its usage, where that is the turn's own. Any
    other turn as it is, and None."""
    answer = turn.output[0] if len(turn.output) == 1 else None
    if answer is None or answer.origin is None or turn.aside is not None:
        return turn, None
    shared = Answered(answer.origin, answer.finish_reason)
    usage = answer.usage if answer.usage == Usage() else None
    bare = msgspec.structs.replace(answer, origin=None, finish_reason=None, usage=usage)
    return msgspec.structs.replace(turn, output=(bare,)), shared


def put_back(turns: Sequence[Turn], shared: Iterable[Answered | None], usages: Iterable[Usage | None]) -> None:
    """Give turns that `to_turns` has just made what `taken_out` took from them."""
    set_field = msgspec.structs.force_setattr
    for turn, answered, usage in zip(turns, shared, usages, strict=True):
        if answered is not None:
            answer = turn.output[0]
            set_field(answer, "origin", answered.origin)
            set_field(answer, "finish_reason", answered.finish_reason)
            if usage is not None:
                set_field(answer, "usage", usage)


def put_asked(turns: Sequence[Turn], asked: Iterable[str | None]) -> None:
    """Give turns that `to_turns` has just made what their bodies are without; None for those that have it."""
    for turn, text in zip(turns, asked, strict=True):
        if text is not None:
            msgspec.structs.force_setattr(turn, "asked", text)


def to_turns(
    bodies: Sequence[bytes],
    places: Mapping[str, Iterable[object]],
    open: Callable[[bytes, bytes], bytes],
    attachment: Callable[[str], bytes],
) -> tuple[Turn, ...]:
    """The turns of these rows, in their order. `places` are the values of the fields that rows do not have, by the
    field's name, in the order of the rows. `open` unseals a body, given the turn's id; `attachment` gives the bytes of
    a digest."""
    opened, changed = list(bodies), []
    ids = list(places["id"])
    for n in [n for n, body in enumerate(opened) if body[0] < _MAP]:
        opened[n] = _unshortened(open(_unshortened(opened[n]), str(ids[n]).encode()))
        if opened[n].startswith(_CHANGED):
            opened[n] = opened[n][1:]
            changed.append(n)
    try:
        turns = tuple(map(_decoded, opened))
    except msgspec.DecodeError as error:
        raise StoreError(f"the store has a turn that cannot be read: {error}; see `multiturn check`") from error
    for field, values in {**places, "id": ids}.items():
        deque(map(msgspec.structs.force_setattr, turns, repeat(field), values), maxlen=0)  # nobody has seen them yet
    if not changed:
        return turns
    whole = list(turns)
    for n in changed:
        whole[n] = _whole(turns[n], attachment)
    return tuple(whole)


def _decoded(body: bytes) -> Turn:
    return _whole_of(_decode_plain(body)) if body[0] >> 4 == _ARRAY else _decode(body)


def _unshortened(body: bytes) -> bytes:
    return _OPENING + body[1:] if body[0] == _SHORT[0] else body


def may_hold_attachments(body: bytes) -> bool:
    """Whether a row, as it is stored, may have attachments; where it is sealed, that does not show."""
    return body[0] < _MAP and not body.startswith(_SHORT)


def text_of(turn: Turn) -> str:
    """What was said in a turn, tool results included, a line a part."""
    return "\n".join(
        part.text
        for message in turn.messages
        for whole in message.parts
        for part in (whole.parts if isinstance(whole, ToolResult) else (whole,))
        if isinstance(part, Text) and part.text
    )


# --- what stands in a row for a part ----------------------------------------------------------------------------------


def _slim(part: Part, attachments: dict[str, bytes], digest: Callable[[bytes], bytes]) -> Part:
    """What a row has in the place of a part: of bytes the digest, of an opaque item's JSON a string of bytes."""
    if isinstance(part, Opaque):
        return msgspec.structs.replace(part, data=msgspec.Raw(_encode(bytes(part.data))))
    if not isinstance(part, _Medium):
        return part
    if isinstance(part.source, Uploaded) and part.source.provider == KEPT_HERE:
        raise InvalidInput(f"a file cannot be uploaded at {KEPT_HERE!r}; give its bytes")
    if not isinstance(part.source, Inline) or len(part.source.data) < _LEAST_BYTES:
        return part
    name = digest(part.source.data).hex()
    attachments[name] = part.source.data
    return msgspec.structs.replace(part, source=Uploaded(name, KEPT_HERE, part.source.media_type))


def _whole(turn: Turn, attachment: Callable[[str], bytes]) -> Turn:
    """A turn as it was before `_slim`."""

    def whole(part: Part) -> Part:
        if isinstance(part, Opaque):
            return msgspec.structs.replace(part, data=msgspec.Raw(msgspec.msgpack.decode(part.data, type=bytes)))
        source = part.source if isinstance(part, _Medium) else None
        if not isinstance(source, Uploaded) or source.provider != KEPT_HERE:
            return part
        return msgspec.structs.replace(part, source=Inline(attachment(source.file_id), source.media_type or ""))

    return _with_parts(turn, whole)


def _with_parts(turn: Turn, change: _Change) -> Turn:
    """The turn with each part changed; the same one if none was."""
    if not _may_change(turn):
        return turn
    fields = {name: getattr(turn, name) for name in ("input", "output", "alternatives")}
    changed = {name: _messages(messages, change) for name, messages in fields.items()}
    if all(changed[name] is messages for name, messages in fields.items()):
        return turn
    return msgspec.structs.replace(turn, **changed)


def _may_change(turn: Turn) -> bool:
    for messages in (turn.input, turn.output, turn.alternatives):
        for message in messages:
            for part in message.parts:
                if isinstance(part, _CHANGEABLE):
                    return True
    return False


def _messages(messages: tuple[Message, ...], change: _Change) -> tuple[Message, ...]:
    made = tuple(_message(message, change) for message in messages)
    return messages if all(new is old for new, old in zip(made, messages, strict=True)) else made


def _message(message: Message, change: _Change) -> Message:
    parts = tuple(_part(part, change) for part in message.parts)
    if all(new is old for new, old in zip(parts, message.parts, strict=True)):
        return message
    return msgspec.structs.replace(message, parts=parts)


def _part(part: Part, change: _Change) -> Part:
    if not isinstance(part, ToolResult):
        return change(part)
    inner = tuple(change(each) for each in part.parts)
    if all(new is old for new, old in zip(inner, part.parts, strict=True)):
        return part
    return msgspec.structs.replace(part, parts=inner)
