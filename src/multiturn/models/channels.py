"""The ways to a gRPC service: a channel of our own, or that of a user's `xai_sdk` client. Bytes in, bytes out; what
they mean is the format's business."""

from __future__ import annotations

import asyncio
import re
import threading
import weakref
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeAlias

from multiturn.errors import ConnectionFailed, InvalidInput
from multiturn.formats.xai.dialect import NEEDED
from multiturn.models.http import USER_AGENT
from multiturn.models.limits import Retries, Timeouts
from multiturn.models.remote import MAX_REPLY_BYTES

try:
    import grpc
    import grpc.aio
except ImportError as missing:
    raise InvalidInput(f"{NEEDED} ({missing})") from missing

__all__ = ["Call", "ClientsChannel", "OwnChannel", "Way", "grpc"]

LOCAL = ("localhost", "127.0.0.1", "[::1]")
Channel: TypeAlias = Any
"""gRPC has no types that a checker could see."""


# --- calls ----------------------------------------------------------------------------------------------------------


class Call(Protocol):
    async def read(self) -> bytes | None:
        """The next message of the reply; None at its end. Raises `grpc.RpcError`."""

    def cancel(self) -> object:
        """End the call, unless it has ended."""


class Way(Protocol):
    """The way to one host; its limits and retries are for whoever calls to keep to."""

    host: str
    timeouts: Timeouts
    retries: Retries

    async def call(self, method: str, body: bytes) -> Call:
        """A call that has been sent, or will be as soon as there is a connection."""

    async def aclose(self) -> None:
        """Let go of what belongs to the running event loop."""


@contextmanager
def _open() -> Iterator[None]:
    """What gRPC raises for a channel that is closed, as our error."""
    try:
        yield
    except (ValueError, grpc.aio.UsageError) as error:
        if "closed" not in str(error).lower():
            raise
        raise ConnectionFailed("the client is closed, and cannot be asked any more", code="closed") from error


class AsyncCall:
    """A call on a channel of `grpc.aio`."""

    def __init__(self, channel: Channel, method: str, body: bytes, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._call = channel.unary_stream(method)(body, metadata=metadata)
        self.cancel = self._call.cancel

    async def read(self) -> bytes | None:
        with _open():
            message = await self._call.read()
        return None if message is grpc.aio.EOF else message


class ThreadCall:
    """A call on a channel of `grpc`, read in a thread of its own, which ends with the call."""

    def __init__(self, channel: Channel, method: str, body: bytes) -> None:
        call = channel.unary_stream(method)(body)
        self.cancel = call.cancel
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        threading.Thread(target=self._pump, args=(call,), name="multiturn-xai", daemon=True).start()

    def _pump(self, messages: Iterable[bytes]) -> None:
        end: Exception | None = None
        with suppress(RuntimeError):  # the event loop has ended meanwhile, and nobody waits
            try:
                for message in messages:
                    self._loop.call_soon_threadsafe(self._arrived.put_nowait, message)
            except Exception as error:  # whoever reads is to know, whatever it is
                end = error
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, end)

    async def read(self) -> bytes | None:
        message = await self._arrived.get()
        if isinstance(message, Exception):
            with _open():
                raise message
        return message


class ClientsChannel:
    """The channel of a user's SDK client. It has the key, the limits and the retries."""

    timeouts = Timeouts(connect_s=None, first_byte_s=None, idle_s=None, total_s=None)
    retries = Retries(attempts=1)

    def __init__(self, client: object) -> None:
        self.host = f"the client {type(client).__name__}"
        self._channel: Channel = getattr(client, "_api_channel", None)
        if not isinstance(self._channel, grpc.Channel | grpc.aio.Channel):
            raise InvalidInput(
                f"cannot ask xAI through {type(client).__name__!r}; give an xai_sdk.Client or an xai_sdk.AsyncClient"
            )

    async def call(self, method: str, body: bytes) -> Call:
        of_loop = getattr(self._channel, "_loop", None)
        if of_loop is not None and of_loop is not asyncio.get_running_loop():
            raise InvalidInput(
                "this xai_sdk.AsyncClient was made for another event loop; make it where it is used, "
                "or give an xai_sdk.Client, which works everywhere"
            )
        kind = ThreadCall if isinstance(self._channel, grpc.Channel) else AsyncCall
        with _open():
            return kind(self._channel, method, body)

    async def aclose(self) -> None:
        pass


# --- a channel an event loop ----------------------------------------------------------------------------------------


class OwnChannel:
    """The way to one host. The key goes along with each call, so that models with different keys share the channel."""

    def __init__(self, host: str, key: str | None, timeouts: Timeouts, retries: Retries) -> None:
        if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d+)?", host):
            raise InvalidInput(f"the host of xAI must be like api.x.ai or localhost:50051, not {host!r}")
        if key and not (key.isascii() and key.isprintable()):
            raise InvalidInput("the key for xai holds characters that a key cannot have")
        self.host = host if re.search(r":\d+$", host) else f"{host}:443"
        self.timeouts = timeouts
        self.retries = retries
        self.is_local = self.host.rpartition(":")[0] in LOCAL
        self.options = _options(timeouts, is_local=self.is_local)
        self._metadata = (("authorization", f"Bearer {key}"),) if key else ()

    async def call(self, method: str, body: bytes) -> Call:
        return AsyncCall((await _opened_for(self)).channel, method, body, self._metadata)

    async def aclose(self) -> None:
        opened = _opened.get((asyncio.get_running_loop(), self.host, self.options))
        if opened is not None:
            opened.users.discard(self)
            if not opened.users:
                await opened.closing.aclose()


def _options(timeouts: Timeouts, *, is_local: bool) -> tuple[tuple[str, object], ...]:
    """gRPC's channel arguments (include/grpc/impl/channel_arg_names.h). gRPC does not try again by itself."""
    connect_s = 3600.0 if timeouts.connect_s is None else timeouts.connect_s
    return (
        ("grpc.min_reconnect_backoff_ms", int(connect_s * 1000)),  # how long one try to connect may take
        ("grpc.initial_reconnect_backoff_ms", 100),  # ours are the pauses that count
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
        ("grpc.keepalive_time_ms", 30_000),  # as the SDK has it
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.enable_http_proxy", 0 if is_local else 1),
        ("grpc.primary_user_agent", USER_AGENT),
    )


class _Opened:
    """One event loop's channel to one host, and who uses it."""

    def __init__(self, way: OwnChannel, key: _Key) -> None:
        options = list(way.options)
        self.channel: Channel = (
            grpc.aio.insecure_channel(way.host, options=options)
            if way.is_local
            else grpc.aio.secure_channel(way.host, grpc.ssl_channel_credentials(), options=options)
        )
        self.users: weakref.WeakSet[OwnChannel] = weakref.WeakSet()
        self.closing = self._until_closed(key)

    async def _until_closed(self, key: _Key) -> AsyncGenerator[None, None]:
        """Nothing, then the end of the channel when this is closed: an event loop that ends closes its generators, and
        tells nobody else (as in `multiturn.models.connections`)."""
        try:
            yield
        finally:
            _opened.pop(key, None)
            await self.channel.close()


_Key: TypeAlias = tuple[asyncio.AbstractEventLoop, str, tuple[tuple[str, object], ...]]
_opened: dict[_Key, _Opened] = {}


async def _opened_for(way: OwnChannel) -> _Opened:
    """The channel to this host that all models share on the running event loop."""
    loop = asyncio.get_running_loop()
    key = (loop, way.host, way.options)
    opened = _opened.get(key)
    if opened is None:
        for ended in [other for other in list(_opened) if other[0].is_closed()]:
            _opened.pop(ended, None)  # it ended without closing its generators, and cannot any more
        opened = _opened[key] = _Opened(way, key)
        await anext(opened.closing)
    opened.users.add(way)
    return opened
