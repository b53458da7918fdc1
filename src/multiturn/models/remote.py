"""`RemoteModel`: a model behind HTTP, asked through a format and a transport."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec

from multiturn.deltas import Answer, Delta, Deltas, PartDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from multiturn.errors import InvalidInput, InvalidReply, ModelError, ModelNotFound, StreamCut, TimedOut
from multiturn.formats.base import Format, StreamDecoder
from multiturn.formats.sse import SSEReader
from multiturn.formats.switching import Target
from multiturn.messages import Message, Reasoning, Refusal, Text, ToolCall
from multiturn.models.history import Continuing
from multiturn.notices import Notice
from multiturn.request import Request

if TYPE_CHECKING:
    from multiturn.models.limits import Retries, Timeouts
    from multiturn.models.transport import Transport, TransportReply

MAX_REPLY_BYTES = 64 << 20
MAX_ERROR_BYTES = 64 << 10
ERROR_BODY_S = 5.0  # how long the text of an error may take

D = TypeVar("D", bound=Target)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model is, and how it wants its key. Checked when made: raises `InvalidInput`."""

    provider: str
    base_url: str
    key_header: str = "Authorization"
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.base_url)
            valid = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:  # a port that is no number, half an IPv6 address
            valid = False
        if not valid:
            shown = self.base_url.rpartition("@")[2]
            raise InvalidInput(f"the base URL of {self.provider} must be like https://host/v1, not {shown!r}")

    def __repr__(self) -> str:
        return f"Endpoint(provider={self.provider!r}, base_url={self.shown!r})"

    @property
    def shown(self) -> str:
        """The base URL as it may be shown: without user, password and query."""
        url = urlsplit(self.base_url)
        return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()


class RemoteModel(Generic[D]):
    """A model at an endpoint. Cheap to make; connects when first asked, and shares its connections with all others.
    With a `transport`, such as the user's own SDK client, that one is used, and has its own key, limits and retries.

    Where the provider keeps its answers (`Target.keeps_answers`), only what is new is sent, and all of it once more
    where the provider has lost them.

    Raises `InvalidInput` for a key that cannot be sent."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        format: Format[D],
        dialect: D,
        *,
        key: str | None = None,
        transport: Transport | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
    ) -> None:
        url = urlsplit(endpoint.base_url)
        if key and not (key.isascii() and key.isprintable()):
            raise InvalidInput(f"the key for {endpoint.provider} holds characters that a key cannot have")
        if key and url.username:
            raise InvalidInput(f"{endpoint.provider} can take a key or a user in its base URL, not both")
        self.name = name
        self.endpoint = endpoint
        self._format = format
        self._dialect = dialect
        self._key = key
        self._secrets = [secret for secret in (key, url.password) if secret]
        self._timeouts = timeouts
        self._retries = retries
        self._made = transport
        self._continuing = Continuing(dialect)

    def __repr__(self) -> str:
        return f"<{self.provider}:{self.name} at {self.endpoint.shown}>"

    @property
    def provider(self) -> str:
        return self.endpoint.provider

    @property
    def format(self) -> str:
        """The format that it is asked in: `responses`, `chat_completions`, …"""
        return self._dialect.format

    @property
    def _transport(self) -> Transport:
        if self._made is None:
            from multiturn.models.http import HttpTransport

            self._made = HttpTransport(
                self.endpoint.base_url,
                key=self._key,
                key_header=self.endpoint.key_header,
                headers=dict(self.endpoint.headers),
                timeouts=self._timeouts,
                retries=self._retries,
            )
        return self._made

    def answer(self, request: Request) -> AsyncGenerator[Delta | Deltas | Notice | Answer, None]:
        """As `Model.answer` says."""
        return self._continuing.answer(request, self.name, self._answer)

    async def _answer(self, request: Request) -> AsyncGenerator[Delta | Deltas | Answer, None]:
        reply: TransportReply | None = None
        try:
            path = self._format.path(model=self.name, stream=request.stream)
            reply = await self._transport.post(path, self._body(request), stream=request.stream)
            if reply.status >= 400:
                raise await self._refusal(reply)
            if _is_stream(reply, asked_for=request.stream):
                stream = _Stream(self._format.stream_decoder(self._dialect))
                while not stream.ended:
                    try:
                        piece = await reply.read_some()
                    except (StreamCut, TimedOut):
                        if not stream.is_whole:  # what breaks after the last word has lost nothing
                            raise
                        piece = b""
                    came = stream.decode(piece)
                    if came and request.stream:
                        yield came[0] if len(came) == 1 else Deltas(tuple(came))
                answer = stream.answer()
            else:
                answer = self._format.decode_reply(await reply.read(MAX_REPLY_BYTES), self._dialect)
                if request.stream:
                    for delta in _deltas(answer.message):
                        yield delta
            reply.leave()
            reply = None
            yield answer
        except ModelError as error:
            self._sign(error)
            raise
        finally:
            if reply is not None:
                reply.close()

    def _body(self, request: Request) -> bytes:
        history = request.path.encoded(
            (self._format, self._dialect), lambda messages: self._format.encode_messages(messages, self._dialect)
        )
        return self._format.encode_request(request, history, model=self.name, dialect=self._dialect)

    async def _refusal(self, reply: TransportReply) -> ModelError:
        """The error that a reply with a status of 400 and above means."""
        start = await reply.read_start(MAX_ERROR_BYTES, ERROR_BODY_S)
        body = self._redacted(start.decode("utf-8", "replace")).encode()
        error = self._format.decode_error(reply.status, reply.headers, body, self._dialect)
        versioned = self._format.path(model=self.name, stream=False).startswith("/v1/")
        if isinstance(error, ModelNotFound) and not versioned and urlsplit(self.endpoint.base_url).path in ("", "/"):
            error.args = (f"{error}; most servers want a base URL that ends in /v1", *error.args[1:])
        return error

    def _sign(self, error: ModelError) -> None:
        """Say whose error it is, and make sure that the key is nowhere in it."""
        error.args = tuple(self._redacted(arg) if isinstance(arg, str) else arg for arg in error.args)
        for name, value in vars(error).items():
            if isinstance(value, str):
                setattr(error, name, self._redacted(value))
        error.provider, error.model = error.provider or self.provider, error.model or self.name

    def _redacted(self, text: str) -> str:
        """The text without the key, which some providers repeat in their errors."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made.aclose()


class _Stream:
    """The bytes of one streamed answer, as deltas."""

    def __init__(self, decoder: StreamDecoder) -> None:
        self.ended = False
        self._broken: ModelError | None = None
        self._decoder = decoder
        self._reader = SSEReader()
        self._size = 0

    @property
    def is_whole(self) -> bool:
        """Whether all of the answer is there, if not all of the stream."""
        try:
            self.answer()
        except ModelError:
            return False
        return True

    def decode(self, piece: bytes) -> list[Delta]:
        """What these bytes bring; none at all are the end. Of what is wrong with them, `answer` tells."""
        came: list[Delta] = []
        self._size += len(piece)
        try:
            if self._size > MAX_REPLY_BYTES:
                raise InvalidReply(f"the answer is larger than {MAX_REPLY_BYTES >> 20} MiB")
            for event in self._reader.decode(piece) if piece else self._reader.flush():
                came += self._decoder.decode(event)
            self.ended = self._decoder.done or not piece
        except ModelError as error:
            self._broken, self.ended = error, True
        return came

    def answer(self) -> Answer:
        """The whole answer. Raises what is wrong with the stream, and `StreamCut` where it is not all there."""
        if self._broken is not None:
            raise self._broken
        return self._decoder.answer()


def _is_stream(reply: TransportReply, *, asked_for: bool) -> bool:
    """What the reply says it is, which need not be what was asked for; if it says neither, what was asked for."""
    if reply.content_type == "text/event-stream":
        return True
    return asked_for and not reply.content_type.endswith("json")


def _deltas(message: Message) -> Iterator[Delta]:
    """A whole answer as a stream would have brought it."""
    calls = itertools.count()
    for part in message.parts:
        match part:
            case Text(text=text):
                yield TextDelta(text)
            case Refusal(text=text):
                yield RefusalDelta(text)
            case Reasoning(text=text, summary=summary):
                yield ReasoningDelta(text or "\n".join(summary))
            case ToolCall(call_id=call_id, name=name, arguments=arguments, kind=kind):
                yield ToolCallDelta(next(calls), call_id, name, arguments, kind)
            case _:
                yield PartDelta(part)
