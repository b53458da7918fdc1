"""Where turns live. `open_store(url)` gives the store of a URL; `base.py` says what a store does."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from multiturn.errors import InvalidInput
from multiturn.stores.sealing import seal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from multiturn.stores.base import Store

_MEMORY, _FILE = "sqlite://", "sqlite:///"
_lock = threading.Lock()
_open: weakref.WeakValueDictionary[str, Store] = weakref.WeakValueDictionary()


def open_store(url: str) -> Store:
    """The store of a URL, the same object for the same file for as long as anyone holds it.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://` for a new one in memory, `postgresql://…`. Encrypted
    if the environment names a key (`stores.sealing`). Where several share it, it is that of nobody, and its `tenant`
    gives each one's own. Raises `InvalidInput` for any other URL. A store that cannot be opened shows at first use.
    """
    if url.startswith(("postgresql://", "postgres://")):
        from multiturn.stores.postgres import PostgresStore

        return _shared(url, lambda: PostgresStore(url, seal=seal_of()))
    from multiturn.stores.sqlite import SQLiteStore

    if url in (_MEMORY, f"{_FILE}:memory:"):
        return SQLiteStore(seal=seal_of())
    if not url.removeprefix(_FILE) or not url.startswith(_FILE):
        raise InvalidInput(
            f"{url!r} is not a store; use sqlite:///relative.db, sqlite:////absolute.db, sqlite:// for memory, "
            "or postgresql://user@host/database"
        )
    file = Path(url.removeprefix(_FILE)).expanduser().absolute()
    return _shared(str(file), lambda: SQLiteStore(file, seal=seal_of()))


def _shared(name: str, make: Callable[[], Store]) -> Store:
    """The open store of this name, else a new one."""
    with _lock:
        store = _open.get(name)
        if store is None or store.closed:
            store = _open[name] = make()
        return store
