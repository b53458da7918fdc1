"""`Paths`: the paths that were used last, so that a conversation that goes on is not read anew."""

from __future__ import annotations

from collections import OrderedDict

from multiturn.path import Path

_OVERHEAD = 2_000  # bytes that a turn takes in memory beside its messages, and what formats have made of it


class Paths:
    """Paths by tenant and last turn, the last used ones, up to about `limit_bytes`. Finished turns never change, and a
    turn that was deleted cannot be followed, so nothing here can be wrong."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._paths: OrderedDict[tuple[str, str], Path] = OrderedDict()

    def get(self, tenant: str, head: str) -> Path | None:
        """The path that ends with this turn, where it is known."""
        path = self._paths.get((tenant, head))
        if path is not None:
            self._paths.move_to_end((tenant, head))
        return path

    def keep(self, tenant: str, path: Path) -> None:
        """Remember this path in the place of the one that it continues."""
        if path.head is None:
            return
        if len(path.turns) > 1:
            self._drop((tenant, path.turns[-2].id))
        self._drop((tenant, path.head))
        self._paths[tenant, path.head] = path
        self._size += _size(path)
        while self._size > self._limit and self._paths:
            self._drop(next(iter(self._paths)))

    def _drop(self, key: tuple[str, str]) -> None:
        path = self._paths.pop(key, None)
        if path is not None:
            self._size -= _size(path)


def _size(path: Path) -> int:
    return 2 * path.totals.bytes + _OVERHEAD * len(path.turns)
