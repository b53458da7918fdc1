"""What every format can do, so that one client serves them all. A format is a module of pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from multiturn.deltas import Answer, Delta
from multiturn.errors import ModelError
from multiturn.formats.sse import ServerSentEvent
from multiturn.messages import Message
from multiturn.request import Request

D_contra = TypeVar("D_contra", contravariant=True)


class StreamDecoder(Protocol):
    """One answer's stream, event by event."""

    def decode(self, event: ServerSentEvent) -> Iterable[Delta]:
        """The deltas that this event brings, maybe none. Raises `MalformedStream`, or the error that the provider
        reports inside the stream."""

    @property
    def done(self) -> bool:
        """Whether the answer has ended; what comes after may be left unread."""

    def answer(self) -> Answer:
        """The whole answer. Raises `StreamCut` if it has not ended."""


class Format(Protocol[D_contra]):
    """A provider's wire shape. `dialect` is data: what this endpoint does differently; a
    `multiturn.formats.switching.Target`. Every `encode_messages` shows the messages to `switched` first, and every
    `encode_request` its input to `check_input`."""

    def path(self, *, model: str, stream: bool) -> str:
        """Where to POST, relative to the base URL, such as `/chat/completions`."""

    def encode_messages(self, messages: Sequence[Message], dialect: D_contra) -> bytes:
        """The messages as JSON objects joined by commas, without brackets; empty for no messages. Depends on nothing
        but its arguments, so the bytes of a finished turn can be kept."""

    def encode_request(self, request: Request, history: Sequence[bytes], *, model: str, dialect: D_contra) -> bytes:
        """The request's whole body. `history` is `request.path`, each turn as `encode_messages` made it."""

    def decode_reply(self, body: bytes, dialect: D_contra) -> Answer:
        """The answer of a reply that was not streamed. Raises `InvalidReply`."""

    def stream_decoder(self, dialect: D_contra) -> StreamDecoder:
        """A decoder for one streamed reply."""

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, dialect: D_contra) -> ModelError:
        """The error that this answer with a status of 400 and above means."""
