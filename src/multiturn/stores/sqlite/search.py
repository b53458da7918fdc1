"""Full-text search in SQL (FTS5). The index has the words of ended turns; the turns themselves are asked for phrases,
which keeps the index small. Turns that have just ended are not in it yet (`migrations/0004_documents.sql`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from multiturn.errors import MultiturnError, SearchOff
from multiturn.stores import expressions, rows
from multiturn.stores.expressions import Expression
from multiturn.stores.records import Found
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import reading
from multiturn.stores.sqlite.schema import Connection

_AT_ONCE = 512  # documents in one transaction: FTS5 writes a segment for each, and merges them later

NEXT_DOCUMENT = """
  1 + max((SELECT document FROM indexed),
          ifnull((SELECT document FROM turns WHERE document IS NOT NULL ORDER BY document DESC LIMIT 1), 0))
"""
"""The number of the next document, which none has had that is in the index."""


def index(db: Connection, seal: Seal) -> bool:
    """Put documents into the index that are not there yet; whether there may be more of them."""
    found = db.execute(
        """SELECT document, id, body FROM turns WHERE document > (SELECT document FROM indexed)
           ORDER BY document LIMIT ?""",
        (_AT_ONCE,),
    ).fetchall()
    if found:
        db.executemany("INSERT INTO said (rowid, text) VALUES (?, ?)", _documents(seal, found))
        db.execute("UPDATE indexed SET document = ?", (found[-1][0],))
    return len(found) == _AT_ONCE


def _documents(seal: Seal, found: Sequence[tuple[int, str, bytes]]) -> list[tuple[int, str]]:
    """The numbers and the texts, without those of turns that cannot be read."""
    numbers, ids, bodies = zip(*found, strict=True)
    try:
        turns = rows.to_turns(bodies, {"id": ids}, seal.open, lambda _: b"")
    except MultiturnError:
        return [document for row in found for document in _documents(seal, [row])] if len(found) > 1 else []
    return [(number, _as_indexed(rows.text_of(turn))) for number, turn in zip(numbers, turns, strict=True)]


def remove(db: Connection, seal: Seal, key: int) -> None:
    """Forget an ended turn's words. The index keeps no text, so that it has to be told what to forget."""
    if seal.on:
        return
    row = db.execute(
        "SELECT document, id, body FROM turns WHERE key = ? AND document <= (SELECT document FROM indexed)", (key,)
    ).fetchone()
    if row is not None:
        db.executemany("INSERT INTO said (said, rowid, text) VALUES ('delete', ?, ?)", _documents(seal, [row]))


def _as_indexed(text: str) -> str:
    """The text such that FTS5 finds the same words in it as we do; in ASCII it does so by itself."""
    return text if text.isascii() else " ".join(expressions.words_of(text))


def search(db: Connection, seal: Seal, tenant: str, words: str, user: str | None, limit: int) -> tuple[Found, ...]:
    if seal.on:
        raise SearchOff("this store is encrypted, so that what was said in it cannot be searched")
    expression = expressions.parse(words)
    found: list[Found] = []
    for key in _candidates(db, tenant, expression, user):
        turn = reading.at(db, seal, key)
        text = rows.text_of(turn)
        if expressions.matches(expression, text):
            found.append(Found(turn, expressions.excerpt(expression, text)))
            if len(found) == limit:
                break
    return tuple(found)


def _candidates(db: Connection, tenant: str, expression: Expression, user: str | None) -> Iterator[int]:
    """The keys of turns that have all the words, or are not in the index yet; the newest first."""
    terms = [f'"{word}"' for word in expression.every_word] + [f'"{start}"*' for start in expression.beginnings]
    rows = db.execute(
        """SELECT t.key FROM (
             SELECT rowid AS document FROM said WHERE said MATCH ?
             UNION ALL SELECT document FROM turns WHERE document > (SELECT document FROM indexed)
           ) s JOIN turns t ON t.document = s.document JOIN conversations c ON c.key = t.conversation
           WHERE t.tenant = ? AND (? IS NULL OR c.user = ?)
             AND NOT EXISTS (SELECT 1 FROM withdrawn w WHERE w.turn = t.key) ORDER BY t.id DESC""",
        (" AND ".join(terms), tenant, user, user),
    )
    return (key for (key,) in rows.fetchall())
