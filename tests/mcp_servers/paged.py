"""An MCP server over stdio that says what tools it has two at a time; `--circle`: and never comes to an end."""

from __future__ import annotations

import sys
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import ListToolsResult, PaginatedRequestParams, Tool

TOOLS = [Tool(name=f"tool_{n}", input_schema={"type": "object"}) for n in range(5)]


async def list_tools(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
    at = int(params.cursor) if params and params.cursor else 0
    after = (at + 2) % 6 if "--circle" in sys.argv else at + 2
    return ListToolsResult(tools=TOOLS[at : at + 2], next_cursor=str(after) if after < len(TOOLS) else None)


async def main() -> None:
    server: Server[Any] = Server("paged", on_list_tools=list_tools)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
