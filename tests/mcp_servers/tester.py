"""An MCP server for the tests, made with the SDK's own server classes and run as a process of its own.

    python tester.py stdio [NAME] [--old] [--strict] [--stubborn]
    python tester.py http [NAME] [--old] [--json] [--port PORT]

Over HTTP it writes its port to stdout when it listens. `--old` speaks the protocol of 2025, with its handshake and its
sessions; `--strict` ends at a first request that is not the handshake; `--stubborn` neither minds the end of its stdin
nor SIGTERM; `--json` answers in plain JSON instead of a stream. The file that MCP_TEST_LOG names gets a line for each
thing worth knowing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from typing import Any

import anyio
import uvicorn
from mcp.server.mcpserver import Audio, Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    METHOD_NOT_FOUND,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from pydantic import BaseModel

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(24)


class Asked(BaseModel):
    name: str


def note(text: str) -> None:
    """A line in the log, which is there when this returns."""
    if path := os.environ.get("MCP_TEST_LOG"):
        with open(path, "a", encoding="utf-8") as log:
            log.write(f"{text.rstrip()}\n")


def server_of(name: str) -> MCPServer[Any]:
    server = MCPServer(name, instructions=f"{name} adds and echoes.", log_level="CRITICAL")
    add_plain_tools(server)
    add_rich_tools(server)
    add_trouble(server)
    return server


def add_plain_tools(server: MCPServer[Any]) -> None:
    stock = {"apples": 3}

    @server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
    def add(a: int, b: int) -> int:
        """The sum of two whole numbers."""
        note(f"add {a} {b}")
        return a + b

    @server.tool()
    def who() -> str:
        """The name of the server."""
        return server.name

    @server.tool(annotations=ToolAnnotations(destructive_hint=True))
    def sell(what: str) -> str:
        """Sell all that there is of something."""
        note(f"sold {what}")
        return f"sold {stock.pop(what, 0)} {what}"

    @server.tool(annotations=ToolAnnotations(title="Restock", destructive_hint=False, idempotent_hint=True))
    def stock_up(what: str, to: int) -> dict[str, int]:
        """Have so many of something."""
        stock[what] = to
        return stock

    @server.tool(name="dotted.näme")
    def dotted() -> str:
        """A tool with a name that no provider takes."""
        return "dotted"

    @server.tool()
    def learn(name: str) -> str:
        """Have one more tool from now on."""
        server.add_tool(lambda: f"this is {name}", name=name, description="New.")
        return "learned"

    @server.tool()
    def variable(name: str) -> str:
        """A variable of the environment, and the folder."""
        return f"{os.environ.get(name, '(not set)')} in {os.getcwd()}"

    @server.tool()
    def header(name: str, ctx: Context[Any, Any]) -> str:
        """A header of the request."""
        request = ctx.request_context.request
        return str(request.headers.get(name)) if request else "no request"


def add_rich_tools(server: MCPServer[Any]) -> None:
    @server.tool(structured_output=False)
    def picture() -> list[Any]:
        """A picture and its caption."""
        return ["one pixel", Image(data=PNG)]

    @server.tool(structured_output=False)
    def sound() -> Audio:
        """A sound."""
        return Audio(data=WAV, format="wav")

    @server.tool()
    def library() -> CallToolResult:
        """All kinds of resources."""
        return CallToolResult(
            content=[
                TextContent(text="first"),
                TextContent(text="second"),
                EmbeddedResource(resource=TextResourceContents(uri="file:///notes.md", text="# Notes")),
                EmbeddedResource(resource=BlobResourceContents(uri="file:///a/b.bin", blob="AAEC")),
                ResourceLink(uri="https://x.test/doc", name="doc", mime_type="text/html", description="the manual"),
            ]
        )

    @server.tool()
    def measure() -> CallToolResult:
        """Numbers, without words for them."""
        return CallToolResult(content=[], structured_content={"width": 3, "unit": "m"})

    @server.tool()
    async def chatty(text: str, ctx: Context[Any, Any]) -> str:
        """The text, after some progress."""
        for n in range(3):
            await ctx.report_progress(n, 3, "still at it")
        return text


def add_trouble(server: MCPServer[Any]) -> None:
    @server.tool()
    def fail(reason: str) -> str:
        """Nothing but an error."""
        raise ToolError(reason)

    @server.tool()
    async def wait(seconds: float, name: str = "") -> str:
        """Wait, and say so."""
        note(f"waiting {name}")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            note(f"cancelled {name}")
            raise
        note(f"waited {name}")
        return f"waited {name}"

    @server.tool()
    def crash() -> str:
        """End the server at once."""
        os._exit(7)

    @server.tool()
    def complain(text: str) -> str:
        """Write to stderr."""
        print(text, file=sys.stderr, flush=True)
        return "done"

    @server.tool()
    async def ask(ctx: Context[Any, Any]) -> str:
        """Ask the user, through the client."""
        return str(await ctx.elicit("Your name?", Asked))


def keep_to_the_handshake(server: MCPServer[Any], *, strict: bool) -> None:
    async def refuse(ctx: Any, call_next: Any) -> Any:
        if ctx.method == "server/discover":
            if strict:
                os._exit(1)
            raise MCPError(METHOD_NOT_FOUND, "not known here")
        return await call_next(ctx)

    server.middleware.append(refuse)


async def serve_old_stdio(server: MCPServer[Any]) -> None:
    low = server._lowlevel_server
    async with stdio_server() as (incoming, outgoing), low.lifespan(low) as state:
        await serve_loop(low, incoming, outgoing, lifespan_state=state)


def serve_http(server: MCPServer[Any], port: int, *, json: bool) -> None:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen()
    print(listening.getsockname()[1], flush=True)
    app = server.streamable_http_app(json_response=json)
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listening])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=["stdio", "http"])
    parser.add_argument("name", nargs="?", default="tester")
    parser.add_argument("--port", type=int, default=0)
    for flag in ("--old", "--strict", "--stubborn", "--json"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    note(f"started {os.getpid()}")
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=threading.Event().wait).start()
    server = server_of(options.name)
    if options.old or options.strict:
        keep_to_the_handshake(server, strict=options.strict)
    if options.way == "http":
        serve_http(server, options.port, json=options.json)
    elif options.old or options.strict:
        anyio.run(serve_old_stdio, server)
    else:
        server.run("stdio")


if __name__ == "__main__":
    main()
