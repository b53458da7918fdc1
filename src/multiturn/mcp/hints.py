"""What a server says of its tools, beside what a model is told: `Hints`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from mcp_types import Tool as ServerTool


class Hints(msgspec.Struct, frozen=True):
    """A tool's name at its server, and what the server says that calling it does. Where it says nothing, the defaults
    are those of the protocol: the worst. It is the server's word; do not rest safety on one that you do not trust.

    https://modelcontextprotocol.io/specification/2025-11-25/schema#toolannotations
    """

    name: str
    title: str | None = None
    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True


def hints_of(tool: ServerTool) -> Hints:
    said = tool.annotations
    if said is None:
        return Hints(tool.name, tool.title)
    read_only = said.read_only_hint is True
    return Hints(
        name=tool.name,
        title=tool.title or said.title,
        read_only=read_only,
        destructive=not read_only and said.destructive_hint is not False,
        idempotent=read_only or said.idempotent_hint is True,
        open_world=said.open_world_hint is not False,
    )
