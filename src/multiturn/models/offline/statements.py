"""What people say about themselves and their things, read as `Fact`s.

A sentence is cut into clauses and each clause is held against a few patterns. What no pattern fits is not a fact; it
can still be found by its words (`recall.recollect`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from multiturn.models.offline.english import american, is_question, sentences, unpunctuated, words
from multiturn.models.offline.facts import ALIASES, GONE, LAST, Fact, key_of, named

_OPENING = re.compile(
    r"(?:hi|hello|hey|greetings|good (?:morning|afternoon|evening)|there|actually|well|so|ok|okay|no|nope|yes|oh|wait"
    r"|sorry|correction|by the way|btw|fyi|please|also|and|but|then|remember|note|keep in mind|don't forget"
    r"|bear in mind|that|for the record|just so you know|in fact"
    r"|i (?:said|told you|meant to say|think|guess|mean(?=,)|should mention)|from now on"
    r"|you should know|let me introduce myself|now|today|currently|these days|as of today)\b[\s,:!–—-]*",
    re.IGNORECASE,
)
_CORRECTING = re.compile(r"\b(?:actually|no|nope|sorry|wait|correction|not|rather|meant?|isn't)\b", re.IGNORECASE)
_JOINT = re.compile(
    r"(?:[,;]|\s[–—-])?\s+(?:and|but|also|while|so)\s+"
    r"(?=(?:my|our|i|i'm|call|we|please|remember|note)\b|the (?:[\w']+ ){1,5}(?:is|are|was|were)\b)"
    r"|[,;:]\s+(?:and\s+)?(?=(?:my|our|i|i'm|call me|it's|it is)\b)",
    re.IGNORECASE,
)
_PROPER = r"(?-i:[A-Z][\w'’.-]*(?: (?:(?:de|van|von|the|of) )?[A-Z][\w'’.-]*){0,3})"
_NOT_NAMES = frozenset(words(  # what follows "I am" with a capital
    "american australian austrian belgian brazilian british canadian catholic chinese christian danish dutch english"
    " european finnish french german greek hindu hungarian indian irish italian japanese jewish korean mexican muslim"
    " norwegian polish portuguese russian scottish spanish swedish swiss turkish ukrainian welsh"
    " ok okay"
))  # fmt: skip

_ABOUT_ME = re.compile(r"i\b|this is |(?:[\w']+ ){0,3}calls? me ", re.IGNORECASE)
_CALL_ME = re.compile(r"(?:[\w']+ ){0,3}calls? me (.+)$", re.IGNORECASE)
_I_AM_NAMED = re.compile(
    rf"(?:[Ii](?:['’]m| am)|[Tt]his is) (?:called |named )?({_PROPER})(?:,? (from|in) (.+)|, .*)?$"
)
_AGE = re.compile(r"i(?:'m| am) (?:now )?(\d+)(?: years?(?: old)?| yo)?$", re.IGNORECASE)
_TIE = r"(?:is|are|was|were|will be|=|equals?|has changed to|changed to|became|has become)"
_ATTRIBUTE = re.compile(
    rf"(?P<owner>my|our|the|your|{_PROPER}['’]s?) (?P<label>[^,:;.!?]{{1,60}}?)"
    rf"(?: {_TIE}| ?:(?=\s))(?P<no> not|n't)?(?: now| actually| currently| really)?"
    rf"(?P<named> called| named)? (?P<value>.+)$",
    re.IGNORECASE,
)
_NAMED_THING = re.compile(
    r"i(?:'ve got|'ve| have|'ve adopted| own| got) (?:a |an |one )?(?:\w+ )??(\w+) (?:called|named|whose name is)"
    r" (.+)$",
    re.IGNORECASE,
)
_ADVERBS = r"(?: (?:really|also|just|now|still|currently|absolutely|usually|mostly|only|always|often|actually))*"
_DOING = re.compile(
    rf"i(?:'m| am)?{_ADVERBS}(?P<no> don't| do not| no longer| never)?{_ADVERBS}"
    r" (?P<verb>like|love|enjoy|adore|prefer|hate|dislike|have got|have|own|speak|play|study|drive|want|need|eat|drink"
    r"|collect|teach|work (?:as|at|for|in|with|on)|live (?:in|at|on|near|with)|living in|moved to|come from|grew up in"
    r"|was born (?:in|on)|weigh|allergic to|married to) (?P<value>.+)$",
    re.IGNORECASE,
)
_BEING = re.compile(r"i(?:'m| am)(?P<no> not)?(?: now| also| really)? (?P<value>.+)$", re.IGNORECASE)
_CORRECTION = re.compile(r"(?:it's|it is|that's|that is|i meant|i mean|make (?:it|that)|rather) (.+)$", re.IGNORECASE)
_ASKED_TO_REMEMBER = re.compile(
    r"(?:(?:can|could|will|would) you (?:please )?(?:remember|note|keep in mind)|did you know)(?: that)? ",
    re.IGNORECASE,
)
_FORGET = re.compile(r"forget (?:about )?(?:(?:that )?my (.+)|that|it|this)$", re.IGNORECASE)
_LABELS = "|".join(("name", "age", "e-?mail", "birthday", "phone", *ALIASES))
_FORM = re.compile(rf"(?P<label>{_LABELS}): (?P<value>.+)$", re.IGNORECASE)
_ONE_ONLY = {  # what holds of one thing at a time: the key, and how it is said
    **dict.fromkeys(("live in", "living in", "moved to"), ("home", "live in")),
    "live at": ("home", "live at"),
    **dict.fromkeys(("come from", "are from"), ("origin", "are from")),
    **{verb: ("job", verb) for verb in ("work as", "work at", "work for", "work in")},
    "was born in": ("birth", "were born in"),
    "was born on": ("birth", "were born on"),
}


def facts_in(text: str) -> Iterator[Fact]:
    """The facts that a text states, in order. Questions state none, but `can you remember that …?` does."""
    for sentence in sentences(text):
        if told := _ASKED_TO_REMEMBER.match(sentence):
            yield from _stated(sentence[told.end() :])
        elif not is_question(sentence):
            yield from _stated(sentence)


def _stated(sentence: str) -> Iterator[Fact]:
    correcting = False
    for clause in _JOINT.split(sentence.replace("’", "'").replace("name's ", "name is ")):
        opened = without_opening(clause)
        correcting = correcting or bool(_CORRECTING.search(clause[: len(clause) - len(opened)]))
        yield from _fact(unpunctuated(opened), correcting=correcting)
        correcting = correcting or bool(_CORRECTING.search(clause))


def without_opening(clause: str) -> str:
    """Without greetings, `actually`, `remember that` and the like before the statement itself."""
    while (opening := _OPENING.match(clause)) and opening.end() < len(clause):
        clause = clause[opening.end() :]
    return clause


def _fact(clause: str, *, correcting: bool) -> Iterator[Fact]:
    if correcting and (match := _CORRECTION.match(clause)):
        yield Fact(LAST, "", "", _value(match[1]))
    elif _ABOUT_ME.match(clause):
        yield from _about_me(clause)
    elif match := _FORGET.match(clause):
        yield Fact(key_of(match[1]) if match[1] else LAST, "your", "is", GONE)
    elif match := _FORM.match(clause):
        key, subject = named("my", match["label"].lower())
        yield Fact(key, subject, "is", _value(match["value"]))
    elif match := _ATTRIBUTE.match(clause):
        yield from _attribute(match)


def _about_me(clause: str) -> Iterator[Fact]:
    if match := _CALL_ME.match(clause):
        yield _name(match[1])
    elif match := _AGE.match(clause):
        yield Fact("age", "your age", "is", match[1])
    elif (match := _I_AM_NAMED.match(clause)) and match[1].lower() not in _NOT_NAMES:
        yield _name(match[1])
        if match[2]:
            yield _doing("are from" if match[2] == "from" else "live in", match[3])
    elif match := _NAMED_THING.match(clause):
        yield Fact(f"{match[1].lower()}'s name", f"your {match[1]}'s name", "is", _value(match[2]))
    elif match := _DOING.match(clause):
        yield _doing(match["verb"].lower(), match["value"], no=bool(match["no"]))
    elif match := _BEING.match(clause):
        yield _being(match["value"], no=bool(match["no"]))


def _name(value: str) -> Fact:
    return Fact("name", "your name", "is", _value(re.split(r",| (?:and|but|by the way|please)\b", value)[0]))


def _attribute(match: re.Match[str]) -> Iterator[Fact]:
    label = match["label"]
    if match["named"] and not label.endswith("name"):
        label = f"{label}'s name"
    key, subject = named(match["owner"], label)
    value = match["value"]
    if match["no"]:  # "not Bob but Alice", or just taken back
        value = value.partition(" but ")[2]
    if key == "name" and value:
        yield _name(value)
    elif len(words(label)) <= 7:
        yield Fact(key, subject, "are" if " are " in match[0][: match.start("value")] else "is", _value(value))


def _doing(verb: str, value: str, *, no: bool = False) -> Fact:
    value = _value(value)
    if verb in _ONE_ONLY:
        key, verb = _ONE_ONLY[verb]
        return Fact(key, "you", verb, GONE if no else value)
    verb = f"are {verb}" if verb in ("allergic to", "married to") else verb
    return Fact(f"{verb} {american(value)}", "you", f"do not {verb}" if no else verb, value)


def _being(value: str, *, no: bool) -> Fact:
    if value.lower().startswith("from "):
        return _doing("are from", value[5:])
    value = _value(value)
    return Fact(f"are {american(value)}", "you", "are", GONE if no else value)


def _value(text: str) -> str:
    text = re.split(r",? (?:not|rather than|instead of) ", text)[0]
    text = re.sub(r"\s+(?:now|actually|please|though|by the way|instead|these days)$", "", unpunctuated(text))
    return text.strip("\"'“”‘’`").strip()
