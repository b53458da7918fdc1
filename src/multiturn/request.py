"""`Request`: what one model call is asked, before any format has made it a provider's bytes."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from multiturn.messages import Message
from multiturn.path import Path


class ToolSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model is told of a tool. `parameters` is a JSON schema as text."""

    name: str
    description: str = ""
    parameters: msgspec.Raw = msgspec.Raw(b'{"type":"object","properties":{}}')
    strict: bool | None = None


class NamedTool(msgspec.Struct, frozen=True):
    """A `tool_choice` that names the tool to call."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool


class OutputSchema(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON schema that an answer must be an instance of; `None` asks for any JSON object."""

    schema: msgspec.Raw | None = None
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


class Settings(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How to answer. None leaves a setting to the provider. `extra` goes into the request's body as it is, for what
    only one provider knows; it wins over everything above it."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    choices: int | None = None  # how many answers (`n`); the first is the one that the conversation goes on with
    reasoning_effort: str | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputSchema | None = None
    store: bool | None = None  # whether the provider may keep the answer, where it can; False sends the whole history
    extra: dict[str, Any] | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The history (`path`), then `input`: this turn's new messages and what its run has said so far.
    `previous_answer` is the provider's id of the answer after which these come, where it holds everything up to there
    itself; `path` is empty then. `whole` says that all of it is to be sent: the path does not show what it showed when
    the last answer was given."""

    path: Path
    input: tuple[Message, ...]
    instructions: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    settings: Settings = Settings()
    stream: bool = False
    previous_answer: str | None = None
    whole: bool = False

    @property
    def messages(self) -> list[Message]:
        """Everything the model is to read, oldest first, without the instructions."""
        return [*self.path.messages, *self.input]
