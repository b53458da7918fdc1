"""The named schemas of one document, its `$defs`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

_PREFIX = "#/$defs/"
_REFERENCE = re.compile(r'"#/\$defs/([^"]*)"')


class Names:
    """Collects definitions while a schema is made. Two of the same name are told apart by a number."""

    def __init__(self) -> None:
        self.defs: dict[str, Schema] = {}
        self._references: dict[Hashable, Schema] = {}

    def reference(self, owner: Hashable, name: str, make: Callable[[], Schema]) -> Schema:
        """A `$ref` to the owner's definition, made at the first use of it; a recursive one finds itself named."""
        if owner not in self._references:
            free = self._free(plain_name(name))
            self.defs[free] = {}
            self._references[owner] = {"$ref": _PREFIX + free}
            self.defs[free] = make()
        return dict(self._references[owner])

    def once(self, owner: Hashable, make: Callable[[], Schema]) -> Schema:
        """What this makes, made at the owner's first use."""
        if owner not in self._references:
            self._references[owner] = make()
        return dict(self._references[owner])

    def moved_in(self, schema: Schema) -> Schema:
        """A schema that came with `$defs` of its own, which move in here, renamed where their names are taken."""
        theirs = schema.get("$defs", {})
        new: dict[str, str] = {}
        for name, definition in theirs.items():
            if self.defs.get(name) != definition:
                new[name] = self._free(name)
                self.defs[new[name]] = definition

        def renamed(value: Schema) -> Any:
            text = _REFERENCE.sub(lambda match: f'"{_PREFIX}{new.get(match[1], match[1])}"', json.dumps(value))
            return json.loads(text)

        self.defs.update({now: renamed(theirs[name]) for name, now in new.items()})
        return dict(renamed({key: value for key, value in schema.items() if key != "$defs"}))

    def document(self, schema: Schema) -> Schema:
        """The whole schema: what it refers to at the root stands there itself, and `$defs` holds what is needed."""
        root = schema.get("$ref", "").removeprefix(_PREFIX)
        whole = {**self.defs.get(root, {}), **{key: value for key, value in schema.items() if key != "$ref"}}
        defs = dict(self.defs)
        if root and f'"{_PREFIX}{root}"' not in json.dumps([whole, defs]):
            del defs[root]
        return {**whole, "$defs": defs} if defs else whole

    def _free(self, name: str) -> str:
        number = 1
        while (free := name if number == 1 else f"{name}_{number}") in self.defs:
            number += 1
        return free


def plain_name(name: str) -> str:
    """A name that every provider takes: letters, digits, `_` and `-`, at most 64; "answer" if nothing is left."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "answer"
