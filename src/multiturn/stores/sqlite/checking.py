"""Is the tree whole? Questions in SQL, each of which should find nothing."""

from __future__ import annotations

import msgspec

from multiturn.errors import StoreError
from multiturn.stores.sealing import Seal
from multiturn.stores.sqlite import reading
from multiturn.stores.sqlite.schema import Connection

_QUESTIONS = {
    "conversation {} stands on a turn that is not there": """
        SELECT id FROM conversations c WHERE head IS NOT NULL AND NOT EXISTS (SELECT 1 FROM turns WHERE key = c.head)
        OR latest IS NOT NULL AND NOT EXISTS (SELECT 1 FROM turns WHERE key = c.latest)""",
    "conversation {} stands on another conversation's tree": """
        SELECT c.id FROM conversations c JOIN branches b ON b.key IN (c.head >> 24, c.latest >> 24)
        WHERE b.tree <> c.tree""",
    "turn {} is on no branch": """
        SELECT id FROM turns t WHERE NOT EXISTS (SELECT 1 FROM branches WHERE key = t.key >> 24)""",
    "branch {} leaves a turn that is not there": """
        SELECT key FROM branches b
        WHERE parent IS NOT NULL AND NOT EXISTS (SELECT 1 FROM turns WHERE key = b.parent)""",
    "branch {} leaves another tree": """
        SELECT b.key FROM branches b JOIN branches p ON p.key = b.parent >> 24 WHERE p.tree <> b.tree""",
    "turn {} follows nothing": """
        SELECT id FROM turns t JOIN branches b ON b.key = t.key >> 24
        WHERE NOT EXISTS (SELECT 1 FROM turns WHERE key = t.key - 1)
        AND (t.key & 16777215) <> CASE WHEN b.parent IS NULL THEN 0 ELSE (b.parent & 16777215) + 1 END""",
    "turn {} was made in a conversation that is not there": """
        SELECT id FROM turns t WHERE NOT EXISTS (SELECT 1 FROM conversations WHERE key = t.conversation)""",
    "turn {} is of another tenant than its conversation": """
        SELECT t.id FROM turns t JOIN conversations c ON c.key = t.conversation WHERE c.tenant <> t.tenant""",
    "conversation {} stands on another tenant's turn": """
        SELECT c.id FROM conversations c JOIN turns t ON t.key IN (c.head, c.latest) WHERE c.tenant <> t.tenant""",
    "turn {} is in progress, and nobody runs it": """
        SELECT id FROM turns t WHERE status = 0 AND NOT EXISTS (SELECT 1 FROM running WHERE turn = t.key)""",
    "turn {} has ended, and somebody runs it": """
        SELECT id FROM turns t JOIN running r ON r.turn = t.key WHERE t.status <> 0""",
    "there are pieces of turn {}, which does not run": """
        SELECT DISTINCT turn FROM deltas d WHERE NOT EXISTS (SELECT 1 FROM running WHERE turn = d.turn)
        AND NOT EXISTS (SELECT 1 FROM background WHERE turn = d.turn)""",
    "turn {} is said to run in the background, and is not there": """
        SELECT turn FROM background b WHERE NOT EXISTS (SELECT 1 FROM turns WHERE key = b.turn)""",
    "turn {} runs in the background, and has ended": """
        SELECT id FROM turns t JOIN background b ON b.turn = t.key WHERE (t.status = 0) <> (b.ended_at IS NULL)""",
    "turn {} and another are the same document": """
        SELECT id FROM turns WHERE document IS NOT NULL GROUP BY document HAVING count(*) > 1""",
    "turn {} was withdrawn, and is not there": """
        SELECT turn FROM withdrawn w WHERE NOT EXISTS (SELECT 1 FROM turns WHERE key = w.turn)""",
    "turn {} was withdrawn, and nobody follows it": """
        SELECT id FROM withdrawn w JOIN turns t ON t.key = w.turn JOIN branches of ON of.key = w.turn >> 24
        WHERE NOT EXISTS (SELECT 1 FROM turns WHERE key = w.turn + 1)
        AND NOT EXISTS (SELECT 1 FROM branches b JOIN turns c ON c.key BETWEEN b.key << 24 AND (b.key << 24) + 16777215
          WHERE b.parent = w.turn AND (b.key = of.tree OR b.tree = of.tree AND b.tree <> b.key))""",
    "conversation {} stands on a turn that was withdrawn": """
        SELECT id FROM conversations WHERE head IN (SELECT turn FROM withdrawn)
        OR latest IN (SELECT turn FROM withdrawn)""",
    "an attachment of turn {} is not there": """
        SELECT turn FROM attached a WHERE NOT EXISTS (SELECT 1 FROM attachments WHERE digest = a.digest)""",
    "attachment {} is nobody's": """
        SELECT hex(digest) FROM attachments a WHERE NOT EXISTS (SELECT 1 FROM attached WHERE digest = a.digest)""",
    "a text of turn {} is not there": """
        SELECT id FROM (
          SELECT id, instructions AS text, 0 AS is_name FROM turns UNION ALL SELECT id, asked, 0 FROM turns
          UNION ALL SELECT id, model, 1 FROM turns UNION ALL SELECT id, answered, 1 FROM turns) has
        WHERE text IS NOT NULL AND NOT EXISTS (SELECT 1 FROM texts WHERE key = has.text AND is_name >= has.is_name)""",
    "text {} is nobody's": """
        SELECT key FROM texts x WHERE NOT is_name AND NOT EXISTS (SELECT 1 FROM turns WHERE instructions = x.key)
        AND NOT EXISTS (SELECT 1 FROM turns WHERE asked = x.key)
        AND NOT EXISTS (SELECT 1 FROM conversations WHERE instructions = x.key)""",
    "turn {} can be found by what was said, and is not there": """
        SELECT turn FROM noted n
        WHERE NOT EXISTS (SELECT 1 FROM turns WHERE key = n.turn AND tenant = n.tenant)
        OR EXISTS (SELECT 1 FROM withdrawn WHERE turn = n.turn)""",
}


def check(db: Connection, seal: Seal) -> tuple[str, ...]:
    problems = [row[0] for row in db.execute("PRAGMA integrity_check").fetchall() if row[0] != "ok"]
    for problem, question in _QUESTIONS.items():
        problems += [problem.format(name) for (name,) in db.execute(question).fetchall()]
    for key, id in db.execute("SELECT key, id FROM turns").fetchall():
        try:
            reading.at(db, seal, key)
        except (StoreError, msgspec.DecodeError, TypeError) as error:
            problems.append(f"turn {id} cannot be read: {error}")
    return tuple(problems)
