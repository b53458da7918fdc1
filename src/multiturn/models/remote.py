"""`RemoteModel`: a model behind HTTP, asked through a format and a transport."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec

from multiturn.deltas import Answer, Delta, PartDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from multiturn.errors import InvalidInput, InvalidReply, ModelError, ModelNotFound
from multiturn.formats.base import Format
from multiturn.formats.sse import SSEReader
from multiturn.messages import Message, Reasoning, Refusal, Text, ToolCall
from multiturn.request import Request

if TYPE_CHECKING:
    from multiturn.models.http import HttpReply, Retries, Timeouts, Transport

MAX_REPLY_BYTES = 64 << 20
MAX_ERROR_BYTES = 64 << 10
ERROR_BODY_S = 5.0  # how long the text of an error may take

D = TypeVar("D")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model is. Checked when made: raises `InvalidInput`."""

    provider: str
    base_url: str
    key: str | None = None

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InvalidInput(f"the base URL must be like https://host/v1, not {self.host!r}")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable()):
            raise InvalidInput(f"the key for {self.provider} holds characters that a key cannot have")
        if self.key and url.username:
            raise InvalidInput(f"give the key for {self.provider} or a user in its base URL, not both")

    def __repr__(self) -> str:
        return f"Endpoint(provider={self.provider!r}, base_url={self.host!r})"

    @property
    def host(self) -> str:
        """The base URL as it may be shown: without user, password and query."""
        url = urlsplit(self.base_url)
        return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()

    def redacted(self, text: str) -> str:
        """The text without the key, which some providers repeat in their errors."""
        for secret in (self.key, urlsplit(self.base_url).password):
            if secret:
                text = text.replace(secret, "[key]")
        return text


class RemoteModel(Generic[D]):
    """A model at an endpoint. Cheap to make; connects when first asked, and shares its connections with all others."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        format: Format[D],
        dialect: D,
        *,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self._format = format
        self._dialect = dialect
        self._timeouts = timeouts
        self._retries = retries
        self._made: Transport | None = None

    def __repr__(self) -> str:
        return f"<{self.provider}:{self.name} at {self.endpoint.host}>"

    @property
    def provider(self) -> str:
        return self.endpoint.provider

    @property
    def _transport(self) -> Transport:
        if self._made is None:
            from multiturn.models.http import Transport

            endpoint = self.endpoint
            self._made = Transport(
                endpoint.base_url, key=endpoint.key, timeouts=self._timeouts, retries=self._retries
            )
        return self._made

    async def answer(self, request: Request) -> AsyncGenerator[Delta | Answer, None]:
        """As `Model.answer` says."""
        reply: HttpReply | None = None
        try:
            path = self._format.path(model=self.name, stream=request.stream)
            reply = await self._transport.post(path, self._body(request), stream=request.stream)
            if reply.status >= 400:
                raise await self._refusal(reply)
            if _is_stream(reply, asked_for=request.stream):
                decoder, reader, size = self._format.stream_decoder(self._dialect), SSEReader(), 0
                piece = b"-"
                while piece and not decoder.done:
                    piece = await reply.read_some()
                    size += len(piece)
                    _check_size(size, self.endpoint)
                    for event in reader.decode(piece) if piece else reader.flush():
                        for delta in decoder.decode(event):
                            if request.stream:
                                yield delta
                answer = decoder.answer()
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

    async def _refusal(self, reply: HttpReply) -> ModelError:
        """The error that a reply with a status of 400 and above means."""
        from multiturn.models.http import retry_after_s

        start = await reply.read_start(MAX_ERROR_BYTES, ERROR_BODY_S)
        body = self.endpoint.redacted(start.decode("utf-8", "replace")).encode()
        error = self._format.decode_error(reply.status, reply.headers, body, self._dialect)
        if error.retry_after_s is None:
            error.retry_after_s = retry_after_s(reply.headers)
        if isinstance(error, ModelNotFound) and urlsplit(self.endpoint.base_url).path in ("", "/"):
            error.args = (f"{error}; most servers want a base URL that ends in /v1", *error.args[1:])
        return error

    def _sign(self, error: ModelError) -> None:
        """Say whose error it is, and make sure that the key is not in it."""
        error.provider = error.provider or self.provider
        error.model = error.model or self.name
        error.args = tuple(self.endpoint.redacted(arg) if isinstance(arg, str) else arg for arg in error.args)
        error.body = error.body and self.endpoint.redacted(error.body)

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made.aclose()
