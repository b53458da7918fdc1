"""`multiturn export`: conversations into a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from multiturn.cli.places import open_for_reading, shown, store_option, store_url, tenant_option

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from multiturn.stores.base import Store
    from multiturn.transfer import FormatName


@click.command(
    epilog="""\b
Examples:
  multiturn export --output chats.jsonl
  multiturn export trip | gzip > trip.jsonl.gz
  multiturn export --format openai --output training.jsonl
  multiturn export | multiturn import - --store postgresql:///chats

\b
jsonl loses nothing: forks, failed turns, usage and images are in it, and what
is imported elsewhere is exported there byte for byte. A conversation comes
with those that share turns with it. openai (a fine-tuning file) and sharegpt
hold what was said up to the head of each conversation, a line each."""
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--output", metavar="FILE", default="-", help="Where to; stdout if not given. Written whole or not at all."
)
@click.option("--format", type=click.Choice(["jsonl", "openai", "sharegpt"]), default="jsonl", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object about what was done; needs --output.")
@store_option
@tenant_option
def export(
    ids: tuple[str, ...], output: str, format: FormatName, as_json: bool, store: str | None, tenant: str | None
) -> None:
    """Write conversations into a file.

    All of them, or those of these IDs.
    """
    from multiturn import sync
    from multiturn.transfer import FORMATS

    if as_json and output == "-":
        raise click.UsageError("--json needs --output, for stdout has the export", click.get_current_context())
    opened = open_for_reading(store, tenant)
    if opened is None:
        raise click.ClickException(f"there is nothing in {shown(store_url(store))} to export")
    done, size = _write(opened, sync.run(_found(opened, ids)) if ids else None, output, format)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode({"conversations": done, "bytes": size, "format": format, "output": output}))
        return
    from multiturn.cli.charts import size as readable
    from multiturn.cli.console import note
    from multiturn.cli.transcript import counted

    where = "" if output == "-" else f" to {output}"
    click.echo(f"Exported {counted(done, 'conversation')}{where} ({readable(size)}).", err=True)
    if FORMATS[format].LOSES:
        note(FORMATS[format].LOSES)


async def _found(store: Store, ids: tuple[str, ...]) -> list[str]:
    from multiturn.cli.ids import find_conversation

    return [(await find_conversation(store, id)).id for id in ids]


def _write(store: Store, ids: list[str] | None, output: str, format: FormatName) -> tuple[int, int]:
    """How many conversations and bytes were written."""
    from multiturn.cli.files import written
    from multiturn.cli.progress import progress
    from multiturn.transfer import exported

    done = size = 0
    with written(output) as file, progress("Exporting") as tell:

        def told(now: int, total: int) -> None:
            nonlocal done
            done = now
            tell(now, total)

        for piece in _each(exported(store, format=format, conversation_ids=ids, progress=told)):
            file.write(piece)
            size += len(piece)
    return done, size


def _each(pieces: AsyncGenerator[bytes, None]) -> Iterator[bytes]:
    """The pieces at the pace at which they are written, so that no more than one is held."""
    from multiturn import sync

    async def following() -> bytes | None:
        return await anext(pieces, None)

    try:
        while (piece := sync.run(following())) is not None:
            yield piece
    finally:
        sync.run(_closed(pieces))


async def _closed(pieces: AsyncGenerator[bytes, None]) -> None:
    await pieces.aclose()
