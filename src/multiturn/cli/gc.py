"""`multiturn gc`: let go of what is too old."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import click

from multiturn.cli.places import open_for_reading, store_option, tenant_option
from multiturn.cli.times import Span

if TYPE_CHECKING:
    from multiturn.stores.base import Store
    from multiturn.stores.records import Collected, ConversationRecord, Retention

_PAGE = 500


class _Due(NamedTuple):
    tenant: str
    record: ConversationRecord


@click.command(
    epilog="""\b
Examples:
  multiturn gc --older-than 90d                begun more than 90 days ago
  multiturn gc --idle 30d --dry-run            what it would be
  multiturn gc --keep 100                      the last 100 of each user stay
  multiturn gc --idle 1y --tenant acme         the others' stay as they are

\b
What one rule lets go is deleted for good, without being asked; --dry-run
shows it first. A conversation on which a turn runs is left for the next time,
and turns that another conversation shares stay with that one. Without
--tenant, the rules are for every tenant."""
)
@click.option("--older-than", metavar="TIME", type=Span(), help="Delete what was begun longer ago: 90d, 12h, 2w, 1y.")
@click.option("--idle", metavar="TIME", type=Span(), help="Delete what has not been used for so long.")
@click.option("--keep", metavar="N", type=click.IntRange(0), help="Delete all but the N last used of each user.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object, or with --dry-run one a line.")
@store_option
@tenant_option
def gc(
    older_than: float | None,
    idle: float | None,
    keep: int | None,
    dry_run: bool,
    as_json: bool,
    store: str | None,
    tenant: str | None,
) -> None:
    """Delete old conversations by rules, and give their space back."""
    from multiturn import sync
    from multiturn.stores.records import Collected, Retention

    if older_than is None and idle is None and keep is None:
        raise click.UsageError("say what may go: --older-than, --idle or --keep", click.get_current_context())
    retention = Retention(age_s=older_than, idle_s=idle, keep=keep)
    opened = open_for_reading(store, tenant)
    if dry_run:
        _print_due(sync.run(_due(opened, tenant, retention)) if opened else [], as_json=as_json)
    else:
        _print(sync.run(opened.collect(retention)) if opened else Collected(), as_json=as_json)


async def _due(store: Store, tenant: str | None, retention: Retention) -> list[_Due]:
    """What the rules would let go, a tenant after another, the last used first."""
    tenants = [tenant] if tenant else await store.tenants()
    return [_Due(name, record) for name in tenants for record in await _due_of(store.tenant(name), retention)]


async def _due_of(store: Store, retention: Retention) -> list[ConversationRecord]:
    import time

    from multiturn.stores.records import Cursor

    now, found, after = time.time(), [], None
    used_later: Counter[str | None] = Counter()  # conversations of each user
    while page := await store.conversations(limit=_PAGE, after=after):
        for record in page:
            used_later[record.user] += 1
            if _goes(record, retention, now, used_later[record.user]):
                found.append(record)
        after = Cursor(page[-1].updated_at, page[-1].id)
    return found


def _goes(record: ConversationRecord, rules: Retention, now: float, rank: int) -> bool:
    return (
        (rules.age_s is not None and record.created_at < now - rules.age_s)
        or (rules.idle_s is not None and record.updated_at < now - rules.idle_s)
        or (rules.keep is not None and rank > rules.keep)
    )


def _print_due(due: list[_Due], *, as_json: bool) -> None:
    from multiturn.cli.console import printable
    from multiturn.cli.transcript import age, counted

    for tenant, record in due:
        if as_json:
            import msgspec

            fields = {"id": record.id, "user": record.user, "updated_at": record.updated_at}
            click.echo(msgspec.json.encode({**fields, "tenant": tenant} if tenant else fields))
        else:
            of = f" of {printable(tenant)}" if tenant else ""
            click.echo(f"  {printable(record.id)}{of}, last used {age(record.updated_at)}")
    if not as_json:
        click.echo(f"{counted(len(due), 'conversation')} would go; nothing was deleted.")


def _print(gone: Collected, *, as_json: bool) -> None:
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(gone))
        return
    from multiturn.cli.charts import size
    from multiturn.cli.transcript import counted

    what = [counted(gone.conversations, "conversation"), counted(gone.turns, "turn")]
    if gone.attachments:
        what.append(counted(gone.attachments, "attachment"))
    space = f"; {size(gone.freed_bytes)} given back" if gone.freed_bytes else ""
    click.echo(f"Deleted {', '.join(what)}{space}." if gone.conversations else f"Nothing was due{space}.")
