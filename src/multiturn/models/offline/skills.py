"""Everything that the offline model can do, in the order in which it tries.

A skill is a pure function: a question in, an answer or None out. The first that has an answer gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from multiturn.models.offline.arithmetic import calculate, calculate_inside
from multiturn.models.offline.dialogue import Dialogue, Question
from multiturn.models.offline.media import describe_new, follow_up
from multiturn.models.offline.quotes import quote, summarise
from multiturn.models.offline.recall import acknowledge, recall, recollect
from multiturn.models.offline.smalltalk import give_up, greet, introduce
from multiturn.models.offline.tools import beside_tools, report
from multiturn.models.offline.writing import count, echo, measure, write

Skill: TypeAlias = Callable[[Question], str | None]

OF_A_MESSAGE: tuple[Skill, ...] = (summarise, echo, write, measure)
OF_A_SENTENCE: tuple[Skill, ...] = (
    *OF_A_MESSAGE,
    count,
    calculate,
    introduce,
    greet,
    quote,
    follow_up,
    recall,
    acknowledge,
    calculate_inside,
    recollect,
)


def reply(dialogue: Dialogue) -> str:
    """The answer: what tools have given back; else that of a skill that takes the whole message; else those of the
    skills that take its sentences, joined."""
    message = Question(dialogue.asked, dialogue)
    if told := report(dialogue):
        return " ".join((told, *_by_sentence(message, beside_tools(dialogue))))
    described = describe_new(message)
    whole = _first(OF_A_MESSAGE, message)
    answers = (whole,) if whole is not None else _by_sentence(message, dialogue.asked_sentences)
    if described:
        answers = (described, *(answer for answer in answers if answer not in described))
    return " ".join(answers) or give_up(message)


def _by_sentence(message: Question, sentences: Iterable[str]) -> tuple[str, ...]:
    answers: tuple[str, ...] = ()
    for sentence in sentences:
        answer = _first(OF_A_SENTENCE, Question(sentence, message.dialogue, answers))
        answers += (answer,) if answer else ()
    return answers


def _first(skills: Iterable[Skill], question: Question) -> str | None:
    return next((answer for skill in skills if (answer := skill(question)) is not None), None)
