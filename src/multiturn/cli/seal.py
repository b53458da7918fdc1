"""`multiturn new-key` and `multiturn reseal`: encryption at rest."""

from __future__ import annotations

import click

from multiturn.cli.places import open_for_reading, shown, store_option, store_url


@click.command(
    name="new-key",
    epilog="""\b
Examples:
  export MULTITURN_ENCRYPTION_KEY=$(multiturn new-key)
  multiturn new-key > ~/.multiturn-key && chmod 600 ~/.multiturn-key""",
)
def new_key() -> None:
    """Make a key for encryption.

    Put it into MULTITURN_ENCRYPTION_KEY, or into a file that MULTITURN_ENCRYPTION_KEY_FILE names.
    Whoever loses it cannot read what it has sealed.
    """
    from multiturn.stores import sealing

    click.echo(sealing.new_key())


@click.command(
    epilog="""\b
Examples:
  multiturn reseal                                          seal what was written before there was a key
  MULTITURN_ENCRYPTION_KEY="$NEW $OLD" multiturn reseal     after this, NEW alone will do"""
)
@store_option
def reseal(store: str | None) -> None:
    """Write the store again with the key as it is now.

    The first key seals; those behind it open what they have sealed before. Without any key the
    store becomes readable for all. Back up first; interrupted, it can be run again.
    """
    from multiturn import sync

    opened = open_for_reading(store)
    if opened is None:
        click.echo(f"There is nothing in {shown(store_url(store))} yet.", err=True)
    else:
        turns = sync.run(opened.reseal())
        click.echo(f"Wrote {turns} {'turn' if turns == 1 else 'turns'} again.")
