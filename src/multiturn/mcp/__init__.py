"""The tools of MCP servers (https://modelcontextprotocol.io) as tools of ours.

    async with MCPServer.stdio("npx", "-y", "@modelcontextprotocol/server-memory") as server:
        chat = Conversation("openai:gpt-5-mini", tools=[*server.tools, my_tool])

The protocol is the official SDK's affair, the package `mcp`, which is imported with the first server that is made.
"""

from multiturn.errors import MCPFailed as MCPFailed
from multiturn.mcp.hints import Hints as Hints
from multiturn.mcp.server import MCPServer as MCPServer

__all__ = ["Hints", "MCPFailed", "MCPServer"]
