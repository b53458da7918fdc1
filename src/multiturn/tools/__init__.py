"""What a model may call: functions as tools, and calling them. Knows no model, no store and no conversation.

    @tool
    def weather(city: str, unit: Literal["c", "f"] = "c") -> str:
        \"\"\"The weather now.

        city: a city's name, in English
        \"\"\"

`tool.spec` is what a model is told, `call` and `call_all` give the result of what it asks for. `results` says what
becomes of what a function gives back, `schemas.checking` what is checked of arguments by a JSON schema.
"""

from multiturn.tools.calls import call as call
from multiturn.tools.calls import call_all as call_all
from multiturn.tools.context import ToolContext as ToolContext
from multiturn.tools.failures import Errors as Errors
from multiturn.tools.failures import ToolFailed as ToolFailed
from multiturn.tools.tool import AnyTool as AnyTool
from multiturn.tools.tool import Tool as Tool
from multiturn.tools.tool import by_name as by_name
from multiturn.tools.tool import tool as tool

__all__ = ["AnyTool", "Errors", "Tool", "ToolContext", "ToolFailed", "by_name", "call", "call_all", "tool"]
