"""`Dialogue`: one request as the skills read it, and `Question`: the words in it that a skill is to answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

import msgspec

from multiturn.messages import Audio, File, Image, Message, Text, ToolResult, Video
from multiturn.models.offline.english import sentences
from multiturn.models.offline.facts import Fact, gather
from multiturn.models.offline.statements import facts_in
from multiturn.models.offline.third_person import as_user
from multiturn.request import Request

_MOST_SENTENCES = 30  # of one message that get an answer, the last ones: a pasted book is not a list of questions

Medium = Image | Audio | Video | File


class Question(msgspec.Struct, frozen=True):
    """A message, or one sentence of it. `answers` are those that its earlier sentences have had."""

    text: str
    dialogue: Dialogue
    answers: tuple[str, ...] = ()


class Dialogue:
    """What was said so far. Everything is computed when a skill first asks for it, once."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.messages = request.messages

    @cached_property
    def turn_start(self) -> int:
        """Where the user last spoke: the first of the user's messages in a row."""
        start = _last(self.messages, "user") + 1
        while start and self.messages[start - 1].role == "user":
            start -= 1
        return start

    @cached_property
    def asked_at(self) -> int:
        """Which message is to be answered: the last one of the turn that has words, else the last."""
        last = max(_last(self.messages, "user"), 0)
        worded = (n for n in range(last, self.turn_start - 1, -1) if n < len(self.messages) and self.messages[n].text)
        return next(worded, last)

    @cached_property
    def asked(self) -> str:
        """The text to answer; empty where there is none."""
        asked = self.messages[self.asked_at] if self.asked_at < len(self.messages) else None
        return text_of(asked) if asked and asked.role == "user" else ""

    @cached_property
    def asked_sentences(self) -> list[str]:
        """Its sentences that get an answer each."""
        return sentences(self.asked)[-_MOST_SENTENCES:]

    @property
    def history(self) -> list[Message]:
        """Everything before the message to answer."""
        return self.messages[: self.asked_at]

    @cached_property
    def instructions(self) -> str:
        """The request's instructions, and those in system and developer messages."""
        spoken = (text_of(message) for message in self.messages if message.role in ("system", "developer"))
        return "\n".join(text for text in (self.request.instructions or "", *spoken) if text)

    def said(self, role: str) -> list[str]:
        """The texts of one role before the message to answer, oldest first."""
        return [text for message in self.history if message.role == role and (text := text_of(message))]

    @cached_property
    def facts(self) -> dict[str, Fact]:
        """What holds after everything said, the message to answer included; the latest stated is last."""
        return gather(self._stated(self.messages))

    @cached_property
    def facts_before(self) -> dict[str, Fact]:
        """What held before the message to answer."""
        return gather(self._stated(self.history))

    def _stated(self, messages: list[Message]) -> Iterator[Fact]:
        spoken = (text_of(message) for message in messages if message.role in ("user", "system", "developer"))
        for text in (self.request.instructions or "", *spoken):
            yield from facts_in(as_user(text))

    @cached_property
    def statements(self) -> list[str]:
        """The sentences of the user and of the instructions before the message to answer, latest first."""
        spoken = [text_of(message) for message in self.history if message.role in ("user", "system", "developer")]
        said = [sentence for text in (self.request.instructions or "", *spoken) for sentence in sentences(text)]
        return said[::-1]

    @cached_property
    def new_media(self) -> list[Medium]:
        """The images, recordings, films and files of the current turn, oldest first."""
        return list(_media(self.messages[self.turn_start :]))

    @cached_property
    def media(self) -> list[Medium]:
        """Those of the whole dialogue."""
        return list(_media(self.messages))

    @cached_property
    def results(self) -> list[ToolResult]:
        """What tools have given back since the user last spoke."""
        return [result for message in self.messages[self.turn_start :] for result in message.tool_results]


def text_of(message: Message) -> str:
    """The text parts, each on a line of its own."""
    return "\n".join(part.text for part in message.parts if isinstance(part, Text) and part.text)


def _last(messages: list[Message], role: str) -> int:
    return next((n for n in range(len(messages) - 1, -1, -1) if messages[n].role == role), -1)


def _media(messages: Iterable[Message]) -> Iterator[Medium]:
    for message in messages:
        if message.role == "user":
            yield from (part for part in message.parts if isinstance(part, Medium))
