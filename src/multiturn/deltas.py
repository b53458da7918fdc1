"""The pieces in which a model's answer arrives, and how they fold into a message.

A format's stream decoder yields these; a store keeps them while a turn runs, so that a crash loses no text; `Fold`
makes the message. Folding the same deltas always gives the same message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from multiturn.messages import Message, Origin, Part, Reasoning, Refusal, Text, ToolCall, Usage


class _Delta(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of an answer."""


class TextDelta(_Delta, frozen=True, tag="text"):
    text: str


class RefusalDelta(_Delta, frozen=True, tag="refusal"):
    text: str


class ReasoningDelta(_Delta, frozen=True, tag="reasoning"):
    text: str


class ToolCallDelta(_Delta, frozen=True, tag="tool_call"):
    """More of tool call number `index` of this answer. `call_id` and `name` come with its first piece and are empty
    later; `arguments` is the next stretch of text; `kind` is the same on every piece."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    kind: Literal["function", "custom"] = "function"


class PartDelta(_Delta, frozen=True, tag="part"):
    """A part that arrived whole: an image, a signed piece of thinking, an opaque item."""

    part: Part


Delta: TypeAlias = TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta | PartDelta


class Deltas(msgspec.Struct, frozen=True):
    """Pieces that came at once, in order: to pass them on together costs no more than to pass on one."""

    all: tuple[Delta, ...]


def each(item: Delta | Deltas) -> Sequence[Delta]:
    """The pieces one by one."""
    return item.all if isinstance(item, Deltas) else (item,)


class Said(_Delta, frozen=True, tag="said"):
    """A message of a run is whole: an answer, which takes the place of the deltas since the last one, or what a tool
    gave back."""

    message: Message


class CallsStarted(_Delta, frozen=True, tag="calls_started"):
    """These tool calls are being run from now on."""

    call_ids: tuple[str, ...]


class ModelAsked(_Delta, frozen=True, tag="model_asked"):
    """The model of a turn that runs in the background is being asked from now on: nobody may ask it again."""


Draft: TypeAlias = Delta | Said | CallsStarted | ModelAsked
"""What a store keeps of a turn while it runs."""


class Answer(msgspec.Struct, frozen=True):
    """One model call's whole result. `alternatives` are the other choices where more than one was asked for."""

    message: Message
    alternatives: tuple[Message, ...] = ()


class Fold:
    """Deltas in, a message out. `add` may go on after `message`; each costs what is new, not what came before."""

    def __init__(self) -> None:
        self._runs: list[tuple[type[Delta], list[str]] | PartDelta | int] = []
        self._calls: dict[int, list[ToolCallDelta]] = {}
        self._kind: type[Delta] | None = None  # of the run of text at the end
        self._pieces: list[str] = []  # and what it holds

    def add(self, delta: Delta) -> None:
        if type(delta) is self._kind:  # as nearly all are
            self._pieces.append(delta.text)  # type: ignore[union-attr]
            return
        match delta:
            case TextDelta() | RefusalDelta() | ReasoningDelta():
                self._kind, self._pieces = type(delta), [delta.text]
                self._runs.append((self._kind, self._pieces))
            case PartDelta():
                self._runs.append(delta)
                self._kind = None
            case ToolCallDelta(index=index) if index in self._calls:
                self._calls[index].append(delta)
            case ToolCallDelta(index=index):
                self._calls[index] = [delta]
                self._runs.append(index)
                self._kind = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """What has arrived so far, in order of first arrival; nothing for runs without any text."""
        made = (self._part(run) for run in self._runs)
        return tuple(part for part in made if part is not None)

    def _part(self, run: tuple[type[Delta], list[str]] | PartDelta | int) -> Part | None:
        if isinstance(run, PartDelta):
            return run.part
        if isinstance(run, int):
            return _tool_call(self._calls[run])
        kind, pieces = run
        text = "".join(pieces)
        if not text:
            return None
        if kind is ReasoningDelta:
            return Reasoning(text=text)
        return Refusal(text=text) if kind is RefusalDelta else Text(text=text)

    def message(
        self,
        *,
        origin: Origin | None,
        usage: Usage | None = None,
        finish_reason: str | None = None,
        id: str | None = None,
    ) -> Message:
        return Message(
            role="assistant", parts=self.parts, origin=origin, usage=usage, finish_reason=finish_reason, id=id
        )


def _tool_call(pieces: list[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        call_id=next((piece.call_id for piece in pieces if piece.call_id), ""),
        name=next((piece.name for piece in pieces if piece.name), ""),
        arguments="".join(piece.arguments for piece in pieces),
        kind=pieces[0].kind,
    )


def fold(deltas: Iterable[Delta], *, origin: Origin | None = None) -> Message:
    """The message that these deltas make, as far as they go."""
    folded = Fold()
    for delta in deltas:
        folded.add(delta)
    return folded.message(origin=origin)
