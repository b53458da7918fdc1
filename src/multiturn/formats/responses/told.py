"""As a server: one item of an answer while it is streamed, and the events that tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Raw

from multiturn.formats.responses.grouping import Word
from multiturn.formats.responses.served_items import Group, Json, contents_of, empty_content, item_of
from multiturn.messages import Reasoning, Refusal, Text, ToolCall

_encode = msgspec.json.Encoder().encode

Told: TypeAlias = tuple[str, Json]
"""An event: its type, and its fields without type and number."""

Kind: TypeAlias = Literal["words", "thought", "function", "custom", "whole"]
TextType: TypeAlias = Literal["output_text", "refusal", "reasoning_text", "summary_text"]


class _Names(NamedTuple):
    """What the events of a text of one type are called, and how they say which text it is."""

    event: str
    part: str
    place: str
    field: str


_TEXTS: dict[str, _Names] = {
    "output_text": _Names("response.output_text", "response.content_part", "content_index", "text"),
    "refusal": _Names("response.refusal", "response.content_part", "content_index", "refusal"),
    "reasoning_text": _Names("response.reasoning_text", "response.content_part", "content_index", "text"),
    "summary_text": _Names(
        "response.reasoning_summary_text", "response.reasoning_summary_part", "summary_index", "text"
    ),
}
_ARGUMENTS = {"function": ("function_call_arguments", "arguments"), "custom": ("custom_tool_call_input", "input")}


def kind_of(group: Group) -> Kind:
    match group:
        case tuple():
            return "words"
        case Reasoning():
            return "thought"
        case ToolCall(kind=kind):
            return kind
    return "whole"


class Stretches(NamedTuple):
    """A text of an item that is being told: what its events have in common, so that each is put together from bytes.
    `pieces` are the stretches told so far."""

    event: str
    head: bytes  # up to the event's number
    place: bytes  # from there up to the stretch
    tail: bytes
    pieces: list[str]

    def told(self, sequence: int, text: str) -> bytes:
        """The event of the next stretch."""
        self.pieces.append(text)
        return b"%s%d%s%s%s" % (self.head, sequence, self.place, _encode(text), self.tail)


class TellingItem:
    """An item that is open: `begin`, then any number of stretches, then `end`, which tells it as a whole."""

    def __init__(self, nth: int, id: str, group: Group) -> None:
        self.nth = nth
        self.id = id
        self.kind = kind_of(group)
        self.item: Json | Raw | None = None  # once it has ended
        self._group = group  # what it holds apart from the stretches
        self._texts: list[tuple[TextType, list[str]]] = []
        self._arguments: list[str] = []

    def begin(self) -> Iterator[Told]:
        item = item_of(self._group, self.id, status="in_progress")
        yield "response.output_item.added", {"output_index": self.nth, "item": item}

    def add_text(self, type: TextType, text: str) -> Iterator[Told]:
        """The next stretch of its text; a new content where the type is another than before."""
        names = _TEXTS[type]
        if not self._texts or self._texts[-1][0] != type:
            self._texts.append((type, []))
            yield f"{names.part}.added", {**self._place(names, len(self._texts) - 1), "part": empty_content(type)}
        self._texts[-1][1].append(text)
        logprobs: Json = {"logprobs": []} if type == "output_text" else {}
        yield f"{names.event}.delta", {**self._place(names, len(self._texts) - 1), "delta": text, **logprobs}

    def stretches(self) -> Stretches:
        """The text that was added to last, for more of it."""
        type, pieces = self._texts[-1]
        names = _TEXTS[type]
        event, tail = f"{names.event}.delta", b',"logprobs":[]}' if type == "output_text" else b"}"
        place = b",%s" % _encode({**self._place(names, len(self._texts) - 1), "delta": ""})[1:-3]
        return Stretches(event, b'{"type":"%s","sequence_number":' % event.encode(), place, tail, pieces)

    def add_arguments(self, text: str) -> Iterator[Told]:
        """The next stretch of a call's arguments."""
        self._arguments.append(text)
        event, _ = _ARGUMENTS[self.kind]
        yield f"response.{event}.delta", {"item_id": self.id, "output_index": self.nth, "delta": text}

    def name(self, call_id: str, name: str) -> None:
        """What the call is named, where that did not come with its first piece."""
        call = self._group
        assert isinstance(call, ToolCall)
        self._group = msgspec.structs.replace(call, call_id=call.call_id or call_id, name=call.name or name)

    def so_far(self) -> Json | Raw:
        """The item as it is by now: incomplete, if it has not ended."""
        return self.item if self.item is not None else item_of(self.group(), self.id, status="incomplete")

    def group(self) -> Group:
        """What has been told so far."""
        match self._group:
            case tuple():
                return tuple(_word(type, "".join(pieces)) for type, pieces in self._texts)
            case Reasoning() as thought:
                texts = {type: "".join(pieces) for type, pieces in self._texts}
                summary = (texts["summary_text"],) if "summary_text" in texts else ()
                return msgspec.structs.replace(thought, text=texts.get("reasoning_text", ""), summary=summary)
            case ToolCall() as call:
                return msgspec.structs.replace(call, arguments="".join(self._arguments))
        return self._group

    def end(self, final: Group | None, status: str) -> Iterator[Told]:
        """The rest of it. `final` is what the answer says that it holds; where that has another shape than what was
        told, what was told stays."""
        self.item = item_of(self._agreed(final), self.id, status=status)
        if not isinstance(self.item, Raw):
            yield from self._ends(self.item)
        yield "response.output_item.done", {"output_index": self.nth, "item": self.item}

    def _agreed(self, final: Group | None) -> Group:
        told = self.group()
        match told, final:
            case tuple(), tuple():
                shape = [content["type"] for content in contents_of(final)]
                return final if shape == [type for type, _ in self._texts] else told
            case Reasoning(), Reasoning():
                return msgspec.structs.replace(told, encrypted=final.encrypted) if self._texts else final
            case ToolCall(), ToolCall():
                return final
        return told

    def _ends(self, item: Json) -> Iterator[Told]:
        if self.kind in _ARGUMENTS:
            event, field = _ARGUMENTS[self.kind]
            place = {"item_id": self.id, "output_index": self.nth}
            yield f"response.{event}.done", {**place, field: item[field]}
        contents = [*item.get("summary", ()), *item.get("content", ())] if self._texts else []
        for nth, content in enumerate(contents):
            names = _TEXTS[content["type"]]
            place = self._place(names, nth)
            for number, annotation in enumerate(content.get("annotations", ())):
                fields = {**place, "annotation_index": number, "annotation": annotation}
                yield "response.output_text.annotation.added", fields
            logprobs: Json = {"logprobs": []} if content["type"] == "output_text" else {}
            yield f"{names.event}.done", {**place, names.field: content[names.field], **logprobs}
            yield f"{names.part}.done", {**place, "part": content}

    def _place(self, names: _Names, nth: int) -> Json:
        return {"item_id": self.id, "output_index": self.nth, names.place: nth}


def _word(type: str, text: str) -> Word:
    return Refusal(text=text) if type == "refusal" else Text(text=text)
