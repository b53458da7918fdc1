"""What a function gave back, as the parts of a tool result.

| it gave | the model reads |
|---|---|
| a string | the string |
| a part (`Text`, `Image`, `Audio`, `Video`, `File`) | the part |
| a list or tuple of strings and parts, with at least one part | these parts, in order |
| None | `done` if the function says `-> None`, else `null`, which may well be an answer |
| bytes | an image, a recording, a film or a file, where they show which; else text, if they are UTF-8 |
| a generator or another iterator | its strings joined; anything else as the list of its items |
| whatever JSON can say: numbers, lists, dicts, dates, enums, dataclasses, Structs, pydantic models | compact JSON, \
but what would be a string alone (a date, an enum) without quotes |
| anything else | its `str()`, also inside of JSON |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from multiturn.media_types import is_text, kind_of, recognised
from multiturn.messages import Audio, File, Image, Inline, Text, Video
from multiturn.tools.failures import ToolFailed

ResultPart: TypeAlias = Text | Image | Audio | Video | File


def parts_of(value: object, *, limit_bytes: int, says_none: bool = False) -> tuple[ResultPart, ...]:
    """The parts that stand for `value`, by the table above; no part for an empty string. Text beyond `limit_bytes` of
    UTF-8 is cut, and a line says how much is missing; media are whole or not at all. `says_none`: the function says of
    itself that it gives nothing back. Raises `ToolFailed` for bytes of a kind that is not known, and whatever an
    iterator raises."""
    if isinstance(value, Iterator):
        value = list(value)
        if all(isinstance(item, str) for item in value):
            value = "".join(value)
    if isinstance(value, ResultPart):
        value = (value,)
    if isinstance(value, list | tuple) and _are_parts(value):
        return _within([Text(item) if isinstance(item, str) else item for item in value], limit_bytes)
    if isinstance(value, bytes | bytearray | memoryview):
        return _within([_of_bytes(bytes(value))], limit_bytes)
    if value is None and says_none:
        value = "done"
    return _within([Text(value if isinstance(value, str) else _json(value))], limit_bytes)


def _are_parts(items: Sequence[object]) -> bool:
    """A list of strings alone is data, not parts: joined, they could not be told apart."""
    kinds = [isinstance(item, ResultPart) for item in items]
    return any(kinds) and all(part or isinstance(item, str) for part, item in zip(kinds, items, strict=True))


# --- bytes ----------------------------------------------------------------------------------------------------------


def _of_bytes(data: bytes) -> ResultPart:
    media_type = recognised(data)
    if media_type is None or is_text(media_type):
        try:
            return Text(data.decode())
        except UnicodeDecodeError:
            raise ToolFailed(
                f"the tool gave back {len(data)} bytes of a kind that is not known; "
                "it should give a part, such as File(Inline(data, media_type))"
            ) from None
    source = Inline(data, media_type)
    match kind_of(media_type):
        case "image":
            return Image(source)
        case "audio":
            return Audio(source)
        case "video":
            return Video(source)
    return File(source)


# --- JSON -----------------------------------------------------------------------------------------------------------


def _json(value: object) -> str:
    try:
        data = _encoder.encode(value)
        return msgspec.json.decode(data, type=str) if data.startswith(b'"') else data.decode()
    except (TypeError, ValueError, RecursionError):  # keys that JSON does not have, a cycle
        return str(value)


def _plain(value: Any) -> object:
    """What msgspec does not know. Pydantic models and numpy's numbers and arrays have methods for it."""
    if hasattr(type(value), "model_dump_json"):
        return msgspec.Raw(value.model_dump_json().encode())
    if isinstance(value, Iterator | range):
        return list(value)
    return value.tolist() if hasattr(type(value), "tolist") else str(value)


_encoder = msgspec.json.Encoder(enc_hook=_plain)


# --- within limits ----------------------------------------------------------------------------------------------------


def _within(parts: Sequence[ResultPart], limit_bytes: int) -> tuple[ResultPart, ...]:
    kept: list[ResultPart] = []
    room, missing = limit_bytes, 0
    for part in parts:
        if not isinstance(part, Text):
            kept.append(part)
            continue
        data = part.text.encode(errors="replace")  # half a surrogate pair is no text that could be sent
        text = data.decode() if len(data) <= room else data[:room].decode(errors="ignore")
        missing += len(data) - len(text.encode())
        room = 0 if missing else room - len(data)
        if text:
            kept.append(msgspec.structs.replace(part, text=text))
    if missing:
        kept.append(Text(f"\n[{missing} more bytes were cut off here]"))
    return tuple(kept)
