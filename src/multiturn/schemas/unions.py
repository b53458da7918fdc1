"""Unions: null or one kind or another, and objects known by a tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeGuard

from multiturn.schemas.keywords import Schema
from multiturn.schemas.kinds import Kind, Leaf, Noted
from multiturn.schemas.mismatch import WORDS, Mismatch, Problem, expected, one_among
from multiturn.schemas.names import Names
from multiturn.schemas.records import Keyed, Tag

_TAGS = ("type", "kind", "tag", "is_a")


class OneOf:
    """Any of its members. Two objects or more are told apart by a tag: the property that has one value in each, and
    another in every one; where they have none, a property that is put into their schemas and taken out of values
    again, so that `Cat(name)` and `Dog(name)` can be told apart at all. OpenAI's strict mode insists on that too.
    A value without the tag goes to the first member that it fits."""

    def __init__(self, members: Sequence[Kind]) -> None:
        self._members = members

    @property
    def wanted(self) -> str:
        return " or ".join(dict.fromkeys(member.wanted for member in self._members))

    @cached_property
    def _tags(self) -> tuple[bool, Mapping[int, Tag]]:
        """Whether the tags are put in, and the tag of every object, by its place among the members."""
        objects = {n: member for n, member in enumerate(self._members) if is_keyed(member)}
        if len(objects) < 2:
            return False, {}
        for key in next(iter(objects.values())).constants:
            values: dict[int, Any] = {n: member.constants.get(key) for n, member in objects.items()}
            if None not in values.values() and len(set(values.values())) == len(values):
                return False, {n: (key, value) for n, value in values.items()}
        taken = {key for member in objects.values() for key in member.keys}
        put_in = next(tag for tag in (*_TAGS, *map("tag_{}".format, range(len(taken) + 1))) if tag not in taken)
        names: dict[int, str] = {}
        for n, member in objects.items():
            names[n] = f"{member.name}_{n + 1}" if member.name in names.values() else member.name
        return True, {n: (put_in, name) for n, name in names.items()}

    def schema(self, names: Names) -> Schema:
        put_in, tags = self._tags
        branches = [
            member.schema(names, tags[n]) if put_in and is_keyed(member) else member.schema(names)
            for n, member in enumerate(self._members)
        ]
        return {"anyOf": branches}

    def read(self, value: Any) -> Any:
        put_in, tags = self._tags
        key = next(iter(tags.values()), ("", ""))[0]
        if not tags or not isinstance(value, dict):
            return self._fitting(value)
        choices = one_among([name for _, name in tags.values()])
        if key not in value:
            return self._fitting(value, Problem((key,), f"is missing, expected {choices}"))
        for n, (_, name) in tags.items():
            if value[key] == name:
                own = {of: item for of, item in value.items() if of != key} if put_in else value
                return self._members[n].read(own)
        raise Mismatch(*expected(choices, value[key]).under(key))

    def _fitting(self, value: Any, *problems: Problem) -> Any:
        """What the first member that fits makes of it. Where none does, the problems of the one it comes nearest,
        after those given: of one that is wrong only inside, or of the only one that is of its type at all."""
        inside: list[Mismatch] = []
        of_type: list[Mismatch] = []
        for member in sorted(self._members, key=lambda member: not _is_exactly(member, value)):
            try:
                return member.read(value)
            except Mismatch as error:
                if any(problem.path for problem in error.problems):
                    inside.append(error)
                elif member.wanted.startswith(WORDS.get(type(value).__name__, "null")):
                    of_type.append(error)
        if not inside and len(of_type) != 1:
            raise expected(self.wanted, value)
        nearest = min(inside or of_type, key=lambda error: len(error.problems))
        told = {problem.path for problem in problems}
        raise Mismatch(*problems, *(problem for problem in nearest.problems if problem.path not in told))


def is_keyed(kind: Kind) -> TypeGuard[Keyed]:
    """Whether it is an object with known keys."""
    return hasattr(kind, "constants")


def _is_exactly(member: Kind, value: Any) -> bool:
    """5 is an int before it is a float, in `float | int` too."""
    inner = member.kind if isinstance(member, Noted) else member
    return isinstance(inner, Leaf) and inner.base is type(value)
