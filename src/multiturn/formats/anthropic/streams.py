"""A reply that comes as a stream of events, as deltas and then a message
(https://platform.claude.com/docs/en/build-with-claude/streaming).

Text, visible thinking and the arguments of calls go out as they come; signatures and citations of these are in the
answer alone. All other blocks, hidden thinking among them, go out as whole parts when they end.
"""

from __future__ import annotations

from multiturn.deltas import Answer, Delta, RefusalDelta
from multiturn.errors import MalformedStream, StreamCut
from multiturn.formats.anthropic.dialect import Dialect
from multiturn.formats.anthropic.failures import reported_error
from multiturn.formats.anthropic.growing import Growing, GrowingCall, growing
from multiturn.formats.anthropic.readings import finish_reason_of, latest, origin_of, refusal_of, usage_of
from multiturn.formats.anthropic.wire import EVENT, Event, ReplyUsage
from multiturn.formats.decoding import UNREADABLE, read
from multiturn.formats.failures import without_secrets
from multiturn.formats.sse import ServerSentEvent
from multiturn.messages import Message, Refusal, Text


class StreamDecoder:
    """One answer's stream, event by event. Events of a kind that we do not know bring nothing, as the API asks."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._blocks: dict[int, Growing] = {}
        self._done = False
        self._id: str | None = None
        self._model: str | None = None
        self._usage: ReplyUsage | None = None
        self._stop_reason: str | None = None
        self._refusal: Refusal | None = None

    @property
    def done(self) -> bool:
        """Whether `message_stop` has come."""
        return self._done

    def decode(self, event: ServerSentEvent) -> list[Delta]:
        """The deltas that this event brings, maybe none. Raises `MalformedStream`, or the error that the provider
        reports inside the stream."""
        data = event.data.strip()
        if self._done or not data:
            return []
        if event.event == "error":
            raise reported_error(data, self._dialect, streamed=True)
        try:
            return self._deltas(read(EVENT, data), data)
        except UNREADABLE as problem:
            raise self._malformed(data, str(problem)) from problem

    def _deltas(self, event: Event, data: bytes) -> list[Delta]:
        match event.type:
            case "message_start":
                self._begin(event)
            case "content_block_start":
                block = growing(bytes(event.content_block), self._calls, self._dialect)
                self._blocks[event.index if event.index is not None else len(self._blocks)] = block
                return list(block.begin())
            case "content_block_delta":
                return list(self._block(event, data).add(event.delta or {}))
            case "content_block_stop":
                return list(self._block(event, data).end())
            case "message_delta":
                return self._end(event)
            case "message_stop":
                self._done = True
            case "error":
                raise reported_error(data, self._dialect, streamed=True)
        return []

    @property
    def _calls(self) -> int:
        return sum(isinstance(block, GrowingCall) for block in self._blocks.values())

    def _block(self, event: Event, data: bytes) -> Growing:
        block = self._blocks.get(event.index if event.index is not None else len(self._blocks) - 1)
        if block is None:
            raise self._malformed(data, f"block {event.index} has not begun")
        return block

    def _begin(self, event: Event) -> None:
        if event.message is not None:
            self._id = event.message.id if isinstance(event.message.id, str) else None
            self._model = event.message.model
            self._usage = event.message.usage

    def _end(self, event: Event) -> list[Delta]:
        self._usage = latest(self._usage, event.usage)
        told = event.delta or {}
        reason = told.get("stop_reason")
        self._stop_reason = reason if isinstance(reason, str) else self._stop_reason
        self._refusal = refusal_of(told.get("stop_details"))
        return [RefusalDelta(self._refusal.text)] if self._refusal else []

    def _malformed(self, data: bytes, problem: str) -> MalformedStream:
        start = without_secrets(data[:200].decode("utf-8", "replace"))
        return MalformedStream(
            f"{self._dialect.provider}'s stream cannot be read ({problem}); an event begins {start!r}",
            provider=self._dialect.provider,
            model=self._model,
            body=start,
        )

    def answer(self) -> Answer:
        """The whole answer, its parts in the order of the blocks. Raises `StreamCut` if no stop reason has come."""
        parts = [part for index in sorted(self._blocks) if (part := self._blocks[index].part) is not None]
        if self._stop_reason is None:
            arrived = sum(len(part.text) for part in parts if isinstance(part, Text))
            raise StreamCut(
                f"{self._dialect.provider}'s stream ended before the answer did; {arrived} characters of text had "
                f"arrived",
                provider=self._dialect.provider,
                model=self._model,
            )
        message = Message(
            role="assistant",
            parts=(*parts, *([self._refusal] if self._refusal else ())),
            id=self._id,
            origin=origin_of(self._model, self._dialect),
            usage=usage_of(self._usage),
            finish_reason=finish_reason_of(self._stop_reason),
        )
        return Answer(message)


def stream_decoder(dialect: Dialect) -> StreamDecoder:
    return StreamDecoder(dialect)
