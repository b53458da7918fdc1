"""What was said, word for word, and what it all came to."""

from __future__ import annotations

import re

from multiturn.models.offline.dialogue import Question
from multiturn.models.offline.english import content_stems, counted, cut, is_question, sentences, unpunctuated
from multiturn.models.offline.smalltalk import ABOUT
from multiturn.models.offline.statements import facts_in
from multiturn.models.offline.third_person import as_user, of_user

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_WHICH = (
    rf"(?P<which>{'|'.join(_ORDINALS)}|last|latest|previous|very first|initial|beginning|start|before|just|earlier)"
)
_SAID = re.compile(
    rf".*\bwhat (?:else )?(?:did|have) (?P<who>i|you)(?: {_WHICH})?(?: just)? (?:say|said|ask|asked|tell|told"
    r"|write|wrote|written|answer|answered|reply|replied|mention|mentioned)\b(?P<rest>.*)",
    re.IGNORECASE,
)
_OWN = re.compile(
    rf".*\b(?P<who>my|your) {_WHICH}(?: \w+)? (?:message|question|answer|reply|sentence|words|request|statement)s?\b.*",
    re.IGNORECASE,
)
_THING = re.compile(
    rf".*\bthe {_WHICH} (?:thing|message|question|words?)(?: that)? (?P<who>i|you) \w+.*", re.IGNORECASE
)
_ABOUT = re.compile(r"\b(?:about|regarding|on|concerning) (.+)", re.IGNORECASE)
_SUMMARISE = re.compile(
    r"(?:please |now |ok(?:ay)?,? |can you |could you |would you )*(?:briefly )?(?:summari[sz]e|recap|sum up|tl;?dr"
    r"|(?:give|write|make|create|provide|produce)(?: me| us)?(?: an?| the)?(?: \w+){0,2} (?:summary|recap)"
    r"|what (?:did|have) we (?:talk|discuss|cover|speak|said|say)\w*|(?:condense|compress) (?:the|this|our))\b.*",
    re.IGNORECASE | re.DOTALL,
)
_SUMMARISER = re.compile(
    r"you (?:are|will|write|summari[sz]e|condense|compress)\b.{0,80}\b(?:summar|condens|compress)", re.I
)
_SHOWN = 6


def quote(question: Question) -> str | None:
    """`What did I say first?`, `what was my last question?`, `what did you say about the tide?`."""
    text = unpunctuated(question.text)
    match = _SAID.fullmatch(text) or _OWN.fullmatch(text) or _THING.fullmatch(text)
    if not match:
        return None
    me = match["who"].lower() in ("i", "my")
    said = question.dialogue.said("user" if me else "assistant")
    rest = match.groupdict().get("rest") or ""
    if about := _ABOUT.search(rest):
        return _about(about[1], said, me=me)
    which = match["which"] or next(
        (word for word in re.findall(r"\w+", rest) if re.fullmatch(_WHICH, word, re.I)), "last"
    )
    at = _position(which.lower())
    who = "You have" if me else "I have"
    if not said:
        return f"{who} said nothing before this."
    if at >= len(said):
        return f"{who} said only {counted(len(said), 'thing')} before this."
    return f"{'You' if me else 'I'} said: “{said[at]}”"


def _position(which: str) -> int:
    if which in _ORDINALS:
        return _ORDINALS.index(which)
    return 0 if which in _STARTS else -1


_STARTS = ("very first", "initial", "beginning", "start")


def _about(topic: str, said: list[str], *, me: bool) -> str:
    wanted = content_stems(topic)
    found = [s for text in said for s in sentences(text) if wanted & content_stems(s)]
    who = "You" if me else "I"
    if not found:
        return f"{who} said nothing about {topic}."
    return f"{who} said: {' '.join(f'“{sentence}”' for sentence in dict.fromkeys(found[-_SHOWN:]))}"


def summarise(question: Question) -> str | None:
    """The facts, results and questions of the dialogue, as sentences that this model can read again."""
    instructions = question.dialogue.request.instructions or ""
    if not _SUMMARISE.fullmatch(question.text.strip()) and not (
        _SUMMARISE.fullmatch(instructions.strip()) or _SUMMARISER.match(instructions.strip())
    ):
        return None
    dialogue = question.dialogue
    lines = [of_user(fact) for fact in dialogue.facts.values()]
    lines += [text for text in dialogue.said("assistant") if " = " in text and len(text) < 120][-_SHOWN:]
    if asked := _asked(question):
        lines.append(f"Asked: {' '.join(f'“{cut(sentence, 100)}”' for sentence in asked)}")
    if told := _told(question):
        lines.append(f"Also said: {' '.join(f'“{cut(sentence, 100)}”' for sentence in told)}")
    used = dict.fromkeys(call.name for message in dialogue.history for call in message.tool_calls)
    if used:
        lines.append(f"Tools used: {', '.join(used)}.")
    if not lines:
        return "There is nothing to summarise yet."
    return f"Summary of {counted(len(dialogue.history), 'message')}: {' '.join(lines)}"


def _user_sentences(question: Question) -> list[str]:
    texts = question.dialogue.said("user")
    if not _SUMMARISE.fullmatch(question.text.strip()):
        texts = [*texts, question.text]
    every = [sentence for text in texts for sentence in sentences(as_user(text))]
    return [sentence for sentence in every if not _SUMMARISE.fullmatch(sentence)]


def _asked(question: Question) -> list[str]:
    return list(dict.fromkeys(filter(is_question, _user_sentences(question))))[-_SHOWN:]


def _told(question: Question) -> list[str]:
    told = (s for s in _user_sentences(question) if not is_question(s) and not s.startswith(ABOUT))
    return list(dict.fromkeys(s for s in told if len(content_stems(s)) > 2 and not list(facts_in(s))))[-_SHOWN:]
