"""The little English that the offline model knows: sentences, words, stems, numbers written out."""

from __future__ import annotations

import re
from collections.abc import Iterator

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"

_SENTENCE_END = re.compile(r"(?<=[.!?…])(?<!\b[A-Z]\.)(?<!\b(?:Mr|Dr|Ms|St)\.)(?<!\bMrs\.)[\"'”’)]*\s+|\n+")
_QUESTION_BEHIND = re.compile(
    r",? (?:and|but|so) (?=(?:what|what's|where|who|how|which|when|do|am)\b)"
    r"|, (?=(?:what|what's|where|who|how|can you)\b)",
    re.IGNORECASE,
)
_LONGEST = 1000
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)|‘([^’]+)’")
_QUESTION = re.compile(
    r"(?:what|who|whom|whose|where|when|which|why|how|is|are|am|was|were|do|does|did|can|could|will|would|shall|should"
    r"|has|have|may|whats)(?:'s|'re|'d)?\b"
)
_APOSTROPHE = re.compile(r"['’]")
_SPELLING = {"colour": "color", "favourite": "favorite", "neighbour": "neighbor", "honour": "honor", "centre": "center"}
_PLURALS = (("ies", "y", 5), ("sses", "ss", 6), ("es", "", 5), ("s", "", 4))  # for words of so many letters
_ENDINGS = (("ation", "at", 8), ("ion", "", 6), ("ing", "", 6), ("ed", "", 5), ("er", "", 6), ("or", "", 6))


def words(text: str) -> list[str]:
    return _WORD.findall(text)


STOP_WORDS = frozenset(words(
    "a about again all also am an and any are as at be been but by can could did do does for from get give had has"
    " have he her here him his how i if in into is it its just know let like made make me more my no not now of off on"
    " one or our out over please said say she show so some tell than thank thanks that the their them then there these"
    " they this those to told too up us use very want was we were what when where which who whom whose why will with"
    " would you your yes don doesn didn isn aren wasn won"
))  # fmt: skip

_UNITS = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_SMALL = {word: n for n, word in enumerate(_UNITS)} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_NUMBER_WORD = "|".join([*_SMALL, *_SCALES])
_NUMBER_WORDS = re.compile(
    rf"\b(?:{_NUMBER_WORD})(?:(?:[ -]|(?:(?<=hundred)|(?<=thousand)|(?<=million)) and )(?:{_NUMBER_WORD}))*\b",
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, trimmed, in order; no empty ones, and none too long for anyone to read. A
    question behind a comma or an `and` stands by itself: `My name is Al, what is yours?` is two."""
    pieces = (piece.strip() for piece in _SENTENCE_END.split(text))
    return [part for piece in pieces if 0 < len(piece) <= _LONGEST for part in _parts(piece)]


def _parts(sentence: str) -> list[str]:
    return _QUESTION_BEHIND.split(sentence) if sentence.endswith("?") else [sentence]


def is_question(sentence: str) -> bool:
    """Whether it ends in a question mark, or begins like a question that lacks one."""
    return sentence.rstrip("\"'”’) ").endswith("?") or _QUESTION.match(sentence.lower().replace("’", "'")) is not None


def stem(word: str) -> str:
    """A crude root, equal for `weather`/`Weathers`, `add`/`adding`, `colour`/`colors`."""
    word = word.lower().removesuffix("'s").removesuffix("’s")
    for endings in (_PLURALS, _ENDINGS):
        for ending, instead, least in endings:
            if word.endswith(ending) and not word.endswith("ss") and len(word) >= least:
                word = word.removesuffix(ending) + instead
                break
    word = _SPELLING.get(word, word)
    if len(word) > 2 and word[-1] == word[-2]:
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def content_stems(text: str) -> set[str]:
    """The roots of the words that carry meaning. A name such as `get_weather` or `getWeather` is several words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ").replace("-", " ")
    return {stem(word) for word in words(spaced) if _APOSTROPHE.split(word.lower())[0] not in STOP_WORDS}


def american(text: str) -> str:
    """Lower case, and one spelling for the words that have two."""
    return " ".join(_SPELLING.get(word, word) for word in text.lower().replace("’", "'").split())


def quoted(text: str) -> list[str]:
    """What stands in quotation marks or backticks, in order."""
    return [next(group for group in match.groups() if group) for match in _QUOTED.finditer(text)]


def with_digits(text: str) -> str:
    """The text with its written-out numbers as digits: `twenty-three` becomes `23`."""
    return _NUMBER_WORDS.sub(lambda match: str(_value(match[0])), text)


def _value(spelled: str) -> int:
    total = part = 0
    for word in re.split(r"[ -]+", spelled.lower()):
        if word in _SMALL:
            part += _SMALL[word]
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word in _SCALES:
            total, part = total + max(part, 1) * _SCALES[word], 0
    return total + part


def listed(text: str) -> list[str]:
    """The items of `a, b and c`."""
    return [item for piece in re.split(r",\s*(?:and\s+)?|\s+and\s+|\s*&\s*", text) if (item := piece.strip())]


def in_words(items: list[str]) -> str:
    """`a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def counted(number: int, noun: str) -> str:
    """`1 word`, `2 words`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, with an ellipsis where some are missing."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def unpunctuated(text: str) -> str:
    """Without surrounding space and the punctuation that ends a sentence."""
    return text.strip().rstrip(".!?;:, ").strip()


def proper_names(text: str) -> Iterator[str]:
    """Names as far as capitals show them, neighbours joined, in order. A sentence's first word counts only where what
    follows shows that it is one: `Alice and Bob …`, `Alice is …`."""
    for sentence in sentences(text):
        for match in _CAPITALS.finditer(sentence):
            name = match[0]
            if match.start() == 0:
                first, _, rest = name.partition(" ")
                if first.lower() in STOP_WORDS or (not rest and not _AFTER_NAME.match(sentence, match.end())):
                    name = rest
            if name and name.lower() not in _NOT_NAMES:
                yield name


_CAPITALS = re.compile(
    r"\b[A-Z][^\W_]*(?:['’-][A-Z]\w+)*(?: (?:(?:de|van|von|of|the|la) )?[A-Z][^\W_]*(?:['’-][A-Z]\w+)*)*"
)
_AFTER_NAME = re.compile(r"(?:,| and| or) [A-Z]|['’]s\b| (?:is|are|was|has|lives|works|wants|likes|will)\b")
_NOT_NAMES = frozenset(words(
    "i monday tuesday wednesday thursday friday saturday sunday january february march april may june july august"
    " september october november december json english celsius fahrenheit"
))  # fmt: skip
