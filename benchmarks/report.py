"""What a benchmark prints: one line of progress while it runs, an aligned table, and a verdict for each bar."""

import sys
from collections.abc import Sequence


def progress(line: str, *, always: bool = False) -> None:
    """Show `line` on stderr in place of the line before; `""` clears it.

    Only a terminal gets it, so that logs stay clean, unless `always`: then a log gets it as a line of its own.
    """
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
    elif always:
        sys.stderr.write(f"{line}\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """`rows` under `header`, columns two spaces apart: the first to the left, all others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    ruled = [header, ["-" * width for width in widths], *rows]
    return "\n".join(_line(row, widths) for row in ruled)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def verdict(claim: str, holds: bool) -> bool:
    """Print whether `claim` holds, and give `holds` back."""
    print(f"{'holds' if holds else 'MISSED':6}  {claim}")
    return holds
