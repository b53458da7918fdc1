"""Where things are: trees, which are held while they change, and places on them."""

from __future__ import annotations

from typing import NamedTuple

from multiturn.errors import NotFound
from multiturn.stores.postgres.session import Session


def from_first_on(branch: str = "branch", position: str = "position") -> str:
    """The condition that a place lies on tree `$2`, on one of the branches `$3`, at or behind the position that `$4`
    has for this branch."""
    return f"tree = $2 AND {branch} = ANY($3) AND {position} >= ($4::integer[])[array_position($3, {branch})]"


class Place(NamedTuple):
    """A turn's place: a row of `turns` has it as (tree, branch, position)."""

    tree: int
    branch: int
    position: int


async def hold_tree(db: Session, conversation: str) -> int:
    """The conversation's tree, on which nobody else begins, moves or deletes anything until this transaction ends.
    Raises `NotFound`."""
    tree = await db.value("SELECT hold_tree($1, $2)", conversation)
    if tree is None:
        raise NotFound("conversation", conversation)
    return int(tree)


async def hold_tree_of_turn(db: Session, id: str) -> Place:
    """The same for the tree of a turn, and its place. Raises `NotFound`."""
    place = await find_turn(db, id)
    await db.run("SELECT 1 FROM trees WHERE tenant = $1 AND tree = $2 FOR UPDATE", place.tree)
    return await find_turn(db, id, place.tree)


async def find_turn(db: Session, id: str, tree: int | None = None) -> Place:
    """A turn's place, on this tree if one is given. Raises `NotFound`, also for one that was withdrawn."""
    row = await db.row("SELECT tree, branch, position FROM turns WHERE tenant = $1 AND id = $2 AND NOT withdrawn", id)
    if row is None or tree not in (None, row["tree"]):
        raise NotFound("turn", id)
    return Place(*row)


async def tree_of(db: Session, conversation: str) -> int:
    """The conversation's tree. Raises `NotFound`."""
    tree = await db.value("SELECT tree FROM names WHERE tenant = $1 AND id = $2", conversation)
    if tree is None:
        raise NotFound("conversation", conversation)
    return int(tree)
