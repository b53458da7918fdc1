"""What a text offers for a named value: `city` in `the weather in Paris`, `limit` in `at most 5`, `a` and `b` in `2 and 3`.

Tool arguments and typed answers are filled from here. A clue is used once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from multiturn.models.offline.english import (
    NUMBER, STOP_WORDS, content_stems, listed, proper_names, quoted, stem, unpunctuated, with_digits,
)  # fmt: skip
from multiturn.models.offline.facts import Fact, facts_in, gather, key_of

_PROPER = r"[A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*"
_DAY = (
    r"(?:today|tonight|tomorrow|yesterday|(?:(?:on|next|this) )?(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
    r"|next (?:week|month|year)|(?:january|february|march|april|may|june|july|august|september|october|november|december)"
    r" \d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?|\d{1,2}(?:st|nd|rd|th)? (?:of )?(?:january|february|march|april|may|june|july"
    r"|august|september|october|november|december)(?: \d{4})?)\b"
)
_PLACE = rf"\b(?:in|at|for|near|around|of|to|from)\s+(?:the )?({_PROPER})"
_REST = r"(?: (?:please|now|today|tomorrow|right now|for me))*[.?!]*$"
_LIMIT = r"(?:,? (?:and |with |at |a )*(?:limit|max|maximum|most|top|only)\b.*\d.*?)?"
_UNIT = r"([A-Za-z°]+)"

# A kind of value: the roots in a property's name that mean it, and where in a text it is found, likeliest first.
_KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("email", "email mail", (r"([\w.+-]+@[\w-]+(?:\.[\w-]+)+)",)),
    ("url", "url uri link website", (r"(https?://[^\s\"'<>)]+[^\s\"'<>).,;!?])",)),
    ("from", "from origin source departure sender base",
     (rf"\bfrom ({_PROPER})", rf"{NUMBER}\s*{_UNIT} (?:to|in|into)\b", r"\bfrom (\w+)")),
    ("to", "to destination target arrival recipient receiver",
     (r"\bto ([\w.+-]+@[\w.-]+\w)", rf"\b(?:to|into) ({_PROPER})", rf"\b(?:to|into|in) {_UNIT}{_REST}")),
    ("language", "language lang", (r"\b(?:to|into|in) ([A-Z]\w+)",)),
    ("place", "city location place country address town region where capital state", (_PLACE, rf"({_PROPER})'s\b")),
    ("date", "date day when deadline due", (r"(\d{4}-\d\d-\d\d)", rf"(?i:({_DAY}))")),
    ("time", "time hour", (r"(\d{1,2}:\d\d(?:\s?[ap]m)?|\d{1,2}\s?[ap]m)\b",)),
    ("id", "id identifier number order ticket sku code account", (r"(?<![\w.])(#?[A-Za-z]*[-_]?\d[\w-]*)",)),
    ("expression", "expression formula equation calculation math",
     (r"((?:[-(]\s*)*\d[\d\s.,()+*/%^×÷-]*[\d)])",)),
    ("search", "query search term keyword topic subject question q",
     (rf"\b(?i:search|look|find|google|query)\w*(?:(?: the| my)? \w+)? (?:for|up|about|on) (.+?){_LIMIT}{_REST}",
      rf"\b(?:for|about|on|regarding) (.+?){_LIMIT}{_REST}", rf"\b(?i:search|find|google) (.+?){_LIMIT}{_REST}")),
    ("text", "text message content body note title task todo item reminder prompt summary reason description",
     (rf"\b(?:saying|that says|says|with the text|reading):?\s+(.+?){_REST}", r":\s+(.+)$",
      rf"\b(?i:remind me to|remember to|task to|note that|note to|todo to) (.+?){_REST}",
      r"\b(?i:add|create|make|translate|send) (?:an? |the )?(.+?) (?:to|on|into|in|for) .+$")),
    ("person", "name user person who author customer people participant contact",
     (rf"\b(?:named|called|name is|I am|I'm) ({_PROPER})",)),
)  # fmt: skip
_ANYWHERE = {"person", "place", "to", "from"}  # kinds that are proper names, wherever in the sentence
_FREE = {"search", "text", "expression"}  # kinds that are one text even where it says "and"
_AMOUNTS = {stem(word) for word in ("count", "amount", "quantity", "number", "n", "num", "times")}
_SWITCHES = {stem(word) for word in ("state", "power", "powered", "enabled", "active", "switch", "switched")}
_PHRASE = re.compile(rf"\b(?:in|at|for|of|about|on|to|with|by|named|called) (?:the |a |an )?(.+?){_REST}")


class Clues:
    """The clues of one text, with the facts of the dialogue behind them."""

    def __init__(self, text: str, facts: dict[str, Fact]) -> None:
        self.text = unpunctuated(text)
        self.found = 0  # how many values came from the text or the facts, to tell an answer from a default
        self._digits = with_digits(self.text)
        self._here = gather(facts_in(text))
        self._facts = facts
        self._numbers = [(m.start(), m[0]) for m in re.finditer(rf"(?<![\w.])-?{NUMBER}(?![\w-])", self._digits)]
        self._quotes = quoted(text)
        self._names = list(proper_names(text))

    # --- one value ---------------------------------------------------------------------------------------------------

    def string(self, name: str, *, needed: bool) -> str | None:
        """The text for this name. Where it is `needed`, anything that can be meant: a quotation, a name, a phrase."""
        value = self._labelled(name) or self._fact(name, self._here) or self._by_kind(name)
        value = value or self._fact(name, self._facts)
        if value is None and needed:
            value = self._quotation() or self._phrase() or next(iter(self._names), None)
        if value is None:
            return None
        self._use(value)
        return value

    def number(self, name: str, *, needed: bool) -> Fraction | None:
        """The number next to the name, else, where it is needed, the first one not used yet."""
        roots = "|".join(sorted(re.escape(root) + r"\w*" for root in content_stems(name))) or re.escape(name)
        beside = rf"\b(?:{roots})\s*(?:is|are|=|:|of|to|at|as)?\s*(-?{NUMBER})|(-?{NUMBER})[ -]?(?:{roots})"
        if match := re.search(beside, self._digits, re.IGNORECASE):
            return self._number_at(match.start(1) if match[1] else match.start(2), match[1] or match[2])
        fact = self._fact(name, self._here) or self._fact(name, self._facts)
        if fact and (stated := re.search(rf"-?{NUMBER}", with_digits(fact))):
            return self._number_at(-1, stated[0])
        needed = needed or stem(name.rpartition("_")[2]) in _AMOUNTS
        return self._number_at(*self._numbers[0]) if needed and self._numbers else None

    def choice(self, options: Iterable[Any]) -> Any:
        """The option that the text names; None if it names none."""
        here = content_stems(self._digits)
        for option in options:
            roots = content_stems(str(option))
            if isinstance(option, str | int | float) and roots and roots <= here:
                self.found += 1
                return option
        return None

    def flag(self, name: str) -> bool | None:
        """Whether the text says so: named is yes, named with `not` or `without` is no."""
        if content_stems(name) <= _SWITCHES and (switch := re.search(r"\b(on|off|enabled?|disabled?)\b", self.text, re.I)):
            self.found += 1
            return switch[1].lower() in ("on", "enable", "enabled")
        for root in content_stems(name):
            if match := re.search(rf"\b(?:(not|no|without|don['’]t|never)\b[\w ]{{0,20}}?)?\b{re.escape(root)}\w*"
                                  r"(?:\s*(?:=|:|is|to)\s*(true|false|yes|no|on|off)\b)?", self.text, re.I):  # fmt: skip
                self.found += 1
                return not match[1] and (match[2] or "yes").lower() in ("true", "yes", "on")
        return None

    def items(self, name: str, *, numeric: bool) -> list[str]:
        """The members of a list: all numbers, the quotations, the proper names, or what `a, b and c` follows."""
        if numeric:
            taken, self._numbers = [number for _, number in self._numbers], []
        elif self._quotes:
            taken, self._quotes = self._quotes, []
        elif (stated := self._labelled(name)) or (stated := self._fact(name, self._here)):
            taken = listed(stated)
        elif self._names:
            taken, self._names = self._names, []
        else:
            phrase = self._after_colon() or self._phrase()
            taken = listed(phrase) if phrase else []
        self.found += bool(taken)
        return taken

    def several(self, value: str) -> list[str]:
        """All members of the list that this value stands in: for Paris, `Paris` and `London` of `in Paris and London`."""
        if "," in value or " and " in value:
            return listed(value)
        if value in (quotes := quoted(self.text)):
            return quotes
        name = re.escape(value)
        match = re.search(rf"(?:{_PROPER}, )*\b{name}(?:, {_PROPER})*,? (?:and|or)(?: in| for| at)? {_PROPER}", self.text)
        return [re.sub(r"^(?:in|for|at|or) ", "", item) for item in listed(match[0].replace(" or ", " and "))] if match else [value]

    def whole(self) -> str:
        return self.text

    # --- where values come from --------------------------------------------------------------------------------------

    def _labelled(self, name: str) -> str | None:
        label = re.escape(name).replace("_", "[ _-]?")
        quote = r"[\"“'‘]([^\"”'’]+)[\"”'’]"
        match = re.search(
            rf"\b{label}\b\s*(?:=|:|is|of|as|called|named)?\s*{quote}|(?:set|change)\b.*\b{label} to ([^,;]+)"
            rf"|\b{label}\s*(?:=|:|\bis\b|\bof\b|\bas\b)\s*([^,;\n]+?)(?=[,;\n]| and \w+ ?(?:=|:|is)| (?:in|for|with) |$)",
            self.text,
            re.IGNORECASE,
        )
        return unpunctuated(next(group for group in match.groups() if group)) if match else None

    def _fact(self, name: str, facts: dict[str, Fact]) -> str | None:
        label = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").lower()
        fact = facts.get(key_of(label))
        if fact is None and kind_of(name) == "place":
            fact = facts.get("home")
        return fact.value if fact else None

    def _by_kind(self, name: str) -> str | None:
        kind = kind_of(name)
        if kind in _FREE and self._quotes:
            return self._quotation()
        for _, _, patterns in (entry for entry in _KINDS if entry[0] == kind):
            for pattern in patterns:
                for match in re.finditer(pattern, self.text):
                    if not (kind in _ANYWHERE and (self._spent(match[1]) or match[1].lower() in STOP_WORDS)):
                        return unpunctuated(match[1])
        return next(iter(self._names), None) if kind in _ANYWHERE else None

    def _quotation(self) -> str | None:
        return self._quotes.pop(0) if self._quotes else None

    def _phrase(self) -> str | None:
        match = _PHRASE.search(self.text)
        return unpunctuated(match[1]) if match else None

    def _after_colon(self) -> str | None:
        return unpunctuated(self.text.rpartition(": ")[2]) if ": " in self.text else None

    def _spent(self, name: str) -> bool:
        """Whether this proper name was already used for another value."""
        return name not in self._names and name in set(proper_names(self.text))

    def _use(self, value: str) -> None:
        self.found += 1
        self._names = [name for name in self._names if name != value]
        self._quotes = [quote for quote in self._quotes if quote != value]

    def _number_at(self, at: int, written: str) -> Fraction:
        self.found += 1
        self._numbers = [(place, number) for place, number in self._numbers if place != at]
        return Fraction(written.replace(",", ""))


def kind_of(name: str) -> str | None:
    """What kind of value a property's name means: `place` for `home_city`, `to` for `destination_city`; where no word
    says a direction, the last word that means anything decides."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ")
    kinds = [_BY_ROOT[root] for word in reversed(spaced.split()) if (root := stem(word)) in _BY_ROOT]
    return next((kind for kind in kinds if kind in ("from", "to")), next(iter(kinds), None))


_BY_ROOT = {stem(word): kind for kind, meanings, _ in reversed(_KINDS) for word in meanings.split()}
