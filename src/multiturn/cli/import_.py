"""`multiturn import`: conversations from a file."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Literal

import click

from multiturn.cli.places import open_for_writing, store_option, tenant_option

if TYPE_CHECKING:
    from multiturn.cli.files import Pieces
    from multiturn.transfer import FormatName, Imported, Importing

_LACKS = "The file has no times, users, models or usage; its conversations were made just now."


@click.command(
    "import",
    epilog="""\b
Examples:
  multiturn import chats.jsonl
  gunzip -c trip.jsonl.gz | multiturn import -
  multiturn import training.jsonl --format openai --store sqlite:///new.db
  multiturn import sharegpt.json

\b
Each conversation is stored whole, as it comes. What is there already is left
out, so that a broken import can be run again. Where something else has the
id, it stops there; with --on-conflict skip, it leaves what there is.""",
)
@click.argument("file")
@click.option(
    "--format", type=click.Choice(["jsonl", "openai", "sharegpt"]), help="[default: what the file looks like]"
)
@click.option("--on-conflict", type=click.Choice(["error", "skip"]), default="error", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object about what was done.")
@store_option
@tenant_option
def import_(
    file: str,
    format: FormatName | None,
    on_conflict: Literal["error", "skip"],
    as_json: bool,
    store: str | None,
    tenant: str | None,
) -> None:
    """Store the conversations of a FILE, or of stdin for -.

    The file is one that 'multiturn export' has written, a fine-tuning file for OpenAI, or ShareGPT.
    """
    from multiturn.cli.files import Pieces
    from multiturn.transfer import FORMATS, Importing, guess

    with closing(Pieces(file)) as pieces:
        form = FORMATS[format or guess(pieces.start())]
        work = Importing(open_for_writing(store, tenant), form, on_conflict)
        try:
            _read(work, pieces)
        except BaseException:
            if work.total.conversations:
                click.echo(f"{_told(work.total)} The next import of this file goes on from there.", err=True)
            raise
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(work.total))
        return
    from multiturn.cli.console import note

    click.echo(_told(work.total))
    if not form.LOSSLESS and work.total.conversations:
        note(_LACKS)


def _read(work: Importing, pieces: Pieces) -> None:
    from multiturn import sync
    from multiturn.cli.progress import progress

    with progress("Importing", in_bytes=True) as tell:
        for batch in work.batches(pieces):  # here, not in the event loop: a pipe may keep us waiting
            sync.run(work.put(batch))
            tell(pieces.read, pieces.size)


def _told(total: Imported) -> str:
    from multiturn.cli.transcript import counted

    skipped = f"; {counted(total.skipped, 'conversation')} {'was' if total.skipped == 1 else 'were'} there already"
    return (
        f"Imported {counted(total.conversations, 'conversation')}, {counted(total.turns, 'turn')}"
        f"{skipped if total.skipped else ''}."
    )
