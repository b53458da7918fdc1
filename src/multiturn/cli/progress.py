"""A bar on stderr for what takes a while, where a person is there to see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from multiturn.cli.console import is_terminal

Tell = Callable[[int, int | None], None]


@contextmanager
def progress(what: str, *, in_bytes: bool = False) -> Iterator[Tell]:
    """Gives a function to be told how much is done, and of how much, None where nobody knows."""
    if not is_terminal(sys.stderr):
        yield lambda done, total: None
        return
    from rich import progress as bars

    from multiturn.cli.console import console

    figures = bars.DownloadColumn() if in_bytes else bars.MofNCompleteColumn()
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), figures, bars.TimeRemainingColumn())
    with bars.Progress(*columns, console=console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
