"""Is the tree whole? Questions in SQL, each of which should find nothing."""

from __future__ import annotations

import msgspec

from multiturn.errors import StoreError
from multiturn.stores.postgres import reading
from multiturn.stores.postgres.session import Session

_TURN = (
    "SELECT 1 FROM turns t WHERE t.tenant = $1 AND t.tree = {0}.tree AND t.branch = {0}.{1} AND t.position = {0}.{2}"
)


def _no_turn(table: str, branch: str = "branch", position: str = "position") -> str:
    return f"NOT EXISTS ({_TURN.format(table, branch, position)})"


_QUESTIONS = {
    "conversation {} stands on a turn that is not there": f"""
        SELECT id FROM conversations c
        WHERE tenant = $1 AND (head_branch IS NOT NULL AND {_no_turn("c", "head_branch", "head_position")}
          OR latest_branch IS NOT NULL AND {_no_turn("c", "latest_branch", "latest_position")})""",
    "conversation {} is not under its name": """
        SELECT id FROM conversations c FULL JOIN names n USING (tenant, id, tree)
        WHERE tenant = $1 AND (c.created_at IS NULL OR n.* IS NULL)""",
    "tree {} has no row to hold it by": """
        SELECT DISTINCT tree FROM conversations c
        WHERE tenant = $1 AND NOT EXISTS (SELECT 1 FROM trees r WHERE r.tenant = $1 AND r.tree = c.tree)""",
    "turn {} is on no branch": """
        SELECT id FROM turns t WHERE tenant = $1 AND NOT EXISTS (
          SELECT 1 FROM branches b WHERE b.tenant = $1 AND b.tree = t.tree AND b.branch = t.branch)""",
    "branch {} leaves a turn that is not there": f"""
        SELECT tree || '/' || branch FROM branches b
        WHERE tenant = $1 AND parent_branch IS NOT NULL AND {_no_turn("b", "parent_branch", "parent_position")}""",
    "turn {} follows nothing": """
        SELECT t.id FROM turns t JOIN branches b USING (tenant, tree, branch)
        WHERE tenant = $1 AND t.position <> coalesce(b.parent_position + 1, 0) AND NOT EXISTS (
          SELECT 1 FROM turns p WHERE p.tenant = $1 AND p.tree = t.tree AND p.branch = t.branch
            AND p.position = t.position - 1)""",
    "turn {} was made in a conversation that is not there": """
        SELECT id FROM turns t WHERE tenant = $1 AND NOT EXISTS (
          SELECT 1 FROM conversations c WHERE c.tenant = $1 AND c.tree = t.tree AND c.id = t.conversation)""",
    "turn {} is there more than once": """
        SELECT id FROM turns WHERE tenant = $1 GROUP BY id HAVING count(*) > 1""",
    "turn {} is in progress, and nobody runs it": """
        SELECT id FROM turns t WHERE tenant = $1 AND status = 'in_progress' AND NOT EXISTS (
          SELECT 1 FROM running r WHERE r.tenant = $1 AND r.tree = t.tree AND r.branch = t.branch
            AND r.position = t.position)""",
    "turn {} has ended, and somebody runs it": """
        SELECT t.id FROM turns t JOIN running r USING (tenant, tree, branch, position)
        WHERE tenant = $1 AND t.status <> 'in_progress'""",
    "turn {} should run, and is not there": f"""
        SELECT tree || '/' || branch || '/' || position FROM running r WHERE tenant = $1 AND {_no_turn("r")}""",
    "there are pieces of turn {}, which does not run": """
        SELECT DISTINCT tree || '/' || branch || '/' || position FROM deltas d
        WHERE tenant = $1 AND NOT EXISTS (
          SELECT 1 FROM running r WHERE r.tenant = $1 AND r.tree = d.tree AND r.branch = d.branch
            AND r.position = d.position)
        AND NOT EXISTS (
          SELECT 1 FROM background b WHERE b.tenant = $1 AND b.tree = d.tree AND b.branch = d.branch
            AND b.position = d.position)""",
    "turn {} is said to run in the background, and is not there": f"""
        SELECT tree || '/' || branch || '/' || position FROM background b WHERE tenant = $1 AND {_no_turn("b")}""",
    "turn {} runs in the background, and has ended": """
        SELECT t.id FROM turns t JOIN background b USING (tenant, tree, branch, position)
        WHERE tenant = $1 AND (t.status = 'in_progress') <> (b.ended_at IS NULL)""",
    "turn {} was withdrawn, and nobody follows it": """
        SELECT t.id FROM turns t WHERE tenant = $1 AND withdrawn AND NOT EXISTS (
          SELECT 1 FROM turns n WHERE n.tenant = $1 AND n.tree = t.tree AND n.branch = t.branch
            AND n.position = t.position + 1)
        AND NOT EXISTS (
          SELECT 1 FROM branches b WHERE b.tenant = $1 AND b.tree = t.tree AND b.parent_branch = t.branch
            AND b.parent_position = t.position)""",
    "conversation {} stands on a turn that was withdrawn": """
        SELECT c.id FROM conversations c JOIN turns t ON t.tenant = c.tenant AND t.tree = c.tree
          AND (t.branch, t.position) IN ((c.head_branch, c.head_position), (c.latest_branch, c.latest_position))
        WHERE c.tenant = $1 AND t.withdrawn""",
    "there are words of turn {}, which is not there": f"""
        SELECT tree || '/' || branch || '/' || position FROM said s WHERE tenant = $1 AND {_no_turn("s")}""",
    "there is an attachment of turn {}, which is not there": f"""
        SELECT tree || '/' || branch || '/' || position FROM attached a WHERE tenant = $1 AND {_no_turn("a")}""",
    "an attachment of turn {} is not there": """
        SELECT t.id FROM attached h JOIN turns t USING (tenant, tree, branch, position)
        WHERE tenant = $1 AND NOT EXISTS (
          SELECT 1 FROM attachments a WHERE a.tenant = $1 AND a.digest = h.digest)""",
    "attachment {} is nobody's": """
        SELECT encode(digest, 'hex') FROM attachments a WHERE tenant = $1 AND NOT EXISTS (
          SELECT 1 FROM attached h WHERE h.tenant = $1 AND h.digest = a.digest)""",
    "a text of turn {} is not there": """
        SELECT t.id FROM turns t, LATERAL (VALUES (t.instructions), (t.asked)) AS has (digest)
        WHERE t.tenant = $1 AND has.digest IS NOT NULL AND NOT EXISTS (
          SELECT 1 FROM texts x WHERE x.tenant = $1 AND x.tree = t.tree AND x.digest = has.digest)""",
    "turn {} can be found by what was said, and is not there": """
        SELECT tree || '/' || branch || '/' || position FROM noted n
        WHERE tenant = $1 AND NOT EXISTS (
          SELECT 1 FROM turns t WHERE t.tenant = $1 AND t.tree = n.tree AND t.branch = n.branch
            AND t.position = n.position AND NOT t.withdrawn)""",
}


_TENANTS = "SELECT tenant FROM names UNION SELECT tenant FROM turns UNION SELECT tenant FROM attachments ORDER BY 1"


async def check(db: Session) -> tuple[str, ...]:
    """As `Store.check`: what is wrong for any tenant."""
    async with db.sums():
        tenants = await db.connection.fetch(_TENANTS)
    return tuple([problem for (tenant,) in tenants for problem in await _problems(db.of(tenant))])


async def _problems(db: Session) -> list[str]:
    problems: list[str] = []
    async with db.sums():
        for problem, question in _QUESTIONS.items():
            problems += [problem.format(name) for name in await db.column(question)]
    for tree in await db.column("SELECT tree FROM trees WHERE tenant = $1 ORDER BY tree"):
        try:
            await reading.tree(db, tree)
        except (StoreError, msgspec.DecodeError, TypeError, KeyError) as error:
            problems += await _unreadable(db, tree) or [f"tree {tree} cannot be read: {error}"]
    return problems


async def _unreadable(db: Session, tree: int) -> list[str]:
    """Which turns of a tree cannot be read, and why."""
    problems = []
    for id in await db.column("SELECT id FROM turns WHERE tenant = $1 AND tree = $2 ORDER BY branch, position", tree):
        try:
            await reading.some(db, [id], withdrawn=True)
        except (StoreError, msgspec.DecodeError, TypeError, KeyError) as error:
            problems.append(f"turn {id} cannot be read: {error}")
    return problems
