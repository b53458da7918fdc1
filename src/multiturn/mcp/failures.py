"""What went wrong with an MCP server, in a line. Nothing here holds a header, an argument or an address's path, for
there may be a key in each of them."""

from __future__ import annotations

from multiturn.tools.failures import error_text


def reason_of(error: BaseException) -> str:
    """The error in a line; of a group, what it holds."""
    return error_text(error, "message") if isinstance(error, Exception) else type(error).__name__
