"""The named schemas of one document, its `$defs`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable

from multiturn.schemas.keywords import Schema, changed

_PREFIX = "#/$defs/"
_REFERENCE = re.compile(r'"#/\$defs/([^"]*)"')


class Names:
    """Collects definitions while a schema is made. Two of the same name are told apart by a number."""

    def __init__(self) -> None:
        self._defs: dict[str, Schema] = {}
        self._made: dict[Hashable, Schema] = {}

    def reference(self, owner: Hashable, name: str, make: Callable[[], Schema]) -> Schema:
        """A `$ref` to the owner's definition, made at the first use of it; a recursive one finds itself named."""
        if owner not in self._made:
            free = self._free(plain_name(name))
            self._defs[free] = {}
            self._made[owner] = reference_to(free)
            self._defs[free] = make()
        return dict(self._made[owner])

    def moved_in(self, owner: Hashable, schema: Schema) -> Schema:
        """The owner's schema, whose `$defs` move in here, renamed where their names are taken."""
        if owner not in self._made:
            self._made[owner] = self._moved_in(schema)
        return dict(self._made[owner])

    def _moved_in(self, schema: Schema) -> Schema:
        theirs = schema.get("$defs", {})
        new: dict[str, str] = {}
        for name, definition in theirs.items():
            if self._defs.get(name) != definition:
                new[name] = self._free(name)
                self._defs[new[name]] = definition

        def renamed(value: Schema) -> Schema:
            text = _REFERENCE.sub(lambda match: f'"{_PREFIX}{new.get(match[1], match[1])}"', json.dumps(value))
            return dict(json.loads(text))

        self._defs.update({now: renamed(theirs[name]) for name, now in new.items()})
        return renamed({key: value for key, value in schema.items() if key != "$defs"})

    def document(self, schema: Schema) -> Schema:
        """The whole schema: what is used once, or is the whole, stands where it is used, and `$defs` holds the rest."""
        uses = Counter(_REFERENCE.findall(json.dumps([schema, self._defs])))

        def inlined(part: Schema) -> Schema:
            name, beside = _parted(part)
            if name is None:
                return changed(part, inlined)
            if uses[name] == 1:
                return inlined({**self._defs[name], **beside})
            # Before draft 2019-09 what stands beside `$ref` is ignored, and OpenAI's strict mode refuses it.
            return {"anyOf": [reference_to(name)], **beside} if beside else part

        root, beside = _parted(schema)
        whole = inlined(schema if root is None else {**self._defs[root], **beside})
        often = {name: inlined(definition) for name, definition in self._defs.items() if uses[name] > 1}
        return {**whole, "$defs": often} if often else whole

    def _free(self, name: str) -> str:
        number = 1
        while (free := name if number == 1 else f"{name}_{number}") in self._defs:
            number += 1
        return free


def reference_to(name: str) -> Schema:
    return {"$ref": _PREFIX + name}


def plain_name(name: str) -> str:
    """A name that every provider takes: letters, digits, `_` and `-`, at most 64; "answer" if nothing is left."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "answer"


def _parted(schema: Schema) -> tuple[str | None, Schema]:
    """The name that a schema refers to, if it does, and what stands beside that."""
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return (schema["$ref"].removeprefix(_PREFIX) if "$ref" in schema else None), beside
