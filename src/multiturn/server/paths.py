"""`Paths`: the paths that were used last, so that a conversation that goes on is not read anew."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

from multiturn.path import Path

_Key: TypeAlias = tuple[str, str]
_OVERHEAD = 2_000  # bytes that a turn takes in memory beside its messages, and what formats have made of it


class Paths:
    """Paths by tenant and last turn, the last used ones, up to about `limit_bytes`. Finished turns never change, and a
    turn that was deleted cannot be followed, so nothing here can be wrong."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._paths: OrderedDict[_Key, Path] = OrderedDict()
        self._longer: dict[_Key, _Key] = {}  # from a path that was continued to what has taken its place

    def get(self, tenant: str, head: str) -> Path | None:
        """The path that ends with this turn, where it is known; also from one that goes on from there by one turn, for
        several may follow the same."""
        key = (tenant, head) if (tenant, head) in self._paths else self._longer.get((tenant, head))
        if key is None:
            return None
        self._paths.move_to_end(key)
        return self._paths[key].until(head)

    def keep(self, tenant: str, path: Path) -> None:
        """Remember this path in the place of the one that it continues."""
        if path.head is None:
            return
        key, before = (tenant, path.head), _before(tenant, path)
        self._drop(key)
        if before is not None:
            self._drop(before)
            self._longer[before] = key
        self._paths[key] = path
        self._size += _size(path)
        while self._size > self._limit and self._paths:
            self._drop(next(iter(self._paths)))

    def _drop(self, key: _Key) -> None:
        path = self._paths.pop(key, None)
        if path is None:
            return
        self._size -= _size(path)
        before = _before(key[0], path)
        if before is not None and self._longer.get(before) == key:
            del self._longer[before]


def _before(tenant: str, path: Path) -> _Key | None:
    """The path without its last turn."""
    return (tenant, path.turns[-2].id) if len(path.turns) > 1 else None


def _size(path: Path) -> int:
    return 2 * path.totals.bytes + _OVERHEAD * len(path.turns)
