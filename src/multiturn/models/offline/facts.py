"""`Fact`: something that was stated, and what holds after many of them. `statements` reads them from sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from multiturn.models.offline.english import american, unpunctuated

LAST = "(last)"  # the key of a correction: whatever was stated last
GONE = ""  # the value of a fact taken back


class Fact(msgspec.Struct, frozen=True):
    """`subject verb value`, as in `your dog's name` `is` `Rex`. `key` is equal for statements that override each
    other."""

    key: str
    subject: str
    verb: str
    value: str

    def __str__(self) -> str:
        return f"{self.subject} {self.verb} {to_you(self.value)}"

    @property
    def personal(self) -> bool:
        """Whether it is about the user rather than about the world."""
        return self.subject.split(" ")[0] in ("you", "your")


ALIASES = {
    "full name": "name", "first name": "name", "user name": "name", "profession": "job", "occupation": "job",
    "work": "job", "home": "home", "city": "home", "hometown": "home", "home town": "home", "home city": "home",
    "town": "home", "residence": "home", "last name": "surname", "family name": "surname",
}  # fmt: skip


_TO_YOU = {"my": "your", "mine": "yours", "our": "your", "me": "you", "myself": "yourself", "I": "you",
           "I am": "you are", "I'm": "you are"}  # fmt: skip
_MINE = re.compile(r"\b(?:my|mine|our|me|myself|I'm|I am|I)\b")


def to_you(text: str) -> str:
    """What the user said in the first person, said to the user: `with my friend` becomes `with your friend`."""
    return _MINE.sub(lambda match: _TO_YOU[match[0]], text)


def key_of(label: str) -> str:
    """One key for the ways to name a thing: `favourite Colour` and `favorite color`, `name of my dog` and `dog's
    name`."""
    label = re.sub(r"^(?:current|new|real|actual|exact|own|old)\s+", "", american(unpunctuated(label)))
    if named := re.fullmatch(r"names? of (?:my|the|our) (.+)", label):
        label = f"{named[1]}'s name"
    return ALIASES.get(label, label)


def gather(facts: Iterable[Fact]) -> dict[str, Fact]:
    """What holds in the end, by key, in the order of the last statement of each."""
    known: dict[str, Fact] = {}
    for fact in facts:
        key = fact.key
        if key == LAST:
            if not known:
                continue
            key, last = known.popitem()
            fact = msgspec.structs.replace(last, value=fact.value)
        known.pop(key, None)
        if fact.value != GONE:
            known[key] = fact
    return known


def named(owner: str, label: str) -> tuple[str, str]:
    """The key of `owner`'s `label`, and how to speak of it to the user: `my`, `dog` is `your dog` to us."""
    match owner.lower():
        case "my" | "our":
            return key_of(label), f"your {label}"
        case "your":
            return f"assistant's {key_of(label)}", f"my {label}"
        case "the":
            return key_of(label), f"the {label}"
        case _:
            return key_of(f"{owner} {label}"), f"{owner} {label}"
