"""A reply that comes as a stream of events, as deltas and then a message. The final response has the last word; where
its output is empty, as some servers leave it, the items that came do."""

from __future__ import annotations

from typing import Any

from multiturn.deltas import Answer, Delta
from multiturn.errors import MalformedStream, ModelError, StreamCut
from multiturn.formats.decoding import UNREADABLE, read
from multiturn.formats.failures import without_secrets
from multiturn.formats.responses.dialect import Dialect
from multiturn.formats.responses.failures import reported_error
from multiturn.formats.responses.progress import Items
from multiturn.formats.responses.readings import answer_of
from multiturn.formats.responses.wire import ANY, EVENT, RESPONSE, Event, Response, own
from multiturn.formats.sse import ServerSentEvent

_ENDS = {"response.completed": "completed", "response.done": "completed", "response.incomplete": "incomplete"}
_FAILURES = ("error", "response.failed", "response.cancelled")
_TEXTS = {
    "response.output_text": ("message", "text"),
    "response.refusal": ("message", "refusal"),
    "response.reasoning_text": ("reasoning", "thought"),
    "response.reasoning": ("reasoning", "thought"),  # Open Responses
    "response.reasoning_summary_text": ("reasoning", "summary"),
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "arguments"),
}
"""The events whose `.delta` and `.done` bring text: the type of their item, and what the text is in it. Others, such as
those of hosted tools, say nothing that the item does not say at its end."""


class StreamDecoder:
    """One answer's stream, event by event."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._items = Items(dialect)
        self._begun = Response()
        self._answer: Answer | None = None
        self._done = False

    @property
    def done(self) -> bool:
        """Whether the final response has come. A `[DONE]` may follow it, and need not."""
        return self._done

    def decode(self, event: ServerSentEvent) -> list[Delta]:
        """The deltas that this event brings, maybe none. Raises `MalformedStream`, or the error that the provider
        reports inside the stream."""
        data = event.data.strip()
        if data == b"[DONE]":
            self._done = True
        if self._done or not data:
            return []
        try:
            told = read(EVENT, data)
            if event.event == "error" or told.type in _FAILURES or (told.type is None and b'"error"' in data):
                raise self._failure(told, data)
            self._take(told)
        except UNREADABLE as problem:
            if event.event == "error":
                raise reported_error(data.decode("utf-8", "replace"), self._dialect, streamed=True) from problem
            raise self._malformed(data, problem) from problem
        return self._items.taken()

    def _take(self, told: Event) -> None:
        kind = told.type or ""
        event, _, end = kind.rpartition(".")
        if kind in _ENDS:
            self._end(told, _ENDS[kind])
        elif kind == "response.created" and own(told.response):
            self._begun = read(RESPONSE, bytes(told.response))
        elif event == "response.output_item" and (raw := own(told.item)):
            self._items.tell(told.output_index, raw, ended=end == "done")
        elif event in _TEXTS:
            of, field = _TEXTS[event]
            nth = (told.summary_index if field == "summary" else told.content_index) or 0
            if end == "delta":
                self._items.add(told.output_index, of, field, nth, _text(told.delta))
            else:
                whole = told.text or told.refusal or told.arguments or told.input
                self._items.end(told.output_index, of, field, nth, _text(whole))

    def _end(self, told: Event, status: str) -> None:
        response = read(RESPONSE, bytes(told.response)) if own(told.response) else Response()
        response.id, response.model = response.id or self._begun.id, response.model or self._begun.model
        response.status = response.status or status
        self._answer = answer_of(response, response.output or self._items.whole(), self._dialect)
        self._done = True

    def _failure(self, told: Event, data: bytes) -> ModelError:
        value = read(ANY, bytes(own(told.response) or data))
        error = value.get("error") if isinstance(value, dict) else None
        said = error or (value if told.type in (None, "error") else f"its stream ended with {told.type}")
        return reported_error(said, self._dialect, streamed=True)

    def _malformed(self, data: bytes, problem: Exception) -> MalformedStream:
        start = without_secrets(data[:200].decode("utf-8", "replace"))
        return MalformedStream(
            f"{self._dialect.provider}'s stream cannot be read ({problem}); an event begins {start!r}",
            provider=self._dialect.provider,
            model=self._begun.model,
            body=start,
        )

    def answer(self) -> Answer:
        """The whole answer. Raises `StreamCut` if the final response has not come."""
        if self._answer is None:
            raise StreamCut(
                f"{self._dialect.provider}'s stream ended before the answer did",
                provider=self._dialect.provider,
                model=self._begun.model,
            )
        return self._answer


def stream_decoder(dialect: Dialect) -> StreamDecoder:
    return StreamDecoder(dialect)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
