"""`timed`: a store that tells how long those of its calls take on which every turn waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from multiturn.stores.base import Store
from multiturn.turns import Turn


def timed(store: Store, begin: Callable[[float], None], finish: Callable[[float], None]) -> Store:
    """The same store; `begin` and `finish` are told the seconds of each call that has done its work."""
    return cast(Store, _Timed(store, begin, finish, {}))


class _Timed:
    """A store, or what a tenant sees of it; `views` are those of all tenants, by name."""

    def __init__(
        self,
        store: Store,
        begin: Callable[[float], None],
        finish: Callable[[float], None],
        views: dict[str, _Timed],
    ) -> None:
        self._store = store
        self._begin = begin
        self._finish = finish
        self._views = views
        views.setdefault("", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def tenant(self, name: str) -> _Timed:
        view = self._views.get(name)
        if view is None:
            view = self._views[name] = _Timed(self._store.tenant(name), self._begin, self._finish, self._views)
        return view

    async def begin(self, turn: Turn, **options: Any) -> Turn:
        began = time.perf_counter()
        begun = await self._store.begin(turn, **options)
        self._begin(time.perf_counter() - began)
        return begun

    async def finish(self, turn: Turn) -> None:
        began = time.perf_counter()
        await self._store.finish(turn)
        self._finish(time.perf_counter() - began)
