"""One store as each of its tenants sees it."""

from __future__ import annotations

import weakref
from typing import Self


class Tenanted:
    """A store that has views of itself, one for each tenant that somebody works for.

    A view is a copy of the store that knows another tenant: what the store has, it has, the same objects. So a store
    sets its attributes when it is made, and none of them later.
    """

    _tenant = ""
    _whole: Self | None = None  # the store that this is a view of; a view keeps it open

    def __init__(self) -> None:
        self._views: weakref.WeakValueDictionary[str, Self] = weakref.WeakValueDictionary()

    def tenant(self, name: str) -> Self:
        whole = self._whole or self
        view = self._views.get(name) if name else whole
        if view is None:
            view = object.__new__(type(whole))
            view.__dict__.update(whole.__dict__, _tenant=name, _whole=whole)
            view = self._views.setdefault(name, view)
        return view
