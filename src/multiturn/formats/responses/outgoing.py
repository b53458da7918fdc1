"""As a server: answers as a stream of events, and errors. (Whole responses are in `served.py`.)"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import TypeAlias

import msgspec

from multiturn.deltas import Answer, Delta, PartDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from multiturn.errors import NotFound, ProviderFailed, StateLost, TooLong
from multiturn.formats import chat_completions
from multiturn.formats.responses.echo import Echo
from multiturn.formats.responses.item_ids import item_id
from multiturn.formats.responses.served import Status, response_fields, status_of
from multiturn.formats.responses.served_items import Group, Json, groups_of, prefix_of, reason_of, shown
from multiturn.formats.responses.told import Stretches, TellingItem, TextType, Told, kind_of
from multiturn.messages import Message, Part, Reasoning, Refusal, Text, ToolCall, Usage

Frame: TypeAlias = Callable[[str, bytes], bytes]
"""How an event, by its type and its JSON, becomes bytes on their way to the client."""

_WORDS = (TextDelta, RefusalDelta, ReasoningDelta)
_encoder = msgspec.json.Encoder()


def as_sse(type: str, event: bytes) -> bytes:
    """The event as a server-sent one, named by its type. Its JSON is one line."""
    return b"event: %s\ndata: %s\n\n" % (type.encode(), event)


class StreamEncoder:
    """One response as events, numbered from 0: `begin` if the client is to see something at once, `encode` for each
    delta, then `finish`, or `fail` in its place. Texts are told as they come; items end when the answer is there, for
    only it knows their citations and encrypted content.

    `summaries` says that thinking comes as summaries of it. An empty `TextDelta` or `ReasoningDelta` begins a new item
    of its kind. `encrypted` says whether encrypted thinking is told. `frame` is given every event; after the last one,
    server-sent events end with `[DONE]`."""

    def __init__(
        self,
        echo: Echo,
        *,
        id: str,
        created: int,
        model: str,
        summaries: bool = False,
        encrypted: bool = True,
        frame: Frame = as_sse,
    ) -> None:
        self.sequence = 0
        """The number of the next event."""
        self._echo = echo
        self._id, self._created, self._model = id, created, model
        self._thinking: TextType = "summary_text" if summaries else "reasoning_text"
        self._encrypted = encrypted
        self._frame = frame
        self._end = b"data: [DONE]\n\n" if frame is as_sse else b""
        self._items: list[TellingItem] = []
        self._settled = 0  # how many of them have ended
        self._last: TellingItem | None = None  # what more words are added to
        self._calls: dict[int, TellingItem] = {}
        self._telling: tuple[type[Delta], Stretches] | None = None  # the text that the last delta was a stretch of

    def begin(self) -> bytes:
        """`response.created` and `response.in_progress`; nothing if they have been told already."""
        if self.sequence:
            return b""
        response = self._response("in_progress")
        return self._told([("response.created", response), ("response.in_progress", response)])

    def encode(self, delta: Delta) -> bytes:
        """The events for this delta; empty where the format has no place for it."""
        words = isinstance(delta, _WORDS) and delta.text
        if words and self._telling is not None and self._telling[0] is type(delta):
            stretches = self._telling[1]
            self.sequence += 1
            return self._frame(stretches.event, stretches.told(self.sequence - 1, words))
        told = self.begin() + self._told(self._events(delta))
        self._telling = (type(delta), self._last.stretches()) if words and self._last else None
        return told

    def settle(self, message: Message) -> bytes:
        """The end of the items told so far, which are those of `message`; what of it has not been told is told whole.
        For a run that goes on after it: with what a server's own tools gave back, and what the model made of that."""
        begin, groups = self.begin(), list(groups_of(message, encrypted=self._encrypted))
        kinds = [item.kind for item in self._items[self._settled :]]
        agreed = kinds == [kind_of(group) for group in groups[: len(kinds)]]
        events = [event for group in groups[len(kinds) :] for event in self._whole(group)] if agreed else []
        for item, final in zip_longest(self._items[self._settled :], groups if agreed else ()):
            cut = item is self._items[-1] and reason_of(message) is not None
            if item.item is None:
                events += item.end(final, "incomplete" if cut else "completed")
        self._settled, self._last, self._telling = len(self._items), None, None
        self._calls.clear()
        return begin + self._told(events)

    def finish(self, answer: Answer, usage: Usage | None = None, completed: int | None = None) -> bytes:
        """The rest: the end of every item, and the final response. Without `usage`, the answer's own is told;
        `completed` is when, in whole seconds since the epoch."""
        message = answer.message
        rest, status = self.settle(message), status_of(message)
        fields = self._response(status, reason=reason_of(message), usage=usage or message.usage, completed=completed)
        return rest + self._told([(f"response.{status}", fields)]) + self._end

    def fail(self, error: Exception) -> bytes:
        """The end of a stream that failed: a failed response, with what there was by then."""
        return self.begin() + self._told([("response.failed", self._response("failed", error=error))]) + self._end

    def _response(
        self,
        status: Status,
        *,
        reason: str | None = None,
        usage: Usage | None = None,
        completed: int | None = None,
        error: Exception | None = None,
    ) -> Json:
        output = [item.so_far() for item in self._items]
        fields = response_fields(
            self._echo,
            id=self._id,
            created=self._created,
            model=self._model,
            status=status,
            reason=reason,
            completed=completed,
            output=output,
            usage=usage,
            error=error,
        )
        return {"response": fields}

    def _told(self, events: Iterable[Told]) -> bytes:
        told = []
        for type, fields in events:
            event = _encoder.encode({"type": type, "sequence_number": self.sequence, **fields})
            told.append(self._frame(type, event))
            self.sequence += 1
        return b"".join(told)

    # --- deltas -----------------------------------------------------------------------------------------------------

    def _events(self, delta: Delta) -> Iterator[Told]:
        match delta:
            case TextDelta(text=""):
                self._last = None
            case ReasoningDelta(text=""):
                yield from self._open(Reasoning())
            case TextDelta(text=text):
                yield from self._text((), "output_text", text)
            case RefusalDelta(text=text):
                yield from self._text((), "refusal", text)
            case ReasoningDelta(text=text):
                yield from self._text(Reasoning(), self._thinking, text)
            case ToolCallDelta():
                yield from self._call(delta)
            case PartDelta(part=part):
                yield from self._part(part)

    def _text(self, group: Group, type: TextType, text: str) -> Iterator[Told]:
        """A stretch of text, in an item like `group`."""
        if self._last is None or self._last.kind != kind_of(group):
            yield from self._open(group)
        if text and self._last is not None:
            yield from self._last.add_text(type, text)

    def _call(self, delta: ToolCallDelta) -> Iterator[Told]:
        if delta.index in self._calls:
            self._calls[delta.index].name(delta.call_id, delta.name)
        else:
            yield from self._open(ToolCall(delta.call_id, delta.name, kind=delta.kind))
            self._calls[delta.index] = self._items[-1]
        if delta.arguments:
            yield from self._calls[delta.index].add_arguments(delta.arguments)

    def _part(self, part: Part) -> Iterator[Told]:
        match shown(part, encrypted=self._encrypted):
            case Text(text=text):
                yield from self._text((), "output_text", text)
            case Refusal(text=text):
                yield from self._text((), "refusal", text)
            case None:
                return
            case whole:
                yield from self._whole(whole)

    def _whole(self, group: Group) -> Iterator[Told]:
        """An item of which nothing has been told yet, told up to its end."""
        match group:
            case tuple():
                yield from self._open(())
                for word in group:
                    type: TextType = "refusal" if isinstance(word, Refusal) else "output_text"
                    yield from self._items[-1].add_text(type, word.text)
            case Reasoning(text=text, summary=summary):
                yield from self._open(Reasoning(encrypted=group.encrypted))
                if shown := text or "\n".join(summary):
                    yield from self._items[-1].add_text(self._thinking, shown)
            case ToolCall(arguments=arguments):
                yield from self._open(msgspec.structs.replace(group, arguments=""))
                if arguments:
                    yield from self._items[-1].add_arguments(arguments)
            case _:
                yield from self._open(group)
                yield from self._items[-1].end(None, "completed")
        self._last = None

    def _open(self, group: Group) -> Iterator[Told]:
        """The beginning of a new item. More words go into it if it holds words."""
        nth = len(self._items)
        item = TellingItem(nth, item_id(prefix_of(group), self._id, "output", nth), group)
        self._items.append(item)
        self._last = item
        yield from item.begin()


# --- errors ---------------------------------------------------------------------------------------------------------


def encode_error(error: Exception) -> tuple[int, bytes]:
    """The status and the body by which a client learns of this error, as in chat completions. A `NotFound` of a
    `previous response` is what OpenAI says of a `previous_response_id` that leads nowhere."""
    match error:
        case NotFound(kind="previous response", id=id):
            fields = {
                "message": f"Previous response with id {id!r} not found.",
                "type": "invalid_request_error",
                "param": "previous_response_id",
                "code": "previous_response_not_found",
            }
            return 400, _encoder.encode({"error": fields})
        case TooLong():
            fields = {"type": "invalid_request_error", "param": "input", "code": "context_length_exceeded"}
            return 400, _encoder.encode({"error": {"message": str(error), **fields}})
        case StateLost():  # the provider's loss, not that of the client's own response
            return 502, chat_completions.encode_error(ProviderFailed(str(error)))[1]
    return chat_completions.encode_error(error)
