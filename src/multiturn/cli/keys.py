"""`multiturn keys`: who may call the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import click

from multiturn.cli.places import open_for_reading, open_for_writing, shown, store_option, store_url

if TYPE_CHECKING:
    from rich.table import Table

    from multiturn.stores.base import Store
    from multiturn.stores.records import KeyRecord

_TITLES = ("id", "tenant", "name", "made", "limits")
_LONGEST = 100  # characters of a tenant's or a key's name


@click.group(
    epilog="""\b
Examples:
  multiturn keys create --tenant acme --name "their web site"
  multiturn keys create --tenant acme --rpm 60 --tpm 100000
  multiturn keys list
  multiturn keys revoke 3kf0a1b2         its id, or the end of it

\b
A client sends its key as any SDK does: OpenAI(api_key="mt-…"). As long as
there is no key, the server serves only programs on this machine; from the
first one on, everybody needs one."""
)
def keys() -> None:
    """Make and revoke the API keys of the server.

    Each key belongs to a tenant, and sees only what that tenant's keys have made.
    """


@keys.command(
    epilog="""\b
Examples:
  multiturn keys create --tenant acme
  multiturn keys create --tenant acme --name ci --rpm 60 --tpm 100000
  KEY=$(multiturn keys create --tenant acme)      only the key is on stdout
  multiturn keys create --store postgresql://me@db/chats"""
)
@click.option(
    "--tenant",
    metavar="NAME",
    default="",
    help="Whose key it is. Without it, that of whoever runs the server, who sees what `multiturn chat` keeps.",
)
@click.option("--name", metavar="TEXT", help="What the key is for, as `keys list` shows it.")
@click.option("--rpm", metavar="N", type=click.IntRange(1), help="How many requests a minute it may make.")
@click.option("--tpm", metavar="N", type=click.IntRange(1), help="How many tokens a minute it may use.")
@store_option
def create(tenant: str, name: str | None, rpm: int | None, tpm: int | None, store: str | None) -> None:
    """Make a key, and show it this once.

    The store keeps only its hash, so that nothing can show it again.
    """
    from multiturn import sync
    from multiturn.cli.console import note
    from multiturn.server.auth import new_key

    _check_name("--tenant", tenant)
    _check_name("--name", name or "")
    text, record = new_key(tenant, name=name, requests_per_minute=rpm, tokens_per_minute=tpm)
    sync.run(open_for_writing(store).create_key(record))
    click.echo(text)
    whose = f"of the tenant {tenant}" if tenant else "of whoever runs the server"
    note(f"This is {record.id}, a key {whose}, in {shown(store_url(store))}. It is shown only now.")


@keys.command(
    "list",
    epilog="""\b
Examples:
  multiturn keys list
  multiturn keys list --json | jq -r 'select(.tenant == "acme") | .id'""",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@store_option
def list_(as_json: bool, store: str | None) -> None:
    """Show the keys, the oldest first; never the secret itself."""
    from multiturn import sync
    from multiturn.cli.console import console, note, print_lines

    opened = open_for_reading(store)
    records = sync.run(opened.keys()) if opened else ()
    if as_json:
        _print_json(records)
    elif records:
        print_lines(console(), _table(records))
    else:
        note(f"No keys in {shown(store_url(store))}; 'multiturn keys create' makes one.")


@keys.command(
    epilog="""\b
Examples:
  multiturn keys revoke key_06f1q4f4jr3kf0a1b2c3d4e5f6
  multiturn keys revoke 3kf0a1b2"""
)
@click.argument("id")
@store_option
def revoke(id: str, store: str | None) -> None:
    """Let a key be good for nothing, for ever.

    Servers that run notice within 5 seconds. What its tenant has made stays.
    """
    from multiturn import sync
    from multiturn.cli.console import printable

    opened = open_for_reading(store)
    record = sync.run(_revoked(opened, id)) if opened else _unknown(id)
    if record.revoked_at is not None:
        click.echo(f"{record.id} was revoked before.")
    else:
        click.echo(f"Revoked {printable(_described(record))}.")


async def _revoked(store: Store, given: str) -> KeyRecord:
    """The key as it was before; revoked now. It is named by its id, or by the end of it."""
    found = [record for record in await store.keys() if record.id == given or _is_end(given, record.id)]
    if len(found) > 1:
        raise click.ClickException(
            f"'{given}' could be {' or '.join(record.id for record in found[:3])}; give more of it"
        )
    if not found:
        _unknown(given)
    await store.revoke_key(found[0].id)
    return found[0]


def _is_end(given: str, id: str) -> bool:
    return len(given) >= 6 and id.endswith(given)


def _unknown(given: str) -> NoReturn:
    raise click.ClickException(f"there is no key '{given}'; 'multiturn keys list' shows those there are")


def _check_name(option: str, name: str) -> None:
    if len(name) > _LONGEST or not name.isprintable() or name != name.strip():
        raise click.UsageError(
            f"{option} must be one line of at most {_LONGEST} characters", click.get_current_context()
        )


def _print_json(records: tuple[KeyRecord, ...]) -> None:
    import msgspec

    for record in records:
        fields = msgspec.structs.asdict(record)
        del fields["digest"]
        click.echo(msgspec.json.encode(fields))


def _table(records: tuple[KeyRecord, ...]) -> Table:
    from rich.table import Table

    from multiturn.cli.console import printable
    from multiturn.cli.transcript import age

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="note")
    for title in _TITLES:
        table.add_column(title, overflow="fold")
    for record in records:
        revoked = record.revoked_at is not None
        table.add_row(
            record.id,
            printable(record.tenant),
            printable(record.name or ""),
            age(record.created_at),
            f"revoked {age(record.revoked_at)}" if record.revoked_at is not None else _limits(record),
            style="note" if revoked else None,
        )
    return table


def _limits(record: KeyRecord) -> str:
    limits = ((record.requests_per_minute, "requests"), (record.tokens_per_minute, "tokens"))
    said = [f"{number:,} {what} a minute" for number, what in limits if number is not None]
    return ", ".join(said)


def _described(record: KeyRecord) -> str:
    name = f", {record.name}" if record.name else ""
    return f"{record.id}{name}, a key of {f'the tenant {record.tenant}' if record.tenant else 'no tenant'}"
