"""Full-text search in SQL (FTS5). The index has the words, by the turns' keys; the turns themselves are asked for
phrases, which keeps the index small."""

from __future__ import annotations

from collections.abc import Iterator

from multiturn.errors import SearchOff
from multiturn.stores import expressions, rows
from multiturn.stores.expressions import Expression
from multiturn.stores.records import Found
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import reading
from multiturn.stores.sqlite.schema import Connection


def add(db: Connection, key: int, text: str) -> None:
    """Make a turn's words findable."""
    if text:
        db.execute("INSERT INTO said (rowid, text) VALUES (?, ?)", (key, _as_indexed(text)))


def remove(db: Connection, seal: Seal, key: int) -> None:
    """Forget an ended turn's words. The index keeps no text, so that it has to be told what to forget."""
    if not seal.on:
        text = reading.words_at(db, seal, key)
        if text:
            db.execute("INSERT INTO said (said, rowid, text) VALUES ('delete', ?, ?)", (key, _as_indexed(text)))


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
    """The keys of turns that have all the words, the newest first."""
    terms = [f'"{word}"' for word in expression.every_word] + [f'"{start}"*' for start in expression.beginnings]
    rows = db.execute(
        """SELECT t.key FROM said s JOIN turns t ON t.key = s.rowid JOIN conversations c ON c.key = t.conversation
           WHERE said MATCH ? AND t.tenant = ? AND (? IS NULL OR c.user = ?)
             AND NOT EXISTS (SELECT 1 FROM withdrawn w WHERE w.turn = t.key) ORDER BY t.id DESC""",
        (" AND ".join(terms), tenant, user, user),
    )
    return (key for (key,) in rows.fetchall())
