"""What a text offers for a named value: `city` in `weather in Paris`, `limit` in `at most 5`, `a` and `b` in `2 and 3`.

Tool arguments and typed answers are filled from here. `kinds` holds the patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from multiturn.models.offline.english import (
    NUMBER,
    STOP_WORDS,
    content_stems,
    listed,
    proper_names,
    quoted,
    stem,
    unpunctuated,
    with_digits,
)
from multiturn.models.offline.facts import Fact, gather, key_of
from multiturn.models.offline.kinds import FREE, PROPER, PROPER_NAMES, SELF_EVIDENT, kind_of, patterns_of, spaced
from multiturn.models.offline.statements import facts_in

_LONGEST = 4000
_QUOTE = r"[\"“'‘]([^\"”'’]+)[\"”'’]"
_AMOUNTS = {stem(word) for word in ("count", "amount", "quantity", "number", "n", "num", "times")}
_SWITCHES = {stem(word) for word in ("state", "power", "powered", "enabled", "active", "switch", "switched")}
_SWITCH = re.compile(r"\b(on|off|enabled?|disabled?)\b", re.IGNORECASE)
_PHRASE = re.compile(
    r"\b(?:in|at|for|of|about|on|to|with|by|named|called) (?:the |a |an )?(.+?)(?: please| now| today)*$"
)


class Clues:
    """The clues of one text, with the facts of the dialogue behind them. Numbers, quotations and names are used once
    each; `found` counts what was used, to tell what was said from a default."""

    def __init__(self, text: str, facts: dict[str, Fact], *, verbs: str = "") -> None:
        """`verbs` are words that a sentence may begin with and that are no names: `Invite` in `Invite Ann`."""
        self.text = unpunctuated(text[:_LONGEST])
        self.found = 0
        self._digits = with_digits(self.text)
        self._facts = facts
        self._here = gather(facts_in(self.text))
        self._numbers = [(m.start(), m[0]) for m in re.finditer(rf"(?<![\w.])-?{NUMBER}(?![\w-])", self._digits)]
        self._quotes = quoted(self.text)
        self._all_names = [name for found in proper_names(self.text) if (name := _without(found, verbs))]
        self._names = list(self._all_names)

    def string(self, name: str) -> str | None:
        """What the text or a fact states for this name."""
        by_kind = self._by_kind(name)
        certain = by_kind if kind_of(name) in SELF_EVIDENT else None
        stated = certain or self._labelled(name) or self._fact(name, self._here) or by_kind
        return self._used(stated or self._fact(name, self._facts))

    def guess(self) -> str | None:
        """What is left of the text: a quotation, the phrase behind a preposition, a name."""
        phrase = _PHRASE.search(self.text)
        left = [*self._quotes, *([phrase[1]] if phrase else []), *self._names]
        return self._used(unpunctuated(left[0])) if left else None

    def number(self, name: str) -> Fraction | None:
        """The number beside the name, or the one that a fact states for it; for a `count`, any."""
        roots = "|".join(sorted(re.escape(root) + r"\w*" for root in content_stems(name))) or rf"{re.escape(name)}\b"
        beside = rf"\b(?:{roots})\s*(?:is|are|=|:|of|to|at|as)?\s*(-?{NUMBER})|(-?{NUMBER})[ -]?(?:{roots})"
        if match := re.search(beside, self._digits, re.IGNORECASE):
            return self._number_at(match.start(1) if match[1] else match.start(2), match[1] or match[2])
        fact = self._fact(name, self._here) or self._fact(name, self._facts)
        if fact and (stated := re.search(rf"-?{NUMBER}", with_digits(fact))):
            return self._number_at(-1, stated[0])
        return self.next_number() if stem(name.rpartition("_")[2]) in _AMOUNTS else None

    def next_number(self) -> Fraction | None:
        """The first number that is not used yet."""
        return self._number_at(*self._numbers[0]) if self._numbers else None

    def choice(self, name: str, options: Iterable[Any]) -> Any:
        """The option that a fact of this name or the text names; None if there is none."""
        options = [option for option in options if isinstance(option, str | int | float)]
        stated = self._fact(name, self._here) or self._fact(name, self._facts) or ""
        for said in (content_stems(stated), content_stems(self._digits)):
            for option in options:
                roots = content_stems(str(option))
                if roots and roots <= said:
                    self.found += 1
                    return option
        return None

    def flag(self, name: str) -> bool | None:
        """Whether the text says so: what it names is true, what it names with `not` or `without` is false."""
        if content_stems(name) <= _SWITCHES and (switch := _SWITCH.search(self.text)):
            self.found += 1
            return switch[1].lower() in ("on", "enable", "enabled")
        for root in content_stems(name):
            said = rf"\b(?:(not|no|without|don['’]t|never)\b[\w ]{{0,20}}?)?\b{re.escape(root)}\w*"
            match = re.search(rf"{said}(?:\s*(?:=|:|is|to)\s*(true|false|yes|no|on|off)\b)?", self.text, re.IGNORECASE)
            if match:
                self.found += 1
                return not match[1] and (match[2] or "yes").lower() in ("true", "yes", "on")
        return None

    def numbers(self) -> list[Fraction]:
        """All numbers that are left."""
        return [self._number_at(at, written) for at, written in self._numbers]

    def strings(self, name: str) -> list[str]:
        """The members of a list: what is stated for its name, the quotations, for people and places all names."""
        stated = self._labelled(name) or self._fact(name, self._here)
        by_kind = self._all_names if kind_of(name) in PROPER_NAMES else []
        taken = listed(stated) if stated else self._quotes or by_kind
        self.found += bool(taken)
        self._quotes = []
        return list(taken)

    def several(self, value: str) -> list[str]:
        """The list that this value stands in: `Paris`, `London` for Paris in `in Paris and London`."""
        if "," in value or " and " in value:
            return listed(value)
        if value in (quotes := quoted(self.text)):
            return quotes
        among = rf"(?:{PROPER}, )*\b{re.escape(value)}(?:, {PROPER})*,? (?:and|or)(?: in| for| at)? {PROPER}"
        match = re.search(among, self.text)
        found = listed(match[0].replace(" or ", " and ")) if match else [value]
        return [re.sub(r"^(?:in|for|at) ", "", item) for item in found]

    def _labelled(self, name: str) -> str | None:
        """What stands behind the name itself: `title "Hello"`, `city: Paris`, `set the title to Hello`."""
        label = re.escape(name).replace("_", "[ _-]?")
        match = re.search(
            rf"\b{label}\b\s*(?:=|:|is|of|as|called|named)?\s*{_QUOTE}|\b(?:set|change)\b[^.]*\b{label} to ([^,;.]+)"
            rf"|\b{label}\s*(?:=|:|\bis\b|\bof\b|\bas\b)\s*([^,;\n]+?)"
            r"(?=[,;\n]|[.!?]\s| and \w+ ?(?:=|:|is)| (?:in|for|with) |$)",
            self.text,
            re.IGNORECASE,
        )
        return unpunctuated(next(group for group in match.groups() if group)) if match and name else None

    def _fact(self, name: str, facts: dict[str, Fact]) -> str | None:
        fact = facts.get(key_of(spaced(name)))
        if fact is None and kind_of(name) == "place":
            fact = facts.get("home")
        return fact.value if fact else None

    def _by_kind(self, name: str) -> str | None:
        kind = kind_of(name)
        if kind in FREE and self._quotes:
            return self._quotes[0]
        matches = (match[1] for pattern in patterns_of(kind) for match in pattern.finditer(self.text))
        if kind not in PROPER_NAMES:
            return next(map(unpunctuated, matches), None)
        unused = (name for name in matches if name in self._names or name not in self._all_names)
        named = (name for name in (*unused, *self._names) if name.lower() not in STOP_WORDS)
        return next(named, None)

    def _used(self, value: str | None) -> str | None:
        if value is not None:
            self.found += 1
            self._names = [name for name in self._names if name != value]
            self._quotes = [quote for quote in self._quotes if quote != value]
        return value

    def _number_at(self, at: int, written: str) -> Fraction:
        self.found += 1
        self._numbers = [(place, number) for place, number in self._numbers if place != at]
        return Fraction(written.replace(",", ""))


def _without(name: str, verbs: str) -> str:
    first, _, rest = name.partition(" ")
    return rest if stem(first) in content_stems(verbs) else name
