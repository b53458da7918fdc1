"""Greetings, what this model says of itself, and what it says when it has nothing to say."""

from __future__ import annotations

import re

from multiturn.models.offline.dialogue import Question
from multiturn.models.offline.english import counted, cut, is_question, unpunctuated

ABOUT = "I am multiturn's offline model"  # how an answer begins that is about this model and not about the dialogue
_WHAT = f"{ABOUT}, a small stand-in that answers without a network or a key."
_CAN = (
    "I recall what you tell me, calculate, count, echo, write, summarise, call tools, fill in JSON schemas and describe"
    " images. For more than that, name a real model, such as openai:gpt-5-mini."
)

_GREETING = re.compile(
    r"(?:hi|hello|hey|howdy|greetings|good (?:morning|afternoon|evening|day))"
    r"(?: (?:there|again|everyone|multiturn|friend))?"
    r"(?:,? (?:how are you|how is it going|what's up))?",
    re.IGNORECASE,
)
_THANKS = re.compile(r"(?:many |ok(?:ay)?,? |great,? |no,? )*(?:thanks|thank you|thx|cheers)\b.*", re.IGNORECASE)
_GOODBYE = re.compile(r"(?:good ?bye|bye|see you|good night|farewell)\b.*", re.IGNORECASE)
_HOW_ARE_YOU = re.compile(r"how (?:are|do) you(?: doing| feeling| do)?(?: today| now)?|how is it going", re.IGNORECASE)
_AGREEING = re.compile(
    r"(?:ok|okay|yes|no|sure|right|great|good|fine|nice|cool|perfect|alright|all right)", re.IGNORECASE
)
_WHO = re.compile(
    r".*\b(?:who are you|what are you|(?:what|which) (?:ai )?model\b|are you (?:an? |the )?(?:ai|bot|robot|human|real"
    r"|person|gpt\S*|claude|gemini|grok|chatgpt|offline\b.*|language model|llm|machine)|introduce yourself|who made you"
    r"|tell me about yourself|who am i (?:talking|speaking) (?:to|with)|what(?:'s| is) your name)\b.*",
    re.IGNORECASE,
)
_ABILITIES = re.compile(
    r".*\b(?:what can you do|what do you do|how can you help|your (?:skills|abilities))\b.*|help", re.I
)
_INSTRUCTIONS = re.compile(
    r".*\byour (?:\w+ )?(?:instructions?|system prompt|prompt|rules|orders)\b.*|.*\bsystem (?:prompt|message)\b.*"
    r"|.*\bwhat were you (?:told|instructed)\b.*",
    re.IGNORECASE,
)


def greet(question: Question) -> str | None:
    """Returns greetings, thanks and farewells, by name where the name is known."""
    text = unpunctuated(question.text.replace("’", "'"))
    fact = question.dialogue.facts.get("name")
    name = f", {fact.value}" if fact else ""
    if _GREETING.fullmatch(text):
        return _hello(question)
    if _THANKS.fullmatch(text):
        return f"You are welcome{name}."
    if _GOODBYE.fullmatch(text):
        return f"Goodbye{name}!"
    if _HOW_ARE_YOU.fullmatch(text):
        return "Always the same, thank you: I am deterministic."
    return f"All right{name}." if _AGREEING.fullmatch(text) else None


def _hello(question: Question) -> str:
    """By name where we have met; otherwise with an introduction, unless one was given or the name comes right now."""
    dialogue = question.dialogue
    if known := dialogue.facts_before.get("name"):
        return f"Hello, {known.value}!"
    return "Hello!" if "name" in dialogue.facts or _introduced(question) else f"Hello! {_WHAT}"


def _introduced(question: Question) -> bool:
    return any(_WHAT in text for text in question.dialogue.said("assistant"))


def introduce(question: Question) -> str | None:
    """Says what answers here, and under which instructions."""
    text = unpunctuated(question.text.replace("’", "'"))
    instructions = question.dialogue.instructions
    quoted = f" My instructions are: “{instructions}”" if instructions else ""
    if _INSTRUCTIONS.fullmatch(text) and is_question(f"{text}?"):
        return f"{_WHAT}{quoted or ' I was given no instructions.'}"
    if _WHO.fullmatch(text):
        named = question.dialogue.facts.get("assistant's name")
        return f"{_WHAT}{f' You call me {named.value}.' if named else ''}{quoted}"
    return f"{_WHAT} {_CAN}" if _ABILITIES.fullmatch(text) else None


def give_up(question: Question) -> str:
    """The answer where no skill has one: who this is, what it has read, what it can do."""
    read = counted(len(question.dialogue.messages), "message")
    if not question.text:
        return f"{_WHAT} I have read {read}, and found no question. {_CAN}"
    none = "nothing in them answers" if is_question(question.text) else "I have no skill for"
    said = f"I have read {read}, and {none} “{cut(question.text, 120)}”."
    return f"{ABOUT}. {said}" if _introduced(question) else f"{_WHAT} {said} {_CAN}"
