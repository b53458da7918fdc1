"""Who may call: with keys and without, and what a server is told before it serves others."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from multiturn.errors import InvalidInput, Unauthorized
from multiturn.server.auth import ANYBODY, Caller, Keys, check_start, digest, new_key
from multiturn.stores import open_store
from multiturn.stores.base import Store
from multiturn.stores.records import KeyRecord
from multiturn.stores.sqlite import SQLiteStore


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counting(SQLiteStore):
    """A store that counts how often it is asked for a key."""

    asked = 0

    async def key(self, digest: bytes) -> KeyRecord | None:
        self.asked += 1
        return await super().key(digest)


@pytest.fixture
async def store() -> AsyncIterator[Counting]:
    store = Counting()
    yield store
    await store.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def made(store: Store, tenant: str = "acme", *, rpm: int | None = None) -> tuple[str, KeyRecord]:
    text, record = new_key(tenant, name="web", requests_per_minute=rpm)
    await store.create_key(record)
    return text, record


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_a_key_says_whose_it_is_and_what_it_may(store: Counting) -> None:
    text, record = await made(store, rpm=5)
    assert await Keys(store).caller(bearer(text)) == Caller("acme", record.id, 5, None)


async def test_the_store_never_holds_the_key(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'kept.db'}")
    text, record = await made(store)
    await store.aclose()
    assert re.fullmatch("mt-[0-9a-f]{48}", text)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert digest(text) in kept
    assert text.encode() not in kept
    assert text not in repr(record)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {key}"},
        {"authorization": "bearer  {key} "},
        {"x-api-key": "{key}"},
        {"x-api-key": " {key}", "authorization": "Basic bWU6d29yZA=="},
        {"x-api-key": "another", "authorization": "Bearer {key}"},
    ],
)
async def test_a_key_comes_in_the_header_of_either_sdk(store: Counting, headers: dict[str, str]) -> None:
    text, record = await made(store)
    sent = {name: value.format(key=text) for name, value in headers.items()}
    assert (await Keys(store).caller(sent)).key_id == record.id


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": ""}, {"authorization": "Bearer "}, {"authorization": "Basic {key}"}, {"x-api-key": ""}],
)
async def test_without_a_key_one_is_asked_for(store: Counting, headers: dict[str, str]) -> None:
    text, _ = await made(store)
    sent = {name: value.format(key=text) for name, value in headers.items()}
    with pytest.raises(Unauthorized, match="send it as Authorization: Bearer"):
        await Keys(store).caller(sent)


async def test_a_key_that_is_unknown_or_revoked_is_refused_in_the_same_words(store: Counting) -> None:
    text, record = await made(store)
    await store.revoke_key(record.id)
    said = set()
    for key in (text, text[:-1], f"{text}0", text.upper(), "mt-", "\udcff", "é" * 9, record.id, record.digest.hex()):
        with pytest.raises(Unauthorized) as refused:
            await Keys(store).caller(bearer(key))
        said.add(str(refused.value))
    assert len(said) == 1
    assert text not in said.pop()


async def test_a_revocation_shows_within_5_seconds_and_costs_no_look_up_a_request(
    store: Counting, clock: Clock
) -> None:
    text, record = await made(store)
    keys = Keys(store, clock=clock)
    for _ in range(100):
        await keys.caller(bearer(text))
    assert store.asked == 1
    await store.revoke_key(record.id)
    clock.now += 5
    with pytest.raises(Unauthorized):
        await keys.caller(bearer(text))


async def test_another_tenant_s_key_is_another_caller(store: Counting) -> None:
    keys = Keys(store)
    (ours, _), (theirs, _) = await made(store), await made(store, "beta")
    assert (await keys.caller(bearer(ours))).tenant == "acme"
    assert (await keys.caller(bearer(theirs))).tenant == "beta"


# --- no keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "127.0.0.1:8787"},
        {"host": "localhost"},
        {"host": "[::1]:8787", "authorization": "Bearer any"},
        {"host": "localhost:8787", "origin": "http://localhost:3000"},
        {"host": "localhost:8787", "origin": "https://app.example"},
    ],
)
async def test_as_long_as_there_is_no_key_this_machine_needs_none(store: Counting, headers: dict[str, str]) -> None:
    assert await Keys(store, origins=("https://app.example",)).caller(headers) == ANYBODY


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"host": "evil.example:8787"}, "answers only to localhost, not to 'evil.example:8787'"),
        ({"host": "127.0.0.1.evil.example"}, "answers only to localhost"),
        ({"host": "[::1"}, "answers only to localhost"),
        ({"host": ""}, "answers only to localhost"),
        ({"host": "localhost", "origin": "https://evil.example"}, "answers no page of 'https://evil.example'"),
        ({"host": "localhost", "origin": "null"}, "answers no page of 'null'"),
        ({"host": "localhost", "x-forwarded-for": "10.0.0.1"}, "answers nobody behind a proxy"),
        ({"host": "localhost", "forwarded": "for=10.0.0.1"}, "answers nobody behind a proxy"),
    ],
)
async def test_without_keys_nobody_comes_in_through_a_browser_or_a_proxy(
    store: Counting, headers: dict[str, str], says: str
) -> None:
    with pytest.raises(Unauthorized, match=re.escape(says)):
        await Keys(store, origins=("https://app.example",)).caller(headers)


async def test_with_a_key_it_does_not_matter_where_a_request_comes_from(store: Counting) -> None:
    text, _ = await made(store)
    sent = {**bearer(text), "host": "api.example", "origin": "https://app.example", "x-forwarded-for": "10.0.0.1"}
    assert (await Keys(store).caller(sent)).tenant == "acme"


async def test_from_the_first_key_on_everybody_needs_one(store: Counting, clock: Clock) -> None:
    keys = Keys(store, clock=clock)
    assert await keys.caller({}) == ANYBODY
    text, record = await made(store)
    clock.now += 5
    with pytest.raises(Unauthorized):
        await keys.caller({})
    assert (await keys.caller(bearer(text))).tenant == "acme"
    await store.revoke_key(record.id)
    clock.now += 5
    with pytest.raises(Unauthorized):
        await keys.caller({})  # the last one that is revoked opens nothing


async def test_others_need_a_key_even_where_there_is_none(store: Counting) -> None:
    with pytest.raises(Unauthorized):
        await Keys(store, host="0.0.0.0").caller({"host": "localhost"})


def test_a_server_for_others_does_not_start_without_a_key() -> None:
    _, live = new_key("acme")
    revoked = msgspec.structs.replace(live, revoked_at=1.0)
    for keys in ((), (revoked,)):
        with pytest.raises(InvalidInput, match="multiturn keys create"):
            check_start("0.0.0.0", keys)
        check_start("127.0.0.1", keys)
    check_start("0.0.0.0", (revoked, live))
