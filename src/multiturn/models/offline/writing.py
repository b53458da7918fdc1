"""Counting, echoing, and writing as many words as one likes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from multiturn.models.offline.dialogue import Question, text_of
from multiturn.models.offline.english import counted, quoted, sentences, unpunctuated, with_digits, words

_MAX_COUNT = 10_000
_MAX_WORDS = 100_000
_STORY_WORDS = {"": 120, "short": 60, "long": 400, "very long": 1000}

_PLEASE = r"(?:please |now |ok(?:ay)?,? |and |then |can you |could you |would you )*"
_COUNT = re.compile(rf"{_PLEASE}count (?P<how>.*\d.*)", re.IGNORECASE)
_SAY = re.compile(
    rf"{_PLEASE}(?:say|repeat|echo|print|(?:reply|respond|answer) with|write back)"
    r"(?: (?:exactly|only|just|after me|the words?|the following|this|back|the text|the phrase|to me))*"
    r"(?P<colon>\s*:)?\s+(?P<what>.+)",
    re.IGNORECASE | re.DOTALL,
)
_INDIRECT = re.compile(r"(?:my|something|anything|who|what|where|whether|if|nothing)\b", re.IGNORECASE)
_TIMES = re.compile(
    r"(?P<what>.+?)[,]? (?P<times>\d{1,9}(?= times)|once|twice|thrice)(?: times)?[.!]?$", re.IGNORECASE | re.DOTALL
)
_AGAIN = re.compile(r"(?:that|it|this)(?: again)?|your(?:self| last (?:answer|message))|again", re.IGNORECASE)
_MINE = re.compile(r"what i (?:just )?(?:said|wrote)|my last (?:message|sentence)|me", re.IGNORECASE)
_WRITE = re.compile(
    rf"{_PLEASE}(?:(?:write|generate|compose|make up|create|produce|stream)\b"
    r"|(?:tell|give)(?: me| us)? (?:an?|some|\d+)\b)"
    r"(?P<what>.*?\b(?:\d[- ]words?|words|story|stories|text|essay|poem|paragraphs?|article|letter|tale|speech)\b.*)",
    re.IGNORECASE | re.DOTALL,
)
_TOPIC = re.compile(
    r"\b(?:about|on|of) (?:an? |the |my )?([a-z][\w' -]{1,40}?)(?: (?:in|with|of|that|using)\b|[,.!?;]|$)", re.I
)
_HOW_MANY = re.compile(
    r"how many (?P<unit>words|letters|characters|vowels|sentences|lines|[\"'“‘]?\w[\"'”’]?(?:'s|s)?)"
    r" (?:are|is|has|have|does|do)?(?: there)?(?: in)?\s*(?P<what>.*)",
    re.IGNORECASE | re.DOTALL,
)
_MESSAGES = re.compile(
    r"how many (?P<unit>messages|questions|turns|times|words)\b.*?\b(?P<who>i|you|we|conversation|far)\b", re.I
)


def count(question: Question) -> str | None:
    """`count to 10`, `count from 3 to 7`, `count down from 5`, `count to 20 by 5`."""
    match = _COUNT.fullmatch(unpunctuated(with_digits(question.text)))
    if not match:
        return None
    how = match["how"].lower()
    start, end = _number(r"from (-?\d+)", how), _number(r"(?:up |down )?to (-?\d+)", how)
    down = "down" in how or "back" in how or (start is not None and end is not None and start > end)
    first = start if start is not None else 10 if down else 1
    last = end if end is not None else 1 if down else None
    if last is None:
        return None
    step = _number(r"(?:by|in steps of) (\d+)", how) or 1
    if abs(last - first) // step >= _MAX_COUNT:
        return f"I count {_MAX_COUNT} numbers at most in one answer."
    return ", ".join(map(str, range(first, last - 1, -step) if down else range(first, last + 1, step))) or None


def _number(pattern: str, text: str) -> int | None:
    match = re.search(rf"\b{pattern}\b", text)
    return int(match[1]) if match else None


def echo(question: Question) -> str | None:
    """`say …`, `repeat after me: …`, `reply with exactly …`, `repeat that`, `say hello 3 times`."""
    match = _SAY.fullmatch(question.text.strip())
    if not match:
        return None
    what = match["what"].strip()
    bare = unpunctuated(what)
    if _AGAIN.fullmatch(bare):
        said = question.dialogue.said("assistant")
        return said[-1] if said else "I have not said anything yet."
    if _MINE.fullmatch(bare):
        said = question.dialogue.said("user")
        return said[-1] if said else "This is your first message."
    if _INDIRECT.match(bare) and not match["colon"]:
        return None
    times = _TIMES.fullmatch(with_digits(what))
    if not times or match["colon"]:
        return _unquoted(what)
    often = {"once": 1, "twice": 2, "thrice": 3}.get(times["times"].lower()) or int(times["times"])
    text = _unquoted(times["what"])
    if often * len(text) > _MAX_WORDS:
        return f"I repeat up to {_MAX_WORDS} characters in one answer."
    return " ".join([text] * often)


def _unquoted(text: str) -> str:
    inner = quoted(text)
    rest = text.replace(inner[0], "", 1) if inner else text
    return inner[0] if inner and not words(rest) else text


def write(question: Question) -> str | None:
    """Writes a text of as many words as asked for: `write 300 words about foxes`, `tell me a long story`."""
    text = with_digits(question.text.strip())
    match = _WRITE.match(text)
    if not match:
        return None
    number = re.search(r"(\d[\d,]{0,12})[- ]words?\b", text)
    length = next((size for size in ("very long", "long", "short") if re.search(rf"\b{size}\b", text)), "")
    wanted = int(number[1].replace(",", "")) if number else _STORY_WORDS[length]
    if wanted > _MAX_WORDS:
        return f"I write {_MAX_WORDS} words at most in one answer."
    topic = _TOPIC.search(re.sub(r"\bof (?:about )?\d[\d,]*[- ]words?\b", "", match["what"]))
    return prose(wanted, unpunctuated(topic[1]) if topic else "a small lighthouse")


_OPENINGS = (
    "At first",
    "After a while",
    "In the morning",
    "Later that day",
    "Without a sound",
    "Once more",
    "By the river",
)
_SUBJECTS = ("the keeper", "a traveller", "the old clock", "a quiet neighbour", "the north wind", "a young pilot",
             "the baker", "an owl", "the last ferry", "a painter", "the village")  # fmt: skip
_VERBS = ("thought of", "spoke about", "returned to", "wrote down", "kept watch over", "asked about", "dreamed of",
          "drew a map of", "remembered", "listened for", "waited for", "smiled at", "sang of")  # fmt: skip
_ENDS = ("and the light went on", "until the tide turned", "while the rain fell", "and nobody was surprised",
         "as if it were spring")  # fmt: skip


def prose(wanted: int, topic: str) -> str:
    """Exactly `wanted` words of plain sentences around a topic, the same ones every time."""
    taken: list[str] = []
    for sentence in _sentences(topic):
        if len(taken) >= wanted:
            break
        taken.extend(sentence.split())
    text = " ".join(taken[:wanted])
    return text if not text or text.endswith(".") else f"{text.rstrip(',')}."


def _sentences(topic: str) -> Iterator[str]:
    yield f"This is a story about {topic}."
    number = 0
    while True:
        opening, subject = _OPENINGS[number % len(_OPENINGS)], _SUBJECTS[number % len(_SUBJECTS)]
        verb, end = _VERBS[number % len(_VERBS)], _ENDS[number % len(_ENDS)]
        yield f"{opening} {subject} {verb} {topic}, {end}."
        number += 1


def measure(question: Question) -> str | None:
    """`how many words are in …`, `how many r's in strawberry`, `how many messages have I sent`."""
    text = question.text.strip()
    if (match := _MESSAGES.match(text)) and not quoted(text):
        return _messages(match["unit"].lower(), match["who"].lower(), question)
    match = _HOW_MANY.match(text)
    if not match or not match["what"]:
        return None
    what = _measured(match["what"])
    unit = match["unit"].lower().strip("\"'“”‘’")
    if not what or (len(unit) > 3 and unit not in _UNITS):
        return None
    if unit in _UNITS:
        return f"There {_are(_UNITS[unit](what), unit[:-1])} in “{what}”."
    letter = unit[0]
    return f"There {_are(what.lower().count(letter), f'“{letter}”', plural=f'“{letter}”s')} in “{what}”."


_UNITS: dict[str, Callable[[str], int]] = {
    "words": lambda text: len(words(text)),
    "letters": lambda text: sum(map(str.isalpha, text)),
    "characters": len,
    "vowels": lambda text: sum(letter in "aeiouAEIOU" for letter in text),
    "sentences": lambda text: len(sentences(text)),
    "lines": lambda text: len(text.splitlines()),
}
_AROUND = re.compile(
    r"^(?:the |this |my )*(?:word|sentence|phrase|text|following|name)\b\s*:?\s*|\s+(?:have|has|contain)$",
    re.IGNORECASE,
)


def _measured(text: str) -> str:
    inner = quoted(text)
    return inner[0] if inner else unpunctuated(_AROUND.sub("", unpunctuated(text)))


def _are(number: int, noun: str, *, plural: str = "") -> str:
    some = f"{number} {plural}" if plural and number != 1 else counted(number, noun)
    return f"{'is' if number == 1 else 'are'} {some}"


def _messages(unit: str, who: str, question: Question) -> str:
    dialogue = question.dialogue
    mine, yours = [*dialogue.said("user"), dialogue.asked], dialogue.said("assistant")
    if unit == "words":
        total = sum(len(words(text)) for text in (yours if who == "you" else mine))
        return f"{'I have' if who == 'you' else 'You have'} written {counted(total, 'word')}."
    if unit == "questions":
        return f"You have asked {counted(sum('?' in text for text in mine), 'question')}, this one included."
    read = [text for message in dialogue.messages if (text := text_of(message))]
    if who == "i":
        return f"You have sent {counted(len(mine), 'message')}, this one included."
    if who == "you":
        return f"I have sent {counted(len(yours), 'message')}."
    return f"I have read {counted(len(read), 'message')}: {len(mine)} of yours and {len(yours)} of mine."
