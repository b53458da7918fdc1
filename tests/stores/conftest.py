"""The store under test: every kind, each with a new, empty database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from multiturn.stores import open_store
from multiturn.stores.base import Store
from stores.urls import KINDS, fresh_url


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = open_store(fresh_url(request.param, tmp_path))
    yield store
    assert not store.closed or "closed" in request.node.name
    if not store.closed:
        assert await store.check() == ()
    await store.aclose()
