"""`XaiModel`: a model of xAI's over gRPC, on a channel of our own or through the user's own SDK client.

What is on the channel is bytes, which `multiturn.formats.xai` makes and reads. A reply that comes whole is, on the
wire, a stream of one message, so both kinds are read alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import msgspec

from multiturn.deltas import Answer, Delta, Deltas
from multiturn.errors import (
    ConnectionFailed,
    ConnectTimedOut,
    FirstByteTimedOut,
    IdleTimedOut,
    InvalidReply,
    ModelError,
    ProviderFailed,
    RateLimited,
    StreamCut,
    TimedOut,
)
from multiturn.formats.switching import Switching
from multiturn.formats.xai.dialect import Dialect
from multiturn.formats.xai.failures import decode_error
from multiturn.formats.xai.messages import encode_messages
from multiturn.formats.xai.replies import decode_reply
from multiturn.formats.xai.requests import encode_request
from multiturn.formats.xai.streams import StreamDecoder
from multiturn.messages import Message
from multiturn.models.channels import Call, ClientsChannel, OwnChannel, Way, grpc
from multiturn.models.history import Continuing, continued
from multiturn.models.limits import Deadline, Limit, Retries, Timeouts
from multiturn.models.remote import MAX_REPLY_BYTES
from multiturn.models.transport import MIB
from multiturn.notices import Notice
from multiturn.request import Request

HOST = "api.x.ai"
METHODS = {False: "/xai_api.Chat/GetCompletion", True: "/xai_api.Chat/GetCompletionChunk"}


class XaiModel:
    """A model at `host`, a name with or without a port; spoken to without TLS if that is this machine. Cheap to make;
    connects when first asked, and shares its channel with all others to the same host. With a `client`, an
    `xai_sdk.Client` or `AsyncClient`, the client's channel is used, with its own key, limits, retries and proxies.

    xAI keeps its answers, so that only what is new is sent, and all of it once more where xAI has lost them. Tried
    again is what failed before the answer began: no connection, and the statuses UNAVAILABLE and RESOURCE_EXHAUSTED.

    Raises `InvalidInput` for a host or a key that cannot be, and for a client that is none."""

    def __init__(
        self,
        name: str,
        *,
        key: str | None = None,
        host: str = HOST,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        switching: Switching | None = None,
        client: object | None = None,
    ) -> None:
        self.name = name
        self._dialect = Dialect(switching=switching or Switching())
        self._way: Way = (
            OwnChannel(host, key, timeouts or Timeouts(), retries or Retries())
            if client is None
            else ClientsChannel(client)
        )
        self._key = key
        self._continuing = Continuing(self._dialect, from_kept_answer)

    @classmethod
    def through(cls, client: object, name: str, *, switching: Switching | None = None) -> XaiModel:
        """The model of this name, asked through an `xai_sdk.Client` or `AsyncClient`. Closing that is its owner's."""
        return cls(name, client=client, switching=switching)

    def __repr__(self) -> str:
        return f"<{self.provider}:{self.name} at {self._way.host}>"

    @property
    def provider(self) -> str:
        return self._dialect.provider

    def answer(self, request: Request) -> AsyncGenerator[Delta | Deltas | Notice | Answer, None]:
        """As `Model.answer` says."""
        return self._continuing.answer(request, self.name, self._answer)

    async def _answer(self, request: Request) -> AsyncGenerator[Delta | Answer, None]:
        choices = request.settings.choices or 1
        try:
            if not request.stream:
                replies = [reply async for reply in self._replies(request)]
                yield decode_reply(b"".join(replies), self._dialect, choices=choices)
                return
            decoder = StreamDecoder(self._dialect, choices=choices)
            try:
                async with aclosing(self._replies(request)) as chunks:
                    async for chunk in chunks:
                        for delta in decoder.decode(chunk):
                            yield delta
            except (ConnectionFailed, StreamCut, TimedOut):
                if not decoder.has_ended:  # what breaks after the last word has lost nothing
                    raise
            yield decoder.answer()
        except ModelError as error:
            self._sign(error)
            raise

    async def _replies(self, request: Request) -> AsyncGenerator[bytes, None]:
        """The messages of the reply as they come. Closing the generator cancels the call."""
        deadline = Deadline(self._way.timeouts.total_s)
        call, message = await self._begun(request, deadline)
        size = 0
        try:
            while message is not None:
                size += len(message)
                if size > MAX_REPLY_BYTES:
                    raise InvalidReply(f"the answer is larger than {MAX_REPLY_BYTES // MIB} MiB")
                yield message
                limit = deadline.within(self._way.timeouts.idle_s, IdleTimedOut)
                message = await self._next(call, limit, request, begun=True)
        finally:
            call.cancel()

    async def _begun(self, request: Request, deadline: Deadline) -> tuple[Call, bytes | None]:
        """The call and the first message of its reply, after as many tries as that takes."""
        body, failed = self._body(request), 0
        while True:
            call = await self._way.call(METHODS[request.stream], body)
            limit = deadline.within(self._way.timeouts.first_byte_s, FirstByteTimedOut)
            try:
                return call, await self._next(call, limit, request, begun=False)
            except BaseException as error:
                call.cancel()
                failed += 1
                pause_s = _pause_after(error, failed, self._way.retries)
                if pause_s is None or not deadline.allows(pause_s):
                    raise
            await asyncio.sleep(pause_s)

    async def _next(self, call: Call, limit: Limit, request: Request, *, begun: bool) -> bytes | None:
        try:
            async with limit.clock():
                return await call.read()
        except TimeoutError:
            failure: ModelError = limit.error(self._way.host)
        except grpc.RpcError as error:
            code, details, metadata = error.code().name, error.details() or "", _texts(error.trailing_metadata())
            continued = request.previous_answer is not None
            failure = decode_error(code, details, metadata, self._dialect, continued=continued, begun=begun)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            failure = StreamCut(f"the channel to {self._way.host} was closed while it answered")
        raise failure  # not inside `except`: gRPC's errors repeat what the provider said, and so maybe the key

    def _body(self, request: Request) -> bytes:
        key = (encode_messages, self._dialect)
        history = request.path.encoded(key, lambda messages: encode_messages(messages, self._dialect))
        return encode_request(request, history, model=self.name, dialect=self._dialect)

    def _sign(self, error: ModelError) -> None:
        """Say whose error it is, and make sure that the key is nowhere in it."""
        error.provider, error.model = error.provider or self.provider, error.model or self.name
        if self._key:
            error.args = tuple(str(arg).replace(self._key, "[key]") for arg in error.args)
            for name, value in vars(error).items():
                if isinstance(value, str):
                    setattr(error, name, value.replace(self._key, "[key]"))

    async def aclose(self) -> None:
        """Let go of this event loop's channel, unless other models use it too. Answers that are still being read are
        cut. A client's channel stays open."""
        await self._way.aclose()


def from_kept_answer(request: Request, dialect: Dialect) -> Request | None:
    """The same request with only what came after the last answer, where xAI holds that answer. The instructions are
    the first message of what it holds, so they are not said again; if they have changed since, the whole history is to
    be sent, and the result is None."""
    shorter = continued(request, dialect)
    if shorter is None:
        return None
    turns = (turn for turn in reversed(request.path.turns) if shorter.previous_answer in _ids(turn.messages))
    turn = None if shorter.previous_answer in _ids(request.input) else next(turns, None)
    if turn is not None and (turn.instructions or None) != (request.instructions or None):
        return None
    return msgspec.structs.replace(shorter, instructions=None)


def _ids(messages: Iterable[Message]) -> set[str | None]:
    return {message.id for message in messages}


def _pause_after(error: BaseException, failed: int, retries: Retries) -> float | None:
    """How long to wait before the same is worth trying again; None if it is not."""
    may_help = isinstance(error, ConnectionFailed | ConnectTimedOut | RateLimited) or (
        isinstance(error, ProviderFailed) and error.code == "UNAVAILABLE"
    )
    if not may_help or failed >= retries.attempts:
        return None
    asked_s = error.retry_after_s if isinstance(error, ModelError) else None
    return None if (asked_s or 0.0) > retries.longest_wait_s else asked_s or retries.pause_s(failed)


def _texts(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    return {name: value for name, value in metadata or () if isinstance(value, str)}
