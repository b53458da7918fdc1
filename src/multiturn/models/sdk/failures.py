"""What the exceptions of SDKs, and of the HTTP clients below them, mean.

They are told by the names of their classes: httpx and its fork httpx2 use the same ones, so do the SDKs of OpenAI and
Anthropic, and nothing here may import an SDK that the user did not.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import TypeAlias

from multiturn.errors import (
    ConnectionFailed,
    ConnectTimedOut,
    FirstByteTimedOut,
    IdleTimedOut,
    InvalidInput,
    ModelError,
    MultiturnError,
    StreamCut,
    TimedOut,
)

Timeout: TypeAlias = tuple[tuple[str, ...], type[TimedOut], str, str]

TIMEOUTS: tuple[Timeout, ...] = (
    (("ConnectTimeout", "ConnectionTimeoutError"), ConnectTimedOut, "connect", "no connection to {host}"),
    (("PoolTimeout",), ConnectTimedOut, "pool", "no connection to {host} was free"),
    (("ReadTimeout",), FirstByteTimedOut, "read", "{host} did not begin to answer"),
    (("TimeoutException", "APITimeoutError", "TimeoutError"), TimedOut, "write", "{host} did not answer"),
)
"""Names, what they are called here, which of httpx's four limits passed, and what happened."""

CONNECTIONS = ("APIConnectionError", "TransportError", "ClientError")

_ANOTHER_LOOP = ("different event loop", "different loop", "Event loop is closed")


def no_reply(error: Exception, host: str, sdk: str) -> Exception:
    """The error of ours for one that an SDK's client raised before there was a reply."""
    if isinstance(error, MultiturnError):
        return error
    chain = list(_chain(error))
    if any(isinstance(each, RuntimeError) and any(words in str(each) for words in _ANOTHER_LOOP) for each in chain):
        return another_loop(sdk)
    for names, kind, limit, said in TIMEOUTS:
        if _is(chain, names):
            return _caused(_timed_out(kind, chain, limit, said.format(host=host)), chain[-1])
    if _is(chain, CONNECTIONS):
        why = next((text for each in reversed(chain) if (text := str(each).strip())), type(error).__name__)
        return _caused(ConnectionFailed(f"no answer from {host}: {why}", code=_code(chain[-1])), chain[-1])
    # of the user's own code, most likely, such as one that fetches a token
    return _caused(ModelError(f"the {sdk} client failed: {type(error).__name__}: {error}"), error)


def cut(error: Exception, host: str) -> ModelError:
    """The error of ours for one that came while a reply was being read."""
    chain = list(_chain(error))
    if any(_is(chain, names) for names, *_ in TIMEOUTS):
        said = f"{host} fell silent in the middle of the answer"
        return _caused(_timed_out(IdleTimedOut, chain, "read", said), chain[-1])
    return _caused(StreamCut(f"the connection to {host} broke in the middle of the answer"), chain[-1])


def another_loop(sdk: str) -> InvalidInput:
    return InvalidInput(
        f"the connections of this {sdk} client belong to another event loop, and with an HTTP client of its own it "
        f"cannot have others; make a client for this loop, or give the sync client to sync calls"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what it came of, the outermost first. httpcore raises its errors `from None`."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is(chain: list[BaseException], names: tuple[str, ...]) -> bool:
    return any(kind.__name__ in names for error in chain for kind in type(error).__mro__)


def _timed_out(kind: type[TimedOut], chain: list[BaseException], limit: str, said: str) -> TimedOut:
    limits = next((found for error in chain if (found := _limits(error))), {})
    limit_s = limits.get(limit)
    within = f" within {limit_s:g} s" if limit_s is not None else " in time"
    error = kind(f"{said}{within}, as the client's own timeout says")
    error.limit_s = limit_s
    return error


def _limits(error: BaseException) -> dict[str, float | None]:
    """The timeouts that an HTTP client keeps with its request, in seconds."""
    try:
        request = getattr(error, "request", None)
    except RuntimeError:  # httpx says so where there is none
        return {}
    found: dict[str, float | None] = getattr(request, "extensions", {}).get("timeout") or {}
    return found


def _code(root: BaseException) -> str:
    match root:
        case socket.gaierror():
            return "dns"
        case ssl.SSLError():
            return "tls"
        case ConnectionRefusedError():
            return "refused"
    return "dropped"


def _caused(failure: ModelError, cause: BaseException) -> ModelError:
    """The failure with its cause, unless that holds the request, and so the key."""
    failure.__cause__ = None if {"request", "_request"} & vars(cause).keys() else cause
    return failure
