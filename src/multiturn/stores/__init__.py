"""Where turns live. `open_store(url)` gives the store of a URL; `base.py` says what a store does."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from multiturn.errors import InvalidInput

if TYPE_CHECKING:
    from multiturn.stores.base import Store
    from multiturn.stores.sqlite import SQLiteStore

_MEMORY, _FILE = "sqlite://", "sqlite:///"
_lock = threading.Lock()
_open: weakref.WeakValueDictionary[str, SQLiteStore] = weakref.WeakValueDictionary()


def open_store(url: str) -> Store:
    """The store of a URL, the same object for the same file for as long as anyone holds it.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://` for a new one in memory. Raises `InvalidInput` for
    any other URL. A file that cannot be opened shows at first use.
    """
    from multiturn.stores.sqlite import SQLiteStore

    if url in (_MEMORY, f"{_FILE}:memory:"):
        return SQLiteStore()
    if not url.removeprefix(_FILE) or not url.startswith(_FILE):
        raise InvalidInput(
            f"{url!r} is not a store; use sqlite:///relative.db, sqlite:////absolute.db, or sqlite:// for memory"
        )
    file = Path(url.removeprefix(_FILE)).expanduser().absolute()
    with _lock:
        store = _open.get(str(file))
        if store is None or store.closed:
            store = _open[str(file)] = SQLiteStore(file)
        return store
