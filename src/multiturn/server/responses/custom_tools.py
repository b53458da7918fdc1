"""Tools that are no functions, for models that know only functions.

A custom tool, whose input is free text, becomes a function with the one argument `input`, and what a model calls it
with becomes text again, piece by piece. What a provider runs itself (web search, code, MCP) nobody else can stand in
for: a request that offers it to another model is refused.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from multiturn.deltas import Answer, Delta, Deltas, ToolCallDelta
from multiturn.errors import InvalidInput
from multiturn.formats.responses import ServerRequest
from multiturn.messages import Message, Part, ToolCall
from multiturn.models.base import Model
from multiturn.notices import Notice
from multiturn.output import Partial
from multiturn.request import NamedTool, Request, ToolSpec

_INPUT = msgspec.Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'
)


def as_functions(request: ServerRequest) -> tuple[ServerRequest, frozenset[str]]:
    """The request with functions alone, and the names of those that stand for custom tools. Raises `InvalidInput` for
    tools and choices that cannot be had."""
    tools, names = list(request.tools), set[str]()
    for tool in request.native.get("tools", ()):
        tools.append(_function(tool))
        names.add(tool["name"])
    choice, native = request.settings.tool_choice, request.native.get("tool_choice")
    match native:
        case {"type": "custom", "name": str(name)}:
            choice = NamedTool(name)
        case {"type": "allowed_tools", "tools": [*allowed], **rest}:
            wanted = {tool.get("name") for tool in allowed if isinstance(tool, dict)}
            tools = [tool for tool in tools if tool.name in wanted]
            choice = "required" if rest.get("mode") == "required" else "auto"
        case {"type": kind}:
            raise InvalidInput(f"tool_choice.type: {kind!r} is not for this model, which takes functions")
    settings = msgspec.structs.replace(request.settings, tool_choice=choice)
    return msgspec.structs.replace(request, tools=tuple(tools), settings=settings), frozenset(names)


def _function(tool: dict[str, Any]) -> ToolSpec:
    kind, name = tool.get("type"), tool.get("name")
    if kind != "custom":
        raise InvalidInput(
            f"tools: {kind!r} is run by the provider of a model, and this model's provider does not; offer functions "
            "and custom tools, and run them yourself"
        )
    if not isinstance(name, str) or not name:
        raise InvalidInput("tools: a custom tool needs a name")
    said = [tool.get("description"), _grammar(tool.get("format"))]
    return ToolSpec(name, "\n\n".join(text for text in said if text), _INPUT, strict=None)


def _grammar(format: object) -> str | None:
    """What is said of the form of the input, where it has one."""
    match format:
        case {"type": "grammar", "definition": str(definition), "syntax": str(syntax)}:
            return f"`input` must follow this {syntax} grammar:\n{definition}"
    return None


class WithCustomTools:
    """A model that calls the custom tools of these names, which it knows as functions."""

    def __init__(self, model: Model, names: frozenset[str]) -> None:
        self.provider, self.name = model.provider, model.name
        self.format = getattr(model, "format", None)
        self.inputs = getattr(model, "inputs", None)
        self._model = model
        self._names = names

    async def answer(self, request: Request) -> AsyncGenerator[Delta | Deltas | Notice | Answer, None]:
        """As `Model.answer` says."""
        inputs: dict[int, _Input] = {}
        async with aclosing(self._model.answer(request)) as items:
            async for item in items:
                match item:
                    case ToolCallDelta():
                        yield self._piece(item, inputs)
                    case Deltas():
                        yield Deltas(tuple(self._piece(delta, inputs) for delta in item.all))
                    case Answer():
                        answer = Answer(self._custom(item.message), tuple(map(self._custom, item.alternatives)))
                        for rest in _rests(inputs, answer.message):
                            yield rest
                        yield answer
                    case _:
                        yield item

    def _piece(self, delta: Delta, inputs: dict[int, _Input]) -> Delta:
        if not isinstance(delta, ToolCallDelta):
            return delta
        if delta.name in self._names:
            inputs[delta.index] = _Input(delta.index)
        return inputs[delta.index].piece(delta) if delta.index in inputs else delta

    def _custom(self, message: Message) -> Message:
        parts = tuple(map(self._custom_part, message.parts))
        return message if parts == message.parts else msgspec.structs.replace(message, parts=parts)

    def _custom_part(self, part: Part) -> Part:
        if not isinstance(part, ToolCall) or part.name not in self._names or part.kind == "custom":
            return part
        return msgspec.structs.replace(part, kind="custom", arguments=_text_of(part.arguments))

    async def aclose(self) -> None:
        await self._model.aclose()


class _Input:
    """The input of a call, out of the JSON that comes."""

    def __init__(self, index: int) -> None:
        self.told = ""
        self._index = index
        self._json = Partial(key="input")

    def piece(self, delta: ToolCallDelta) -> ToolCallDelta:
        if delta.arguments:
            self._json.add(delta.arguments)
        text = self._json.value
        return self.until(text if isinstance(text, str) else self.told, delta)

    def until(self, text: str, delta: ToolCallDelta | None = None) -> ToolCallDelta:
        """The next stretch, up to here."""
        head = delta or ToolCallDelta(self._index)
        new, self.told = text[len(self.told) :], text
        return ToolCallDelta(self._index, head.call_id, head.name, new, "custom")


def _rests(inputs: dict[int, _Input], message: Message) -> Iterator[ToolCallDelta]:
    """What the answer says beyond what its pieces did: input that was no JSON."""
    calls = message.tool_calls
    for nth, (_, input) in enumerate(sorted(inputs.items())):
        customs = [call for call in calls if call.kind == "custom"]
        if nth < len(customs) and len(customs[nth].arguments) > len(input.told):
            yield input.until(customs[nth].arguments)


def _text_of(arguments: str) -> str:
    """The input in these arguments; all of them, where a model did not keep to the form."""
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return arguments
    return found["input"] if isinstance(found, dict) and isinstance(found.get("input"), str) else arguments
