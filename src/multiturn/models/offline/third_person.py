"""What others wrote about the user (a system message, a summary, a transcript), put as the user would say it, and the
other way round."""

from __future__ import annotations

import re

from multiturn.models.offline.facts import Fact

_BULLET = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])[ \t]+", re.MULTILINE)
_SPEAKER = re.compile(r"^[^\w\n]*(?:user|human|customer)[^\w\n]*:[ \t]*", re.IGNORECASE | re.MULTILINE)
_OTHER_SPEAKER = re.compile(
    r"^[^\w\n]*(?:assistant|ai|model|bot|system|tool|developer)[^\w\n]*:.*$", re.IGNORECASE | re.MULTILINE
)
_HEADING = re.compile(r"(?:summary|notes|context|facts|background)\b[^.\n:]*:\s*", re.IGNORECASE)
_REPORTED = re.compile(
    r"\b(?:the )?user (?:has )?(?:said|says|stated|states|mentioned|mentions|told \w+|shared|noted)(?: that)? ", re.I
)
_POSSESSIVE = re.compile(r"\b(?:the |this )?user(?:['’]s\b|(?= [\w ]{1,30}:))|\b(?:their|his|her)\b", re.IGNORECASE)
_SUBJECT = re.compile(r"\b(?:(?:the |this )?user(?! \w+(?:'s)? (?:is|are)\b)|(?<=[.] )they|(?<=that )they) (\w+)", re.I)
_AND_VERB = re.compile(r"\band (is|has|lives|likes|loves|works|prefers|owns|speaks|plays|comes|wants|hates)\b")

_FIRST = {"is": "am", "are": "am", "has": "have", "does": "do", "was": "was"}
_THIRD = {"are": "is", "were": "was", "have": "has", "do": "does"}


def as_user(text: str) -> str:
    """The text with `the user's name is …` as `my name is …`, and the user's lines of a transcript without what the
    others say. A text that does not mention a user is returned as it is."""
    if "user" not in text.lower() and "human:" not in text.lower():
        return text
    text = _OTHER_SPEAKER.sub("", _BULLET.sub("", text))
    text = _HEADING.sub("", _SPEAKER.sub("", text))
    text = _POSSESSIVE.sub("my", _REPORTED.sub("", text))
    text = _SUBJECT.sub(lambda match: f"I {_first(match[1])}", text)
    return _AND_VERB.sub(lambda match: f"and I {_first(match[1])}", text)


def _first(verb: str) -> str:
    verb = verb.lower()
    return _FIRST.get(verb) or (verb.removesuffix("s") if not verb.endswith("ss") else verb)


def of_user(fact: Fact) -> str:
    """The fact as a sentence for a third reader: `The user's favourite colour is green.`"""
    subject, verb = fact.subject, fact.verb
    if subject == "you":
        head, _, rest = verb.partition(" ")
        third = _THIRD.get(head, f"{head}s")
        subject, verb = "the user", f"{third} {rest}".strip()
    elif subject.startswith("your "):
        subject = f"the user's {subject[5:]}"
    value = re.sub(r"\b(?:my|our)\b", "their", fact.value)
    return f"{subject[:1].upper()}{subject[1:]} {verb} {value}."
