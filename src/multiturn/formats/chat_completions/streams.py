"""A reply that comes as a stream of chunks, as deltas and then a message.

Servers differ in how they stream tool calls. A call is known by its `index`; where that is missing, or is 0 for every
call, a new id together with a name begins a new call. Ids and names sent again are passed on once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from multiturn.deltas import (
    Answer,
    Delta,
    Fold,
    PartDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from multiturn.errors import MalformedStream, StreamCut
from multiturn.formats.chat_completions.dialect import Dialect
from multiturn.formats.chat_completions.readings import (
    addresses_of,
    audio_of,
    call_of,
    citations_of,
    cited,
    content_parts,
    finish_reason_of,
    images_of,
    origin_of,
    reasoning_of,
    usage_of,
)
from multiturn.formats.chat_completions.replies import check
from multiturn.formats.chat_completions.wire import (
    COMPLETION,
    PLAIN_CHUNK,
    Choice,
    Completion,
    ReplyAudio,
    ReplyMessage,
    ReplyToolCall,
    ReplyUsage,
)
from multiturn.formats.decoding import UNREADABLE, read
from multiturn.formats.failures import reported_error, without_secrets
from multiturn.formats.sse import ServerSentEvent
from multiturn.ids import new_id
from multiturn.messages import Citation, Message, Reasoning, Refusal, Text


class _Calls:
    """Which call each piece belongs to. Our own indices count the calls in order of their first piece."""

    def __init__(self) -> None:
        self._ids: list[str] = []  # the id of each call
        self._named: list[bool] = []
        self._at: dict[int, int] = {}  # the server's index -> ours, the latest call under it

    def delta(self, piece: ReplyToolCall) -> ToolCallDelta:
        kind, name, arguments = call_of(piece)
        index = self._find(piece, name)
        if index is not None:
            name = "" if self._named[index] else name
            self._named[index] = self._named[index] or bool(name)
            return ToolCallDelta(index, name=name, arguments=arguments, kind=kind)
        index = len(self._ids)
        self._ids.append(piece.id or new_id("call"))
        self._named.append(bool(name))
        self._at[index if piece.index is None else piece.index] = index
        return ToolCallDelta(index, self._ids[index], name, arguments, kind)

    def _find(self, piece: ReplyToolCall, name: str) -> int | None:
        """The call that this piece goes on with; None if it begins one."""
        if piece.index is not None:
            known = self._at.get(piece.index)
            other = known is not None and piece.id and piece.id != self._ids[known] and name
            return None if other else known
        if piece.id:
            return self._ids.index(piece.id) if piece.id in self._ids else None
        return None if name or not self._ids else len(self._ids) - 1


class _Choice:
    """One choice's answer so far."""

    def __init__(self) -> None:
        self.fold = Fold()
        self.finish_reason: str | None = None
        self.citations: tuple[Citation, ...] = ()
        self._calls = _Calls()
        self._audio: list[ReplyAudio] = []

    def add(self, choice: Choice, dialect: Dialect) -> list[Delta]:
        """The deltas of one chunk's choice."""
        said = choice.delta or choice.message
        deltas = [] if said is None else self._deltas(said, dialect)
        if choice.finish_reason:
            self.finish_reason = finish_reason_of(choice)
            if self._audio:
                deltas.append(PartDelta(audio_of(self._audio)))
                self._audio = []
        for delta in deltas:
            self.fold.add(delta)
        return deltas

    def more(self, text: str) -> list[Delta]:
        """The same of a chunk that is nothing but text."""
        if not text:
            return []
        delta = TextDelta(text)
        self.fold.add(delta)
        return [delta]

    def _deltas(self, said: ReplyMessage, dialect: Dialect) -> list[Delta]:
        deltas: list[Delta] = []
        if thought := reasoning_of(said):
            deltas.append(ReasoningDelta(thought))
        if isinstance(said.content, str):
            deltas += [TextDelta(said.content)] if said.content else []
        elif said.content:
            deltas += _content_deltas(said.content, dialect)
        if said.refusal:
            deltas.append(RefusalDelta(said.refusal))
        if said.tool_calls:
            deltas += map(self._calls.delta, said.tool_calls)
        if said.function_call is not None:
            deltas.append(self._calls.delta(ReplyToolCall(index=0, function=said.function_call)))
        if said.images:
            deltas += map(PartDelta, images_of(said.images))
        if said.audio is not None:
            self._audio.append(said.audio)
        if said.annotations:
            self.citations += citations_of(said.annotations)
        return deltas


def _content_deltas(content: list[Any], dialect: Dialect) -> list[Delta]:
    made: list[Delta] = []
    for part in content_parts(content, dialect):
        match part:
            case Text(text=text):
                made.append(TextDelta(text))
            case Refusal(text=text):
                made.append(RefusalDelta(text))
            case Reasoning(text=text):
                made.append(ReasoningDelta(text))
            case _:
                made.append(PartDelta(part))
    return made


class StreamDecoder:
    """One answer's stream, chunk by chunk. Deltas are the first choice's; others are folded aside."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._choices: dict[int, _Choice] = {}
        self._done = False
        self._id: str | None = None
        self._model: str | None = None
        self._usage: ReplyUsage | None = None
        self._addresses: tuple[Citation, ...] = ()
        self._in_text: _Choice | None = None  # the answer, where the last chunk was text and the next may well be

    @property
    def done(self) -> bool:
        """Whether `[DONE]` has come. Several servers never send it; their answer is whole without it."""
        return self._done

    def decode(self, event: ServerSentEvent) -> list[Delta]:
        """The deltas that this event brings, maybe none. Raises `MalformedStream`, or the error that the provider
        reports inside the stream."""
        data = event.data
        if self._in_text is not None and event.event != "error":
            try:
                text = PLAIN_CHUNK.decode(data).choices[0].delta.content
            except (*UNREADABLE, RecursionError):
                pass
            else:
                return self._in_text.more(text)
        self._in_text = None
        if not data.startswith(b"{"):  # as nearly all do
            data = data.strip()
            self._done = self._done or data == b"[DONE]"
        if self._done or not data:
            return []
        chunk = self._read(data, event.event)
        self._note(chunk)
        deltas: list[Delta] = []
        for choice in chunk.choices or ():
            index = choice.index or 0
            so_far = self._choices.get(index)
            if so_far is None:
                so_far = self._choices[index] = _Choice()
            made = so_far.add(choice, self._dialect)
            if index == 0:
                deltas += made
        is_text = len(deltas) == 1 and isinstance(deltas[0], TextDelta) and self._id is not None and self._model
        if is_text:
            self._in_text = self._choices[0]
        return deltas

    def _read(self, data: bytes, kind: str) -> Completion:
        failed = kind == "error"
        try:
            chunk = read(COMPLETION, data)
        except UNREADABLE as problem:
            if failed and (reported := reported_error(data, self._dialect, streamed=True, certain=True)):
                raise reported from problem
            raise self._malformed(data, problem) from problem
        if failed or chunk.error or chunk.object == "error":
            reported = reported_error(data, self._dialect, streamed=True, certain=failed)
            if reported is not None:
                raise reported
        if chunk.choices:
            check(chunk.choices, self._dialect, streamed=True)
        return chunk

    def _malformed(self, data: bytes, problem: Exception) -> MalformedStream:
        start = without_secrets(data[:200].decode("utf-8", "replace"))
        return MalformedStream(
            f"{self._dialect.provider}'s stream cannot be read ({problem}); an event begins {start!r}",
            provider=self._dialect.provider,
            model=self._model,
            body=start,
        )

    def _note(self, chunk: Completion) -> None:
        if self._id is None and chunk.id is not None:
            self._id = str(chunk.id)
        self._model = self._model or chunk.model
        self._usage = chunk.usage or self._usage
        if chunk.citations:
            self._addresses = addresses_of(chunk.citations)  # every chunk says them again
        for choice in chunk.choices or ():
            self._usage = choice.usage or self._usage

    def answer(self) -> Answer:
        """The whole answer. Raises `StreamCut` if no finish reason has come, whether or not `[DONE]` has."""
        first = self._choices.get(0)
        if first is None or first.finish_reason is None:
            arrived = 0 if first is None else sum(len(part.text) for part in first.fold.parts if isinstance(part, Text))
            end = "said [DONE] without a finish_reason" if self._done else "ended before the answer did"
            raise StreamCut(
                f"{self._dialect.provider}'s stream {end}; {arrived} characters of text had arrived",
                provider=self._dialect.provider,
                model=self._model,
            )
        message = msgspec.structs.replace(
            self._message(first), id=self._id, usage=None if self._usage is None else usage_of(self._usage)
        )
        others = tuple(self._message(self._choices[index]) for index in sorted(self._choices) if index)
        return Answer(message, alternatives=others)

    def _message(self, choice: _Choice) -> Message:
        message = choice.fold.message(origin=origin_of(self._model, self._dialect), finish_reason=choice.finish_reason)
        return msgspec.structs.replace(message, parts=cited(message.parts, choice.citations + self._addresses))


def stream_decoder(dialect: Dialect) -> StreamDecoder:
    return StreamDecoder(dialect)
