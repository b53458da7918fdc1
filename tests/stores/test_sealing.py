"""Encryption at rest: nothing readable in the file, keys that come and go, and clear words where one is missing."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from multiturn.deltas import TextDelta
from multiturn.errors import InvalidInput, Sealed, SearchOff
from multiturn.messages import Image, Inline
from multiturn.stores.sealing import KEY, KEY_FILE, Keys, Plain, Seal, new_key, seal_of
from multiturn.stores.sqlite import SQLiteStore
from multiturn.turns import Turn
from stores.live import asked, followed, words
from stores.saying import ended, new_turn, say

SECRET = "the treasure is under the oak"
PICTURE = Inline(b"\x89PNG treasure map" * 100, "image/png")


def key() -> str:
    return new_key()


def keys(*words: str) -> Seal:
    return seal_of({KEY: " ".join(words)})


async def fill(file: Path, seal: Seal) -> tuple[Turn, ...]:
    store = SQLiteStore(file, seal=seal)
    for n in range(3):
        turn = new_turn("c", f"{SECRET} {n}", Image(PICTURE))
        await store.begin(turn)
        await store.finish(ended(turn, text=f"I know: {SECRET}"))
    head = (await store.conversation("c")).head
    assert head is not None
    path = await store.path(head)
    await store.aclose()
    return path


async def read(file: Path, seal: Seal) -> tuple[Turn, ...]:
    store = SQLiteStore(file, seal=seal)
    try:
        head = (await store.conversation("c")).head
        assert head is not None
        return await store.path(head)
    finally:
        await store.aclose()


def on_the_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_nothing_that_was_said_can_be_read_in_the_file(tmp_path: Path) -> None:
    seal = keys(key())
    path = await fill(tmp_path / "c.db", seal)
    assert await read(tmp_path / "c.db", seal) == path
    assert not any(word in on_the_disk(tmp_path) for word in (b"treasure", b"oak", b"PNG"))


async def test_without_encryption_it_could(tmp_path: Path) -> None:
    await fill(tmp_path / "c.db", Plain())
    assert SECRET.encode() in on_the_disk(tmp_path)


async def test_a_missing_or_another_key_is_named(tmp_path: Path) -> None:
    await fill(tmp_path / "c.db", keys(key()))
    with pytest.raises(Sealed, match=f"set {KEY} or {KEY_FILE}"):
        await read(tmp_path / "c.db", Plain())
    with pytest.raises(Sealed, match="another key"):
        await read(tmp_path / "c.db", keys(key()))


async def test_an_old_key_opens_until_all_is_sealed_anew(tmp_path: Path) -> None:
    old, new = key(), key()
    path = await fill(tmp_path / "c.db", keys(old))
    store = SQLiteStore(tmp_path / "c.db", seal=keys(new, old))
    await say(store, "d", "and more")
    assert await store.path(path[-1].id) == path
    assert await store.reseal() == 4
    assert await store.check() == ()
    await store.aclose()
    assert await read(tmp_path / "c.db", keys(new)) == path
    with pytest.raises(Sealed):
        await read(tmp_path / "c.db", keys(old))


async def test_a_plain_store_can_be_sealed_and_unsealed(tmp_path: Path) -> None:
    file, word = tmp_path / "c.db", key()
    path = await fill(file, Plain())
    store = SQLiteStore(file, seal=keys(word))
    assert await store.path(path[-1].id) == path
    await store.reseal()
    with pytest.raises(SearchOff, match="encrypted"):
        await store.search("treasure")
    assert (await store.statistics()).attachments == 1
    await store.aclose()
    assert not any(word in on_the_disk(tmp_path) for word in (b"treasure", b"oak", b"PNG"))
    with pytest.raises(Sealed):
        await read(file, Plain())


async def test_a_row_does_not_open_in_another_rows_place(tmp_path: Path) -> None:
    seal = keys(key())
    sealed = seal.seal(b"words", b"turn_1")
    assert seal.open(sealed, b"turn_1") == b"words"
    with pytest.raises(Sealed, match="changed"):
        seal.open(sealed, b"turn_2")
    with pytest.raises(Sealed, match="changed"):
        seal.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), b"turn_1")


async def test_a_crashed_turn_of_a_sealed_store_is_closed_like_any_other(tmp_path: Path) -> None:
    seal = keys(key())
    store = SQLiteStore(tmp_path / "c.db", seal=seal)
    turn = await store.begin(new_turn("c", SECRET))
    store.append(turn.id, [TextDelta("under the")])
    await store.aclose()
    (crashed,) = await read(tmp_path / "c.db", seal)
    assert (crashed.text, crashed.reason) == ("under the", "crashed")


def test_keys_come_from_a_variable_or_a_file(tmp_path: Path) -> None:
    word = key()
    file = tmp_path / "key"
    file.write_text(word + "\n")
    assert isinstance(seal_of({}), Plain)
    sealed = seal_of({KEY: word}).seal(b"x", b"")
    assert isinstance(seal_of({KEY: word}), Keys)
    assert seal_of({KEY_FILE: str(file)}).open(sealed, b"") == b"x"
    with pytest.raises(InvalidInput, match=KEY_FILE):
        seal_of({KEY_FILE: str(tmp_path / "missing")})


@pytest.mark.parametrize("word", ["secret", "x" * 44, base64.b64encode(b"short").decode(), "{}"])
def test_what_is_no_key_is_refused_without_being_shown(word: str) -> None:
    with pytest.raises(InvalidInput, match="32 bytes") as caught:
        seal_of({KEY: word})
    assert word not in str(caught.value).replace("multiturn", "")


def test_the_command_line_makes_keys_and_seals_anew(tmp_path: Path) -> None:
    url, old, new = f"sqlite:///{tmp_path}/c.db", _multiturn("new-key").strip(), _multiturn("new-key").strip()
    _multiturn("chat", "--store", url, "--conversation", "c", f"Remember that {SECRET}")
    assert SECRET.encode() in on_the_disk(tmp_path)
    assert _multiturn("reseal", "--store", url, key=old) == "Wrote 1 turn again.\n"
    assert SECRET.encode() not in on_the_disk(tmp_path)
    assert SECRET in _multiturn("show", "c", "--store", url, key=old)
    assert _multiturn("reseal", "--store", url, key=f"{new} {old}") == "Wrote 1 turn again.\n"
    assert SECRET in _multiturn("show", "c", "--store", url, key=new)
    assert "Error" in _multiturn("show", "c", "--store", url, key=old, status=1)
    assert "encrypted" in _multiturn("search", "treasure", "--store", url, key=new, status=1)


def _multiturn(*arguments: str, key: str = "", status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "multiturn", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {KEY: key},
    )
    assert done.returncode == status, done.stderr
    return done.stdout or done.stderr


async def test_what_followers_are_given_is_sealed_and_stays_readable_under_a_new_key(tmp_path: Path) -> None:
    file, old, new = tmp_path / "chats.db", key(), key()
    store = SQLiteStore(file, seal=keys(old))
    turn = await asked(store, "c", SECRET)
    await store.finish(ended(turn, text="done"))
    await store.aclose()
    assert b"treasure" not in on_the_disk(tmp_path)
    store = SQLiteStore(file, seal=keys(new, old))
    await store.reseal()
    await store.aclose()
    store = SQLiteStore(file, seal=keys(new))
    assert words((await followed(store, turn.id))[0]) == [SECRET]
    await store.aclose()
