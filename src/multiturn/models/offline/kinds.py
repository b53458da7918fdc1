"""The kinds of values that properties are named for, and where a sentence holds them, likeliest place first."""

from __future__ import annotations

import re

from multiturn.models.offline.english import NUMBER, stem, words

PROPER = r"[A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*"

_MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december|jan|feb|mar|apr|jun|jul"
    r"|aug|sep|oct|nov|dec)"
)
_DAY = (
    r"(?:today|tonight|tomorrow|yesterday|next (?:week|month|year)"
    r"|(?:(?:next|this) )?(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?|\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}(?: \d{{4}})?)"
)
_END = r"(?: (?:please|now|today|tomorrow|right now|for me))*[.?!]*$"
_LIMITED = rf"(?:,? (?:and |with |at |a )*(?:limit|max|maximum|most|top|only)\b.*\d.*?)?{_END}"
_UNIT = r"([A-Za-z°]+)"

_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {  # the words that mean the kind, and the patterns
    "email": ("email mail", (r"([\w.+-]+@[\w-]+(?:\.[\w-]+)+)",)),
    "url": ("url uri link website", (r"(https?://[^\s\"'<>)]*[^\s\"'<>).,;!?])",)),
    "from": (
        "from origin source departure sender base",
        (rf"\bfrom ({PROPER})", rf"{NUMBER}\s*{_UNIT} (?:to|in|into)\b", r"\bfrom (\w+)"),
    ),
    "to": (
        "to destination target arrival recipient receiver",
        (r"\bto ([\w.+-]+@[\w.-]+\w)", rf"\b(?:to|into) ({PROPER})", rf"\b(?:to|into|in) {_UNIT}{_END}"),
    ),
    "language": ("language lang", (r"\b(?:to|into|in) ([A-Z]\w+)",)),
    "place": (
        "city location place country address town region where capital state",
        (rf"\b(?:in|at|for|near|around|of|to|from)\s+(?:the )?({PROPER})",),
    ),
    "date": ("date day when deadline due", (r"(\d{4}-\d\d-\d\d)", rf"\b(?i:({_DAY}))\b")),
    "time": ("time hour", (r"\b(\d{1,2}:\d\d(?:\s?[ap]m)?|\d{1,2}\s?[ap]m)\b",)),
    "id": ("id identifier number order ticket sku code account", (r"(?<![\w.])(#?[A-Za-z]*[-_]?\d[\w-]*)",)),
    "expression": ("expression formula equation calculation math", (r"((?:[-(]\s*)*\d[\d\s.,()+*/%^×÷-]*[\d)])",)),
    "search": (
        "query search term keyword topic subject question q",
        (
            rf"\b(?i:search|look|find|google|query)\w*(?:(?: the| my)? \w+)? (?:for|up|about|on) (.+?){_LIMITED}",
            rf"\b(?:for|about|on|regarding) (.+?){_LIMITED}",
            rf"\b(?i:search|find|google) (.+?){_LIMITED}",
        ),
    ),
    "text": (
        "text message content body note title task todo item reminder prompt summary reason description",
        (
            r"\b(?:saying|that says|says|with the text|reading):?\s+(.+)$",
            r":\s+(.+)$",
            rf"\b(?i:remind me to|remember to|task to|note that|note to|todo to) (.+?){_END}",
            r"\b(?i:add|create|make|translate|send) (?:an? |the )?(.+?) (?:to|on|into|in|for) .+$",
        ),
    ),
    "person": (
        "name user person who author customer people participant attendee guest contact",
        (rf"\b(?:named|called|name is|I am|I'm) ({PROPER})",),
    ),
}
PROPER_NAMES = {"person", "place", "from", "to"}  # kinds that any name in the sentence may be
FREE = {"search", "text", "expression"}  # kinds that are one text even where it says "and"
SELF_EVIDENT = {"email", "url"}  # kinds that one knows by their looks

_BY_ROOT = {stem(word): kind for kind, (meanings, _) in reversed(_KINDS.items()) for word in words(meanings)}
_COMPILED = {kind: tuple(map(re.compile, patterns)) for kind, (_, patterns) in _KINDS.items()}


def spaced(name: str) -> str:
    """`home_city`, `homeCity` and `home-city` as `home city`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").lower()


def kind_of(name: str) -> str | None:
    """What a property's name means: `place` for `home_city`, `to` for `destination_city`; where no word says a
    direction, the last word that means anything decides."""
    kinds = [_BY_ROOT[root] for word in reversed(spaced(name).split()) if (root := stem(word)) in _BY_ROOT]
    return next((kind for kind in kinds if kind in ("from", "to")), next(iter(kinds), None))


def patterns_of(kind: str | None) -> tuple[re.Pattern[str], ...]:
    return _COMPILED[kind] if kind else ()
