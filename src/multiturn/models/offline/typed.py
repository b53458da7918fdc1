"""Answers that must be an instance of a JSON schema."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from multiturn.models.offline.arithmetic import result_of
from multiturn.models.offline.clues import Clues
from multiturn.models.offline.dialogue import Dialogue, Question
from multiturn.models.offline.english import content_stems
from multiturn.models.offline.schema import Filler
from multiturn.models.offline.skills import reply
from multiturn.models.offline.tools import report
from multiturn.request import OutputSchema

_WORDS = content_stems("answer reply response text message content summary explanation reasoning result output comment")
_NUMBERS = content_stems("answer result total sum value product difference final output")


def typed_answer(output: OutputSchema, dialogue: Dialogue) -> str:
    """The JSON text of an instance; without a schema, an object whose `answer` is the answer in words."""
    message = Question(dialogue.asked, dialogue)
    in_words = report(dialogue) or reply(dialogue)
    if output.schema is None:
        return msgspec.json.encode({"answer": in_words}).decode()

    def text_for(name: str) -> str | None:
        return in_words if content_stems(name) & _WORDS else None

    def number_for(name: str) -> Fraction | None:
        return number if content_stems(name) & _NUMBERS else None

    number = result_of(message)
    clues = Clues("\n".join([dialogue.asked, *(result.text for result in dialogue.results)]), dialogue.facts)
    filler = Filler(msgspec.json.decode(output.schema), clues, text_for=text_for, number_for=number_for)
    return msgspec.json.encode(filler.fill()).decode()
