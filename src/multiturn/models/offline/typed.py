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
from multiturn.request import OutputSchema

_WORDS = content_stems("answer reply response text message content summary explanation reasoning result output comment")
_NUMBERS = content_stems("answer result total sum value product difference final output")


def typed_answer(output: OutputSchema, dialogue: Dialogue) -> str:
    """The JSON text of an instance. What a property's name calls an answer or a result is the answer in words, or the
    number it comes to; without a schema, the whole is an object with such an `answer`."""
    in_words = reply(dialogue)
    if output.schema is None:
        return _json({"answer": in_words})
    number = result_of(Question(dialogue.asked, dialogue))

    def text_for(name: str) -> str | None:
        return in_words if not name or content_stems(name) & _WORDS else None

    def number_for(name: str) -> Fraction | None:
        return number if not name or content_stems(name) & _NUMBERS else None

    clues = Clues("\n".join([dialogue.asked, *(result.text for result in dialogue.results)]), dialogue.facts)
    return _json(Filler(msgspec.json.decode(output.schema), clues, text_for=text_for, number_for=number_for).fill())


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
