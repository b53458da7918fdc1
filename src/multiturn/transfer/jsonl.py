"""Our own format: JSON Lines with everything in them, and in an order that depends on nothing but the content, so that
stores that hold the same make the same bytes.

    {"kind":"header","format":"multiturn","version":1}
    {"kind":"tree","turns":2,"conversations":1}
    {"kind":"turn",…a `Turn`…}                             parents first: by depth, then by id
    {"kind":"conversation",…a `ConversationRecord`…}       by id
    {"kind":"tree",…}                                      by the smallest id of a conversation
    {"kind":"end","conversations":1,"turns":2}

Fields that have their default are left out; the bytes of images and files are base64. A tree's line says how much of
it follows, and the end how much there was, so that a file that was cut short is known for one; files may be joined.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import NoReturn, TypeVar

import msgspec

from multiturn.stores.records import ConversationRecord
from multiturn.transfer.base import Tree
from multiturn.transfer.pieces import bad_line, lines
from multiturn.turns import Turn, TurnStatus

LOSSLESS = True
LOSES = ""
FORMAT, VERSION = "multiturn", 1

T = TypeVar("T")
_Lines = Iterator[tuple[int, bytes]]


class _Header(msgspec.Struct, tag_field="kind", tag="header"):
    format: str
    version: int


class _Tree(msgspec.Struct, tag_field="kind", tag="tree"):
    turns: int
    conversations: int


class _End(msgspec.Struct, tag_field="kind", tag="end"):
    conversations: int
    turns: int


_encode = msgspec.json.Encoder(order="deterministic").encode
_mark: msgspec.json.Decoder[_Header | _Tree | _End] = msgspec.json.Decoder(_Header | _Tree | _End)
_turn = msgspec.json.Decoder(Turn)
_conversation = msgspec.json.Decoder(ConversationRecord)


# --- writing --------------------------------------------------------------------------------------------------------


async def write(trees: AsyncGenerator[Tree, None]) -> AsyncGenerator[bytes, None]:
    conversations = turns = 0
    yield _encode(_Header(FORMAT, VERSION)) + b"\n"
    async for tree in trees:
        conversations += len(tree.records)
        turns += len(tree.turns)
        yield encode(tree)
    yield _encode(_End(conversations, turns)) + b"\n"


def encode(tree: Tree) -> bytes:
    """The lines of one tree."""
    return b"".join(
        (
            _encode(_Tree(len(tree.turns), len(tree.records))) + b"\n",
            *(_line(b"turn", _encode(turn)) for turn in tree.turns),
            *(_line(b"conversation", _encode(record)) for record in tree.records),
        )
    )


def _line(kind: bytes, data: bytes) -> bytes:
    if b"\n" in data or b"\r" in data:  # between the values of a provider's own item: JSON has none inside strings
        data = data.replace(b"\n", b" ").replace(b"\r", b" ")
    return b'{"kind":"%b",%b\n' % (kind, data[1:])


# --- reading --------------------------------------------------------------------------------------------------------


def read(pieces: Iterable[bytes]) -> Iterator[Tree]:
    numbered = lines(pieces)
    conversations = turns = number = 0
    inside = False
    for number, line in numbered:
        mark = _decoded(_mark, line, number)
        if not inside and not isinstance(mark, _Header):
            raise bad_line(number, "an export begins with a header, and here is none")
        match mark:
            case _Header():
                _check_header(mark, number)
                conversations, turns, inside = 0, 0, True
            case _Tree():
                tree = _tree(mark, numbered, number)
                conversations, turns = conversations + len(tree.records), turns + len(tree.turns)
                yield tree
            case _End():
                if (mark.conversations, mark.turns) != (conversations, turns):
                    raise bad_line(number, f"{mark.conversations} conversations should be here, not {conversations}")
                inside = False
    if inside or not number:
        _cut_short(number)


def _check_header(header: _Header, number: int) -> None:
    if header.format != FORMAT:
        raise bad_line(number, f"this is no export of multiturn, but of {header.format!r}")
    if header.version > VERSION:
        raise bad_line(number, f"this export has version {header.version}; upgrade multiturn to read it")


def _tree(mark: _Tree, numbered: _Lines, number: int) -> Tree:
    turns: dict[str | None, Turn] = {}
    numbers = []
    for _ in range(mark.turns):
        at, turn = _next(_turn, numbered, number)
        _check_turn(turn, turns, at)
        turns[turn.id] = turn
        numbers.append(at)
    records: dict[str, ConversationRecord] = {}
    for _ in range(mark.conversations):
        at, record = _next(_conversation, numbered, number)
        for id in filter(None, (record.head, record.latest)):
            if id not in turns:
                raise bad_line(at, f"conversation {record.id!r} stands on {id!r}, which is no turn of its tree")
        if record.id in records:
            raise bad_line(at, f"conversation {record.id!r} is here twice")
        records[record.id] = record
    for at, turn in zip(numbers, turns.values(), strict=True):
        if turn.conversation not in records:
            raise bad_line(at, f"turn {turn.id!r} is of {turn.conversation!r}, which is no conversation of its tree")
    return Tree(tuple(records.values()), tuple(turns.values()), number)


def _check_turn(turn: Turn, before: dict[str | None, Turn], number: int) -> None:
    if turn.id in before:
        raise bad_line(number, f"turn {turn.id!r} is here twice")
    if turn.parent is not None and turn.parent not in before:
        raise bad_line(number, f"turn {turn.id!r} follows {turn.parent!r}, which does not stand before it")
    if turn.status is TurnStatus.IN_PROGRESS:
        raise bad_line(number, f"turn {turn.id!r} has not ended")


def _next(decoder: msgspec.json.Decoder[T], numbered: _Lines, begun: int) -> tuple[int, T]:
    number, line = next(numbered, (begun, b""))
    if not line:
        _cut_short(begun)
    kind = b"turn" if decoder is _turn else b"conversation"
    if not line.startswith(b'{"kind":"%b"' % kind) and _kind(line, number) != kind.decode():
        raise bad_line(number, f"here should be a {kind.decode()}")
    return number, _decoded(decoder, line, number)


class _Kind(msgspec.Struct):
    kind: str


_any = msgspec.json.Decoder(_Kind)


def _kind(line: bytes, number: int) -> str:
    return _decoded(_any, line, number).kind


def _decoded(decoder: msgspec.json.Decoder[T], line: bytes, number: int) -> T:
    try:
        return decoder.decode(line)
    except msgspec.ValidationError as error:
        raise bad_line(number, f"this is no line of an export: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_line(number, f"this is not valid JSON: {error}") from error


def _cut_short(number: int) -> NoReturn:
    raise bad_line(max(number, 1), "the file ends too early; what was complete before this line is not lost")
