"""Questions about what was said: facts by their name, facts by their verb, and sentences by their words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from multiturn.models.offline.dialogue import Question
from multiturn.models.offline.english import american, content_stems, in_words, is_question, unpunctuated
from multiturn.models.offline.facts import GONE, LAST, Fact, key_of, named, to_you
from multiturn.models.offline.statements import facts_in, without_opening

_POLITE = re.compile(
    r"(?:please|hey|hi|hello|so|ok|okay|and|now|well|then|but|again|by the way|quick question|can you|could you"
    r"|would you|are you able to|do you (?:still )?(?:know|remember|recall)|tell me(?: again)?|remind me(?: again)?"
    r"|say|give me|what about|i(?:'ve)? (?:forgot|forget|forgotten)|any idea|let me know|remember)\b"
    r"[\s,:…-]*(?:of (?=my|the|what|who|where))?",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"(?:what|whats|which|who|when|where|how|how much|how many|how long|how far|how tall)"
    r"(?: (?P<noun>[\w-]+))?(?:'s|'re| is| are| was| were| does| do)? (?P<rest>(?:my|our|the|your|[\w'-]+'s) .+)$",
    re.IGNORECASE,
)
_OWNED = re.compile(
    r"(?P<owner>my|our|the|your|[\w'-]+'s) (?P<label>.+?)(?P<called> (?:called|named))?(?: (?:is|was|are|were))?"
    r"(?: (?:again|now|exactly|at the moment|currently))*$",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"(?:,? (?:please|again|then|by the way))+$", re.IGNORECASE)
_SUBJECT_FIRST = re.compile(r"(?:did i (?:say|tell you)|do you think) ", re.IGNORECASE)

_UNTOLD = "You have not told me"  # how an answer begins that has none

_Recall = Callable[[re.Match[str], Question], str | None]


def recall(question: Question) -> str | None:
    """Answers a question about the user from what the user said, or says honestly that it was not said."""
    if not _inquires(question.text):
        return None
    asked = _plain(question.text)
    for pattern, answer in _QUESTIONS:
        if match := pattern.fullmatch(asked):
            return answer(match, question)
    return _by_label(asked, question)


def _inquires(text: str) -> bool:
    """Whether it is a question, or asks politely (`tell me my name`), and is no statement."""
    if is_question(text):
        return True
    return _plain(text) != unpunctuated(text.replace("’", "'")) and not next(facts_in(text), None)


def _plain(text: str) -> str:
    text = unpunctuated(text.replace("’", "'"))
    while (polite := _POLITE.match(text)) and polite.end() < len(text):
        text = text[polite.end() :]
    return _TRAILING.sub("", _SUBJECT_FIRST.sub("", text))


def _of(key: str, otherwise: str) -> _Recall:
    """Answers with the fact of this key."""

    def answer(_: re.Match[str], question: Question) -> str:
        fact = question.dialogue.facts.get(key)
        return _sentence(str(fact)) if fact else f"{_UNTOLD} {otherwise}."

    return answer


def _everything(_: re.Match[str], question: Question) -> str:
    known = [str(fact) for fact in question.dialogue.facts.values() if fact.personal]
    if not known:
        return f"{_UNTOLD} anything about yourself yet."
    return f"You have told me that {in_words(known)}."


def _by_verb(match: re.Match[str], question: Question) -> str:
    verb = "are" if match["verb"] == "am" else match["verb"].lower()
    same = ("like", "love", "enjoy", "adore", "prefer") if verb in ("like", "love", "enjoy") else (verb,)
    rest = f" {match['rest']}" if match["rest"] else ""
    facts = [f for f in question.dialogue.facts.values() if f.subject == "you" and f.verb.startswith(same)]
    if rest.strip():
        facts = [fact for fact in facts if rest.strip() in fact.verb] or facts
    if facts:
        return _sentence(in_words([str(fact) for fact in facts]))
    return recollect(question) or f"{_UNTOLD} what you {verb}{rest}."


def _whether(match: re.Match[str], question: Question) -> str | None:
    verb = "are" if match["verb"].lower() == "am" else match["verb"].lower()
    name = question.dialogue.facts.get("name")
    if name and verb == "are" and match["value"][0].isupper():
        return f"{'Yes' if name.value.startswith(match['value']) else 'No'}, {name}."
    wanted = content_stems(match["value"])
    for fact in reversed(question.dialogue.facts.values()):
        if fact.subject == "you" and verb in fact.verb.split() and wanted <= content_stems(f"{fact.verb} {fact.value}"):
            return f"{'No' if ' not ' in fact.verb else 'Yes'}, {fact}."
    return recollect(question) or f"{_UNTOLD} whether you {verb} {match['value']}."


def _whether_mine(match: re.Match[str], question: Question) -> str | None:
    """`is my cat called Tom?`: compares with the fact of the longest name that fits."""
    thing = american(re.sub(r" (?:called|named) ", " name ", match["thing"])[3:])
    known = question.dialogue.facts
    key = max((key for key in known if thing.replace("'s", "").startswith(key.replace("'s", ""))), key=len, default="")
    if not key:
        return recollect(question) or f"{_UNTOLD} about your {match['thing'][3:]}."
    said = american(known[key].value)
    return f"{'Yes' if thing.endswith(said) else 'No'}, {known[key]}."


def _by_label(asked: str, question: Question) -> str | None:
    """`what is my X`, `my X`, `which noun is my X`, `what is my X called`: the fact that carries this label."""
    match = _ASKING.fullmatch(asked)
    owned = _OWNED.fullmatch(match["rest"] if match else asked)
    if not owned:
        return None
    label = unpunctuated(owned["label"])
    noun = match["noun"] if match else None
    key, subject = named(owned["owner"], label)
    for candidate in _keys(key, label, noun, called=bool(owned["called"])):
        if fact := question.dialogue.facts.get(candidate):
            return _sentence(str(fact))
    if owned["owner"].lower() not in ("my", "our"):
        return None
    return recollect(question, about=label, unless=key) or f"{_UNTOLD} {subject}."


def _keys(key: str, label: str, noun: str | None, *, called: bool) -> Iterator[str]:
    if noun:
        yield key_of(f"{noun} of my {label}")
        yield key_of(f"{label}'s {noun}")
    if called:
        yield f"{key}'s name"
    yield key
    yield f"{key}'s name"
    if wrapped := re.fullmatch(r"(.+) of (?:my|the|our) (.+)", american(label)):
        yield f"{wrapped[2]}'s {wrapped[1]}"


_VERBS = (
    r"(?P<verb>like|love|enjoy|adore|prefer|hate|dislike|have|own|speak|play|study|drive|want|need|eat|drink|collect"
    r"|teach|am|live|work)"
)
_NAME = _of("name", "your name")
_HOME = _of("home", "where you live")
_JOB = _of("job", "what you do")
_QUESTIONS: tuple[tuple[re.Pattern[str], _Recall], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), answer)
    for pattern, answer in (
        (r"who (?:am i|i am)|what am i called|what (?:do|should|can) you call me|what i am called", _NAME),
        (r"what(?: i)?(?:'s| is) my name.*|my name|what my name (?:is|was)|what name did i .+", _NAME),
        (r"where (?:do i|i|am i|did i) (?:live|living|based|say i live|move)(?: now| to| again)?", _HOME),
        (r"(?:in )?(?:what|which) (?:city|town|country|place|state) (?:do i|i|am i) (?:live|living)(?: in)?", _HOME),
        (r"where (?:am i|i am|do i come) from|where(?: do)? i come from", _of("origin", "where you are from")),
        (r"how old (?:am i|i am)|what(?:'s| is) my age|my age", _of("age", "your age")),
        (r"(?:what|where|who) (?:do )?i (?:do|work)(?: as| for(?: a living| work)?| at| in)?", _JOB),
        (r"when (?:was i|i was) born|where (?:was i|i was) born", _of("birth", "when or where you were born")),
        (r"(?:(?:what|all|everything)(?: else)? )*(?:do |did |have )?(?:you|i) (?:know|remember|learn(?:ed)?|told|tell)"
         r"(?: you)?(?: so far)?(?: about (?:me|myself))?(?: so far)?", _everything),
        (r"(?:describe|about) me|who (?:do )?you think i am", _everything),
        (rf"(?:what|which)(?: [\w-]+)? (?:do |am )?i(?: (?:really|also|still))? {_VERBS}(?: (?P<rest>to|for|in|at))?",
         _by_verb),
        (r"(?:what|which)(?: [\w-]+)? (?P<verb>am) i (?P<rest>[\w ]+?)(?: to| about)?", _by_verb),
        (rf"(?:do i|whether i|if i)(?: (?:really|also|still))? {_VERBS} (?P<value>.+)", _whether),
        (r"(?P<verb>am) i (?P<value>.+)", _whether),
        (r"(?:is|are|was|were) (?P<thing>my .+)", _whether_mine),
    )
)  # fmt: skip


def acknowledge(question: Question) -> str | None:
    """Takes note of the facts that a sentence states."""
    stated = list(facts_in(question.text))
    if not stated:
        rest = without_opening(question.text)
        told = re.match(r"(?:please )?(?:remember|note|keep in mind|don['’]t forget)\b", question.text, re.IGNORECASE)
        return f"Noted: {to_you(unpunctuated(rest))}." if told and not is_question(question.text) else None
    known = question.dialogue.facts
    lasting = dict.fromkeys(_lasting(stated, known))
    if not lasting:
        return "All right, I have forgotten that." if question.dialogue.facts_before else None
    first_met = "name" not in question.dialogue.facts_before
    names = [f"Nice to meet you, {fact.value}." for fact in lasting if fact.key == "name" and first_met]
    noted = [str(fact) for fact in lasting if not (fact.key == "name" and first_met)]
    return " ".join([*names, f"Noted: {in_words(noted)}."] if noted else names)


def _lasting(stated: list[Fact], known: dict[str, Fact]) -> Iterator[Fact]:
    """Of the stated facts those that hold; for a correction the fact that it corrects."""
    for fact in stated:
        if fact.key == LAST and known and fact.value != GONE:
            yield next(reversed(known.values()))
        elif fact.key in known:
            yield known[fact.key]


def recollect(question: Question, *, about: str = "", unless: str = "") -> str | None:
    """Quotes the user's statement that shares most words with the question, the latest of the best; at least half of
    the question's words, or all of `about`. None that states the fact `unless`, which no longer holds."""
    if not about and not _inquires(question.text):
        return None
    wanted = content_stems(about or question.text)
    needed = len(wanted) if about else (len(wanted) + 1) // 2
    best, found = 0, ""
    for statement in question.dialogue.statements:
        lowered = statement.lower()
        if not any(root[:4] in lowered for root in wanted) or is_question(statement):
            continue
        shared = len(wanted & content_stems(statement))
        if shared >= max(needed, best + 1) and all(fact.key != unless for fact in facts_in(statement)):
            best, found = shared, statement
    return f"You said: “{found}”" if found else None


def knows(question: Question) -> bool:
    """Whether the question is about the user and was answered in the dialogue."""
    answer = recall(question)
    return answer is not None and not answer.startswith(_UNTOLD)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
