"""The official clients, sync and async, behind one face, so that each test is written once. A sync client's calls run
in a thread; what it gives is waited for, iterated and entered as an async client's is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pydantic

_END = object()
_WAITS_FOR_NOTHING = ("parse_event",)  # async clients have it as it is, too


class Waited:
    """A sync client, or a resource, a stream or a page of one, as an async one. Values are given as they are."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._thing, name)
        if callable(value) and name not in _WAITS_FOR_NOTHING:
            return lambda *args, **kwargs: _Call(lambda: value(*args, **kwargs))
        return Waited(value) if ".resources." in type(value).__module__ or hasattr(value, "__next__") else value

    async def __aiter__(self) -> AsyncIterator[Any]:
        iterator = iter(self._thing)
        while (item := await asyncio.to_thread(next, iterator, _END)) is not _END:
            yield item


class _Call:
    """A call that has not been made yet."""

    def __init__(self, run: Callable[[], Any]) -> None:
        self._run = run

    def __await__(self) -> Generator[Any, None, Any]:
        return self._made().__await__()

    async def _made(self) -> Any:
        return _shown(await asyncio.to_thread(self._run))

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for item in await self._made():
            yield item

    async def __aenter__(self) -> Any:
        self._manager = self._run()
        return _shown(await asyncio.to_thread(self._manager.__enter__))

    async def __aexit__(self, *raised: Any) -> None:
        await asyncio.to_thread(self._manager.__exit__, *raised)


def _shown(value: Any) -> Any:
    """A stream, a connection and a page are waited for themselves."""
    is_value = isinstance(value, pydantic.BaseModel) and not hasattr(value, "iter_pages")
    return value if is_value or isinstance(value, (str, bytes, bool, type(None), list, dict)) else Waited(value)
