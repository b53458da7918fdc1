"""Upstreams for tests, and calls through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from multiturn.deltas import Answer, Delta, Deltas
from multiturn.messages import Message, user
from multiturn.models.base import Model
from multiturn.models.limits import Retries, Timeouts
from multiturn.notices import Notice
from multiturn.path import Path
from multiturn.request import Request
from multiturn.server.upstreams import Route, Upstream, Upstreams

ONCE = Retries(attempts=1)
IMPATIENT = Timeouts(first_byte_s=1.0, idle_s=1.0)  # for what hangs; a busy machine may be slow as well


def gpu(*urls: str, **fields: Any) -> Upstream:
    """An upstream of these replicas that is asked once."""
    return Upstream(**{"name": "gpu", "urls": urls, "retries": ONCE, **fields})


def behind(*upstreams: Upstream) -> Upstreams:
    """Upstreams that every name leads to, in this order."""
    return Upstreams([Route(match="*", to=tuple(each.name for each in upstreams))], upstreams)


def asking(text: str = "hi", *, streams: bool = True) -> Request:
    return Request(path=Path(), input=(user(text),), stream=streams)


async def items(model: Model, request: Request | None = None) -> Sequence[Delta | Deltas | Notice | Answer]:
    return [item async for item in model.answer(request or asking())]


async def answered(model: Model, request: Request | None = None) -> Message:
    """The message that the model ends with."""
    last = (await items(model, request))[-1]
    assert isinstance(last, Answer)
    return last.message
