"""Full-text search in SQL (tsvector). The index has the words, folded and split as in every store; the turns themselves
are asked for phrases."""

from __future__ import annotations

from collections.abc import AsyncIterator

from multiturn.errors import SearchOff
from multiturn.stores import expressions, rows
from multiturn.stores.expressions import Expression
from multiturn.stores.postgres import reading
from multiturn.stores.postgres.session import Session
from multiturn.stores.postgres.writing import as_indexed
from multiturn.stores.records import Found
from multiturn.turns import Turn

_PAGE = 50

_CANDIDATES = """
  SELECT t.id
  FROM said s, LATERAL (
    SELECT id, conversation FROM turns
    WHERE tenant = $1 AND tree = s.tree AND branch = s.branch AND position = s.position OFFSET 0
  ) t
  WHERE s.tenant = $1 AND s.words @@ $2::tsquery AND ($4::text IS NULL OR t.id < $4) AND ($3::text IS NULL OR $3 = (
    SELECT user_id FROM conversations c WHERE c.tenant = $1 AND c.tree = s.tree AND c.id = t.conversation))
  ORDER BY t.id DESC LIMIT $5
"""


async def search(db: Session, words: str, user: str | None, limit: int) -> tuple[Found, ...]:
    if db.seal.on:
        raise SearchOff("this store is encrypted, so that what was said in it cannot be searched")
    expression = expressions.parse(words)
    found: list[Found] = []
    async for turn in _candidates(db, expression, user):
        text = rows.text_of(turn)
        if expressions.matches(expression, text):
            found.append(Found(turn, expressions.excerpt(expression, text)))
            if len(found) == limit:
                break
    return tuple(found)


async def _candidates(db: Session, expression: Expression, user: str | None) -> AsyncIterator[Turn]:
    """Turns that have all the words, the newest first."""
    query, last = _query(expression), None
    while ids := await db.column(_CANDIDATES, query, user, last, _PAGE):
        for turn in await reading.some(db, ids):
            yield turn
        last = ids[-1]


def _query(expression: Expression) -> str:
    """As PostgreSQL writes it; words are letters, digits and `_`, so that there is nothing to escape."""
    terms = [f"'{as_indexed(word)}'" for word in expression.every_word]
    return " & ".join(terms + [f"'{as_indexed(word)}':*" for word in expression.beginnings])
