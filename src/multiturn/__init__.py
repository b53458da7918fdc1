"""Conversation state for language models: history that streams, forks, survives a crash and changes provider.

>>> from multiturn import Conversation
>>> chat = Conversation("offline")
>>> reply = chat.send("My name is Alice")
>>> chat.send("What's my name?").text
'Your name is Alice.'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiturn.agent import Agent as Agent
    from multiturn.cancel import Cancel as Cancel
    from multiturn.context.window import Window as Window
    from multiturn.conversation import Conversation as Conversation
    from multiturn.errors import ConversationBusy as ConversationBusy
    from multiturn.errors import InvalidInput as InvalidInput
    from multiturn.errors import ModelError as ModelError
    from multiturn.errors import MultiturnError as MultiturnError
    from multiturn.errors import NotFound as NotFound
    from multiturn.errors import StoreError as StoreError
    from multiturn.events import Event as Event
    from multiturn.events import ReasoningContent as ReasoningContent
    from multiturn.events import RunCompleted as RunCompleted
    from multiturn.events import RunContent as RunContent
    from multiturn.events import RunError as RunError
    from multiturn.events import RunPaused as RunPaused
    from multiturn.events import RunStarted as RunStarted
    from multiturn.events import ToolCallCompleted as ToolCallCompleted
    from multiturn.events import ToolCallError as ToolCallError
    from multiturn.events import ToolCallStarted as ToolCallStarted
    from multiturn.formats.switching import Switching as Switching
    from multiturn.mcp import MCPServer as MCPServer
    from multiturn.media import audio as audio
    from multiturn.media import file as file
    from multiturn.media import image as image
    from multiturn.media import video as video
    from multiturn.messages import Audio as Audio
    from multiturn.messages import File as File
    from multiturn.messages import Image as Image
    from multiturn.messages import Inline as Inline
    from multiturn.messages import Message as Message
    from multiturn.messages import Reasoning as Reasoning
    from multiturn.messages import Text as Text
    from multiturn.messages import ToolCall as ToolCall
    from multiturn.messages import ToolResult as ToolResult
    from multiturn.messages import Url as Url
    from multiturn.messages import Usage as Usage
    from multiturn.messages import Video as Video
    from multiturn.models.limits import Retries as Retries
    from multiturn.models.limits import Timeouts as Timeouts
    from multiturn.reply import Reply as Reply
    from multiturn.request import Settings as Settings
    from multiturn.stores import open_store as open_store
    from multiturn.stores.base import Store as Store
    from multiturn.tools import Tool as Tool
    from multiturn.tools import ToolContext as ToolContext
    from multiturn.tools import ToolFailed as ToolFailed
    from multiturn.tools import tool as tool
    from multiturn.turns import Turn as Turn
    from multiturn.turns import TurnStatus as TurnStatus

__version__ = "0.1.0"

_HOME = {
    "Agent": "agent",
    "Cancel": "cancel",
    "Tool": "tools",
    "ToolContext": "tools",
    "tool": "tools",
    "RunPaused": "events",
    "ToolCallStarted": "events",
    "ToolCallCompleted": "events",
    "ToolCallError": "events",
    "RunError": "events",
    "Switching": "formats.switching",
    "Window": "context.window",
    "MCPServer": "mcp",
    "audio": "media",
    "file": "media",
    "image": "media",
    "video": "media",
    "ToolFailed": "tools",
    "Audio": "messages",
    "Conversation": "conversation",
    "ConversationBusy": "errors",
    "Event": "events",
    "File": "messages",
    "Image": "messages",
    "Inline": "messages",
    "InvalidInput": "errors",
    "Message": "messages",
    "ModelError": "errors",
    "MultiturnError": "errors",
    "NotFound": "errors",
    "Reasoning": "messages",
    "ReasoningContent": "events",
    "Reply": "reply",
    "Retries": "models.limits",
    "RunCompleted": "events",
    "RunContent": "events",
    "RunStarted": "events",
    "Settings": "request",
    "Store": "stores.base",
    "StoreError": "errors",
    "Text": "messages",
    "Timeouts": "models.limits",
    "ToolCall": "messages",
    "ToolResult": "messages",
    "Turn": "turns",
    "TurnStatus": "turns",
    "Url": "messages",
    "Usage": "messages",
    "Video": "messages",
    "open_store": "stores",
}
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> object:
    """Public names are imported when first used: `import multiturn` alone costs next to nothing."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
