"""A reply that comes as a stream of pieces, as deltas and then a message.

Texts without a signature that follow each other are one text; what is signed stays a part of its own, for Google says
not to join such parts (https://ai.google.dev/gemini-api/docs/thought-signatures). Deltas carry the words of both and no
signatures, which are in the answer. There is no mark at the end: an answer has ended when a finish reason has come, and
the stream is read until it closes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from multiturn.deltas import Answer, Delta, PartDelta, ReasoningDelta, TextDelta, ToolCallDelta
from multiturn.errors import StreamCut
from multiturn.formats.decoding import UNREADABLE, read
from multiturn.formats.gemini.calls import with_id
from multiturn.formats.gemini.citations import cited
from multiturn.formats.gemini.content import SIGNED_MEDIA
from multiturn.formats.gemini.dialect import Dialect
from multiturn.formats.gemini.failures import blocked, malformed, reported_error
from multiturn.formats.gemini.partial_calls import PartialCall
from multiturn.formats.gemini.readings import call_of, finish_reason_of, origin_of, parts_of, usage_of
from multiturn.formats.gemini.wire import GENERATED, PART, Candidate, Counts, Generated, ReadCall, ReadPart
from multiturn.formats.sse import ServerSentEvent
from multiturn.messages import Message, Opaque, Part, Reasoning, Text, ToolCall


class _Candidate:
    """One candidate's answer so far."""

    def __init__(self, provider: str) -> None:
        self.finish_reason: str | None = None
        self._provider = provider
        self._parts: list[Part] = []
        self._words: list[str] = []  # of the last part, where more may follow
        self._calls = 0
        self._call: PartialCall | None = None
        self._citations: list[Any] = []
        self._grounding: Any = None

    def add(self, candidate: Candidate, answer: str) -> list[Delta]:
        """The deltas of one event's piece; `answer` is the provider's id of the answer."""
        self.finish_reason = candidate.finish_reason or self.finish_reason
        if candidate.citation_metadata:
            self._citations.append(candidate.citation_metadata)
        self._grounding = candidate.grounding_metadata or self._grounding
        raws = (candidate.content.parts if candidate.content else None) or ()
        parts = [part for raw in raws for part in self._read(raw)]
        if candidate.finish_reason and self._call is not None:
            parts += self._more_of_call(ReadPart(), ReadCall())
        deltas = (self._take(part, answer) for part in parts)
        return [delta for delta in deltas if delta is not None]

    def _read(self, raw: Raw) -> tuple[Part, ...]:
        part = PART.decode(raw)
        piece = part.function_call
        if piece is not None and (self._call is not None or piece.will_continue or piece.partial_args):
            return self._more_of_call(part, piece)
        return parts_of(part, raw, self._provider)

    def _more_of_call(self, part: ReadPart, piece: ReadCall) -> tuple[Part, ...]:
        """The call, if this piece is its last."""
        making = self._call or PartialCall()
        whole = making.add(part, piece)
        self._call = making if whole is None else None
        return () if whole is None else (call_of(whole, making.signature),)

    def _take(self, part: Part, answer: str) -> Delta | None:
        """The delta of this part; None for one that only signs."""
        match part:
            case ToolCall():
                return self._take_call(with_id(part, position=self._calls, answer=answer))
            case Text(text=text) | Reasoning(text=text) if text:
                self._take_words(part)
                return TextDelta(text) if isinstance(part, Text) else ReasoningDelta(text)
        self._close()
        self._parts.append(part)
        signs = isinstance(part, Text | Reasoning) or (isinstance(part, Opaque) and part.kind == SIGNED_MEDIA)
        return None if signs else PartDelta(part)

    def _take_call(self, call: ToolCall) -> Delta:
        self._close()
        self._parts.append(call)
        self._calls += 1
        return ToolCallDelta(self._calls - 1, call.call_id, call.name, call.arguments)

    def _take_words(self, part: Text | Reasoning) -> None:
        if not (self._words and not part.signature and type(self._parts[-1]) is type(part)):
            self._close()
            self._parts.append(part)
        if part.signature is None:
            self._words.append(part.text)

    def _close(self) -> None:
        """Put the last part's words together; no more of them follow."""
        if len(self._words) > 1:
            self._parts[-1] = msgspec.structs.replace(self._parts[-1], text="".join(self._words))
        self._words = []

    @property
    def parts(self) -> tuple[Part, ...]:
        self._close()
        return cited(self._parts, self._citations, self._grounding)

    def message(self, model: str | None) -> Message:
        return Message(
            role="assistant",
            parts=self.parts,
            origin=origin_of(model, self._provider),
            finish_reason=finish_reason_of(self.finish_reason, calls=self._calls > 0),
        )


class StreamDecoder:
    """One answer's stream, event by event. Deltas are the first candidate's; others are kept aside."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._candidates: dict[int, _Candidate] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._usage: Counts | None = None

    @property
    def done(self) -> bool:
        """Never: only the end of the stream says that nothing more comes."""
        return False

    def decode(self, event: ServerSentEvent) -> list[Delta]:
        """The deltas that this event brings, maybe none. Raises `MalformedStream`, `RequestRejected` where Google
        blocked the prompt, or the error that it reports inside the stream."""
        data = event.data.strip()
        if not data:
            return []
        try:
            generated = read(GENERATED, data)
            self._note(generated)
            return self._deltas(generated)
        except UNREADABLE as error:
            raise malformed(data, self._dialect, str(error)) from error

    def _note(self, generated: Generated) -> None:
        if generated.error:
            raise reported_error(msgspec.json.encode({"error": generated.error}), self._dialect, streamed=True)
        if not generated.candidates and generated.prompt_feedback and generated.prompt_feedback.block_reason:
            raise blocked(generated.prompt_feedback, self._dialect)
        self._id = self._id or generated.response_id
        self._model = self._model or generated.model_version
        self._usage = generated.usage_metadata or self._usage

    def _deltas(self, generated: Generated) -> list[Delta]:
        deltas: list[Delta] = []
        for candidate in generated.candidates or ():
            index = candidate.index or 0
            if index not in self._candidates:
                self._candidates[index] = _Candidate(self._dialect.provider)
            made = self._candidates[index].add(candidate, self._id or "")
            if index == 0:
                deltas += made
        return deltas

    def answer(self) -> Answer:
        """The whole answer. Raises `StreamCut` if no finish reason has come."""
        first = self._candidates.get(0)
        if first is None or first.finish_reason is None:
            arrived = 0 if first is None else sum(len(part.text) for part in first.parts if isinstance(part, Text))
            raise StreamCut(
                f"{self._dialect.provider}'s stream ended before the answer did; {arrived} characters of text had "
                f"arrived",
                provider=self._dialect.provider,
                model=self._model,
            )
        usage = None if self._usage is None else usage_of(self._usage)
        message = msgspec.structs.replace(first.message(self._model), id=self._id, usage=usage)
        others = tuple(self._candidates[index].message(self._model) for index in sorted(self._candidates) if index)
        return Answer(message, alternatives=others)


def stream_decoder(dialect: Dialect) -> StreamDecoder:
    return StreamDecoder(dialect)
