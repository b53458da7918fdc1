"""What a call's failure means for the next try, and what of it a client may read."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from multiturn.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectTimedOut,
    FirstByteTimedOut,
    IdleTimedOut,
    ModelError,
    ModelNotFound,
    ProviderFailed,
    RateLimited,
    StreamCut,
    TotalTimedOut,
)

BUSY = "upstream_busy"
"""The `code` of a `RateLimited` that is ours: a replica's queue is full."""
DROPPED = "dropped"
"""The `code` of a `ConnectionFailed` where there was a connection, most likely a kept one that the server had just
closed."""

_DOWN = (ConnectionFailed, ConnectTimedOut, FirstByteTimedOut, IdleTimedOut, TotalTimedOut, ProviderFailed, StreamCut)
_ELSEWHERE = (ConnectionFailed, ConnectTimedOut, FirstByteTimedOut, ProviderFailed, RateLimited)
_AGAIN = (ConnectionFailed, ConnectTimedOut, ProviderFailed, RateLimited)
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)(?::\d{1,5})?")


def is_down(error: ModelError) -> bool:
    """Whether it speaks against the replica: what it answers with otherwise, it answers."""
    return isinstance(error, _DOWN)


def may_go_elsewhere(error: ModelError) -> bool:
    """Whether another replica may do better. Not once an answer has begun, which the caller has to know."""
    return isinstance(error, _ELSEWHERE)


def may_go_again(error: ModelError) -> bool:
    """Whether the same replica may do better in a moment. Not where it may be at work on an answer, for that costs, nor
    where the call has waited its time already."""
    return isinstance(error, _AGAIN) and error.code not in ("tls", BUSY)


def hidden(urls: Iterable[str]) -> re.Pattern[str]:
    """What of these addresses no client is to read: all of the URL, its host and port, and its host, unless that is a
    plain word, which may stand in any sentence."""
    words = set()
    for url in urls:
        parts = urlsplit(url)
        host = parts.hostname or ""
        words |= {url, url.partition("://")[2], parts.netloc}
        words |= {f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"}
        words |= {host} if re.search(r"[^a-z]", host) else set()
    longest_first = sorted((word for word in words if word), key=len, reverse=True)
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)


def shown(error: ModelError, upstream: str, addresses: re.Pattern[str]) -> None:
    """Make the error one that a client may read: the upstream's name in the place of addresses, and nothing of what
    only concerns who runs the server."""
    if isinstance(error, ConnectionFailed):
        error.args = (f"{upstream} cannot be reached; try again later",)
    elif isinstance(error, AuthenticationFailed):
        error.args = (f"{upstream} does not accept the key that this server has for it",)
    elif isinstance(error, ModelNotFound) and error.status is not None and error.status < 400:
        error.args = (f"{upstream} is not where this server looks for it",)
    error.args = tuple(_cleared(arg, upstream, addresses) if isinstance(arg, str) else arg for arg in error.args)
    for name, value in vars(error).items():
        if isinstance(value, str):
            setattr(error, name, _cleared(value, upstream, addresses))


def _cleared(text: str, upstream: str, addresses: re.Pattern[str]) -> str:
    return _IPV4.sub(_without_private, addresses.sub(upstream, text))


def _without_private(found: re.Match[str]) -> str:
    """A load balancer's errors name what is behind it."""
    try:
        is_private = ipaddress.ip_address(found[0].partition(":")[0]).is_private
    except ValueError:
        is_private = False
    return "[address]" if is_private else found[0]
