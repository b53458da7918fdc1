"""API keys, as every store keeps them."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from multiturn import open_store
from multiturn.errors import InvalidInput, NotFound
from multiturn.stores.base import Store
from multiturn.stores.records import KeyRecord
from stores.urls import ON_DISK, fresh_url


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


FULL = KeyRecord(
    id="key_1",
    tenant="acme",
    digest=digest("mt-1"),
    name="the website",
    created_at=10.5,
    requests_per_minute=60,
    tokens_per_minute=100_000,
)
BARE = KeyRecord(id="key_2", tenant="", digest=digest("mt-2"), created_at=20.0)


async def test_a_key_is_found_by_its_digest_and_only_by_that(store: Store) -> None:
    await store.create_key(FULL)
    await store.create_key(BARE)
    assert await store.key(digest("mt-1")) == FULL
    assert await store.key(digest("mt-2")) == BARE
    for unknown in (b"", b"mt-1", digest("mt-3"), FULL.digest[:-1]):
        assert await store.key(unknown) is None


async def test_keys_are_listed_the_oldest_first(store: Store) -> None:
    assert await store.keys() == ()
    await store.create_key(BARE)
    await store.create_key(FULL)
    assert await store.keys() == (FULL, BARE)


async def test_a_revoked_key_stays_known_as_one_that_was(store: Store) -> None:
    await store.create_key(FULL)
    before = time.time()
    await store.revoke_key("key_1")
    revoked = await store.key(FULL.digest)
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert before <= revoked.revoked_at <= time.time()
    await store.revoke_key("key_1")
    assert await store.keys() == (revoked,)


async def test_what_is_no_key_cannot_be_revoked(store: Store) -> None:
    await store.create_key(FULL)
    with pytest.raises(NotFound, match="API key 'key_9'"):
        await store.revoke_key("key_9")
    assert await store.keys() == (FULL,)


@pytest.mark.parametrize(("id", "text"), [("key_1", "mt-9"), ("key_9", "mt-1")])
async def test_two_keys_have_neither_id_nor_text_in_common(store: Store, id: str, text: str) -> None:
    await store.create_key(FULL)
    with pytest.raises(InvalidInput, match=f"API key '{id}'") as caught:
        await store.create_key(KeyRecord(id=id, tenant="other", digest=digest(text), created_at=1.0))
    assert digest(text).hex() not in str(caught.value)
    assert await store.keys() == (FULL,)


async def test_keys_are_the_stores_whichever_tenant_asks(store: Store) -> None:
    await store.tenant("acme").create_key(FULL)
    assert await store.tenant("other").key(FULL.digest) == await store.key(FULL.digest) == FULL
    await store.tenant("other").revoke_key("key_1")
    assert (await store.keys())[0].revoked_at is not None


async def test_a_key_makes_no_tenant(store: Store) -> None:
    await store.create_key(FULL)
    assert await store.tenants() == ()


@pytest.mark.parametrize("kind", ON_DISK)
async def test_keys_are_there_when_the_store_is_opened_again(kind: str, tmp_path: Path) -> None:
    url = fresh_url(kind, tmp_path)
    store = open_store(url)
    await store.create_key(FULL)
    await store.aclose()
    store = open_store(url)
    assert await store.keys() == (FULL,)
    await store.aclose()
