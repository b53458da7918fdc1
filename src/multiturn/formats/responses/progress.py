"""The items of an answer that is being streamed, and the deltas that they make.

An item is known by its `output_index`. What its events say is passed on as it comes; what only its end says, where a
server streams items whole, is passed on then.

An empty delta is a border, for whoever streams the deltas on: an empty `ReasoningDelta` begins an item of thinking
that shows nothing, or that comes straight after another; an empty `TextDelta` a message straight after another.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

from multiturn.deltas import Delta, PartDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from multiturn.formats.decoding import read
from multiturn.formats.responses.dialect import Dialect
from multiturn.formats.responses.readings import parts_of
from multiturn.formats.responses.wire import CALL, FIELDS, KIND
from multiturn.messages import Opaque, Reasoning, Refusal, Text, ToolCall

_CALLS = ("function_call", "custom_tool_call")
_encoder = msgspec.json.Encoder()


class _Item:
    """One item so far: itself, as it was last told, and the stretches of text that came for it."""

    def __init__(self, index: int, kind: str, call: int) -> None:
        self.index = index
        self.kind = kind
        self.call = call  # which of the calls it is, if it is one
        self.named = False  # the call's name has been passed on
        self.bordered = False
        self.raw = Raw(b"{}")
        self.ended = False
        self._said: dict[tuple[str, int], list[str]] = {}  # by field and index

    @property
    def empty(self) -> bool:
        return not self._said

    def add(self, field: str, nth: int, text: str) -> None:
        self._said.setdefault((field, nth), []).append(text)

    def has(self, field: str, nth: int) -> bool:
        return (field, nth) in self._said

    def said(self, field: str, nth: int | None = None) -> str:
        """What has come of this text, or of all of this field."""
        keys = [key for key in self._said if key[0] == field and nth in (None, key[1])]
        return "".join(piece for key in keys for piece in self._said[key])

    def whole(self) -> Raw:
        """The item, put together from its stretches where its end did not come."""
        if self.ended:
            return self.raw
        fields: dict[str, Any] = {"type": self.kind, **FIELDS.decode(self.raw)}
        if self.kind == "message":
            fields["content"] = [{field: self.said(field, nth)} for field, nth in self._said]
        elif self.kind == "reasoning":
            fields["summary"] = [{"text": self.said(field, nth)} for field, nth in self._said if field == "summary"]
            fields["content"] = [{"text": self.said("thought")}]
        elif self.kind in _CALLS:
            fields["input" if self.kind == "custom_tool_call" else "arguments"] = self.said("arguments")
        return Raw(_encoder.encode(fields))


class Items:
    """All items of one answer. Our own indices count the calls in order of their first piece."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._items: list[_Item] = []  # in order of arrival
        self._at: dict[int, _Item] = {}  # by output index, the latest one
        self._calls = 0
        self._thinking = False  # the last words that came are thinking
        self._new: list[Delta] = []

    def taken(self) -> list[Delta]:
        """The deltas since this was last asked."""
        new, self._new = self._new, []
        return new

    def whole(self) -> list[Raw]:
        """The items themselves, in order."""
        return [item.whole() for item in sorted(self._items, key=lambda item: item.index)]

    def tell(self, index: int | None, raw: Raw, *, ended: bool) -> None:
        """What an event says of an item as a whole, at its beginning or at its end. Raises
        `msgspec.ValidationError`."""
        item = self._item(index, read(KIND, bytes(raw)).type or "", begins=not ended)
        item.raw, item.ended = raw, ended
        if item.kind in _CALLS:
            self._tell_name(item)
        if ended:
            self._tell_rest(item)

    def add(self, index: int | None, kind: str, field: str, nth: int, text: str) -> None:
        """The next stretch of a text of an item of this kind: of its `text`, `refusal`, `thought`, `summary` or
        `arguments`, the `nth` of those that it has."""
        self._add(self._item(index, kind), field, nth, text)

    def end(self, index: int | None, kind: str, field: str, nth: int, text: str) -> None:
        """The whole of such a text; what of it has not come yet is passed on."""
        item = self._item(index, kind)
        self._add(item, field, nth, _rest(text, item.said(field, nth)))

    def _item(self, index: int | None, kind: str, *, begins: bool = False) -> _Item:
        """The item at this index, or a new one: also where the one there has ended, and another `begins`."""
        index = max(self._at, default=0) if index is None else index
        known = self._at.get(index)
        if known is not None and not (begins and known.ended):
            return known
        item = self._at[index] = _Item(index, kind, self._calls)
        self._calls += kind in _CALLS
        if self._items and self._items[-1].kind == kind:
            self._border(item)
        self._items.append(item)
        return item

    def _border(self, item: _Item) -> None:
        if item.kind in ("message", "reasoning"):
            item.bordered = True
            self._new.append(TextDelta("") if item.kind == "message" else ReasoningDelta(""))

    def _tell_name(self, item: _Item) -> None:
        call = read(CALL, bytes(item.raw))
        if call.name and not item.named:
            item.named = True
            self._say(ToolCallDelta(item.call, call.call_id or call.id or "", call.name, kind=_kind_of(item)))

    def _tell_rest(self, item: _Item) -> None:
        """What an item's end says, and no event before has said."""
        parts = parts_of(item.raw, self._dialect)
        texts, refusals = ("".join(part.text for part in parts if isinstance(part, kind)) for kind in (Text, Refusal))
        self._add(item, "text", 0, _rest(texts, item.said("text")))
        self._add(item, "refusal", 0, _rest(refusals, item.said("refusal")))
        match parts:
            case [Reasoning(text=text, summary=summary)]:
                self._add(item, "thought", 0, _rest(text, item.said("thought")))
                for nth, each in enumerate(summary):
                    self._add(item, "summary", nth, _rest(each, item.said("summary", nth)))
                if item.empty and not item.bordered:
                    self._border(item)
            case [ToolCall(arguments=arguments)]:
                self._add(item, "arguments", 0, _rest(arguments, item.said("arguments")))
            case [Opaque() as part]:
                self._say(PartDelta(part))

    def _add(self, item: _Item, field: str, nth: int, text: str) -> None:
        if not text:
            return
        begins = item.empty or (field == "summary" and not item.has(field, nth))
        item.add(field, nth, text)
        match field:
            case "text":
                self._say(TextDelta(text))
            case "refusal":
                self._say(RefusalDelta(text))
            case "arguments":
                self._say(ToolCallDelta(item.call, arguments=text, kind=_kind_of(item)))
            case _:  # each summary, and each item, is a line of its own, as in `Message.reasoning`
                self._say(ReasoningDelta("\n" + text if begins and self._thinking else text))

    def _say(self, delta: Delta) -> None:
        self._new.append(delta)
        self._thinking = isinstance(delta, ReasoningDelta)


def _rest(whole: str, said: str) -> str:
    return whole[len(said) :] if whole.startswith(said) else ""


def _kind_of(item: _Item) -> Literal["function", "custom"]:
    return "custom" if item.kind == "custom_tool_call" else "function"
