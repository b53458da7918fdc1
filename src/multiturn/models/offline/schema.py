"""An instance of a JSON schema, filled from the clues of a text where there are any, else with plausible values.

Understands what dataclasses, msgspec, pydantic and people write: `$ref`, `allOf`, `anyOf`, `oneOf`, `enum`, `const`,
types and lists of types, formats, patterns and limits. Not: `not`, `if`, `dependentSchemas`, `propertyNames`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from msgspec import UNSET

from multiturn.models.offline.clues import Clues
from multiturn.models.offline.english import listed
from multiturn.models.offline.kinds import kind_of
from multiturn.models.offline.limits import MOST, Schema, fits, lowest, number_within, sized
from multiturn.models.offline.patterns import example_of

_DEEP = 5  # from here on, what need not be there is left out
_TOO_DEEP = 40  # a schema without a finite instance
_FORMATS = {  # the format's default, and what it looks like in a text
    "date": ("2025-01-01", r"\b\d{4}-\d\d-\d\d\b"),
    "date-time": ("2025-01-01T00:00:00Z", r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"),
    "time": ("00:00:00Z", r"\b\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"),
    "duration": ("PT1H", r"\bP(?:\d+D)?T?\d+[HMSD]\b"),
    "email": ("user@example.com", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "uuid": ("00000000-0000-4000-8000-000000000000", r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    "uri": ("https://example.com/", r"https?://[^\s\"'<>]+[\w/]"),
    "hostname": ("example.com", r"\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b"),
    "ipv4": ("192.0.2.1", r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
    "ipv6": ("2001:db8::1", r"\b[0-9a-f]+(?::[0-9a-f]*){2,7}\b"),
    "decimal": ("0", r"-?\b\d+(?:\.\d+)?\b"),
    "binary": ("", r"(?!)"),
}
_DEFAULTS = {"date": "2025-01-01T00:00:00", "email": "user@example.com", "url": "https://example.com/"}
_UNSTATED = "not stated"


class Filler:
    """Builds one instance. `text_for` and `number_for` are asked, by a property's name, where the clues say nothing of
    a value that must be there."""

    def __init__(
        self,
        root: Any,
        clues: Clues,
        *,
        text_for: Callable[[str], str | None] = lambda name: None,
        number_for: Callable[[str], Fraction | None] = lambda name: None,
    ) -> None:
        self._root = root
        self._clues = clues
        self._text_for = text_for
        self._number_for = number_for

    def fill(self) -> Any:
        return self._value(self._root, "", depth=0, needed=True)

    def _value(self, schema: Any, name: str, *, depth: int, needed: bool, nth: int = 0) -> Any:
        """A value, or UNSET where none is needed and no clue speaks of it. `nth` tells members of one list apart."""
        schema = self._resolved(schema)
        if "const" in schema or depth > _TOO_DEEP:
            return schema.get("const")
        kind = schema.get("type") or _implied(schema)
        before = self._clues.found
        if "enum" in schema:
            value = self._choice(schema, name, needed=needed, nth=nth)
        elif "anyOf" in schema or "oneOf" in schema or isinstance(kind, list):
            value = self._branch(self._branches(schema, kind), schema, name, depth=depth, needed=needed, nth=nth)
        elif kind == "object":
            value = self._object(schema, depth=depth, needed=needed, nth=nth)
        elif kind == "array":
            value = self._array(schema, name, depth=depth, needed=needed)
        else:
            value = self._leaf(kind, schema, name, needed=needed, nth=nth)
        if self._clues.found > before or value is UNSET:
            return value
        return value if needed else UNSET

    def _resolved(self, schema: Any) -> Schema:
        """The schema with references followed and `allOf` merged."""
        if not isinstance(schema, dict):
            return {}
        for _ in range(_TOO_DEEP):
            if "$ref" not in schema:
                break
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._target(schema["$ref"]), **beside}
        for part in map(self._resolved, schema.get("allOf", ())):
            merged = {**part, **schema}
            for key, empty in (("properties", {}), ("required", [])):
                if key in part and key in schema:
                    merged[key] = {**part[key], **schema[key]} if empty == {} else [*schema[key], *part[key]]
            schema = merged
        return dict(schema)

    def _target(self, reference: str) -> Schema:
        target: Any = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            step = step.replace("~1", "/").replace("~0", "~")
            target = target.get(step) if isinstance(target, dict) else None
        return target if isinstance(target, dict) else {}

    # --- choices ----------------------------------------------------------------------------------------------------

    def _choice(self, schema: Schema, name: str, *, needed: bool, nth: int) -> Any:
        options = schema["enum"]
        named = self._clues.choice(name, options) if nth == 0 else None
        if named is not None or not needed:
            return UNSET if named is None else named
        return schema.get("default", options[nth % len(options)])

    def _branches(self, schema: Schema, kind: Any) -> list[Schema]:
        if isinstance(kind, list):
            return [{**schema, "type": one} for one in kind]
        return [self._resolved(branch) for branch in schema.get("anyOf") or schema["oneOf"]]

    def _branch(self, branches: list[Schema], schema: Schema, name: str, *, depth: int, needed: bool, nth: int) -> Any:
        """The branch that the text names, or else the first that a clue fills; without one null, the default, or the
        lightest branch."""
        real = [branch for branch in branches if branch.get("type") != "null"]
        for branch in filter(self._named, real):
            return self._value(branch, name, depth=depth + 1, needed=True, nth=nth)
        for branch in real if depth < _DEEP else ():
            value = self._value(branch, name, depth=depth + 1, needed=False, nth=nth)
            if value is not UNSET:
                return value
        if not needed or "default" in schema:
            return schema.get("default", UNSET)
        if len(real) < len(branches):
            return None
        lightest = min(real, key=_weight) if depth >= _DEEP else real[0]
        return self._value(lightest, name, depth=depth + 1, needed=True, nth=nth)

    def _named(self, branch: Schema) -> bool:
        """Whether the text names this branch of a tagged union by its tag."""
        properties = [self._resolved(of) for of in branch.get("properties", {}).values()]
        tags = (of.get("const", of["enum"][0] if len(of.get("enum", ())) == 1 else None) for of in properties)
        text = self._clues.text
        return any(isinstance(tag, str) and re.search(rf"\b{re.escape(tag)}", text, re.IGNORECASE) for tag in tags)

    # --- containers -------------------------------------------------------------------------------------------------

    def _object(self, schema: Schema, *, depth: int, needed: bool, nth: int) -> Any:
        """All that must be there, and of the rest what a clue speaks of. Whoever lists nothing as required at the root
        wants it all."""
        properties = schema.get("properties", {})
        required = schema.get("required", list(properties) if depth == 0 else ())
        made = {}
        for name, of in properties.items():
            must = name in required
            if must or depth < _DEEP:
                value = self._value(of, name, depth=depth + 1, needed=must, nth=nth)
                made.update({} if value is UNSET else {name: value})
        return made

    def _array(self, schema: Schema, name: str, *, depth: int, needed: bool) -> Any:
        made = [self._value(of, name, depth=depth + 1, needed=True) for of in schema.get("prefixItems", ())]
        if "items" in schema and schema["items"] is not False:
            items = self._resolved(schema["items"])
            made += self._members(items, name, depth=depth, needed=needed, least=schema.get("minItems", 0))
            if schema.get("uniqueItems"):
                made = [value for n, value in enumerate(made) if value not in made[:n]]
            for nth in range(len(made), min(schema.get("minItems", 0), MOST)):
                made.append(self._value(items, name, depth=depth + 1, needed=True, nth=nth))
        most = schema.get("maxItems", math.inf)
        return made[: int(min(most, len(made)))]

    def _members(self, items: Schema, name: str, *, depth: int, needed: bool, least: int) -> list[Any]:
        """What the text holds of them; of objects one, unless that may be left out."""
        kind = items.get("type")
        if kind in ("integer", "number") and "enum" not in items:
            return [number_within(number, items) for number in self._clues.numbers()]
        if kind == "string" and "enum" not in items and not _shape(items):
            texts = self._clues.strings(name) or listed((needed and self._text_for(name)) or "")
            return [text for text in texts if fits(text, items)]
        if depth >= _DEEP:
            return []
        one = self._value(items, name, depth=depth + 1, needed=(needed and kind == "object") or least > 0)
        return [] if one is UNSET else [one]

    # --- leaves -----------------------------------------------------------------------------------------------------

    def _leaf(self, kind: str, schema: Schema, name: str, *, needed: bool, nth: int) -> Any:
        found: Any = None
        if kind == "boolean":
            found = self._clues.flag(name)
        elif kind in ("integer", "number"):
            number = self._clues.number(name)
            found = None if number is None else number_within(number, schema)
        elif kind == "string":
            found = self._string(schema, name)
        if found is not None or not needed or kind == "null":
            return UNSET if found is None and kind != "null" else found
        return schema["default"] if "default" in schema else self._unstated(kind, schema, name, nth=nth)

    def _string(self, schema: Schema, name: str) -> str | None:
        shape = _shape(schema)
        if shape:
            match = re.search(_FORMATS[shape][1], self._clues.text)
            self._clues.found += bool(match)
            return match[0] if match else None
        text = self._clues.string(name)
        return text if text is not None and fits(text, schema) else None

    def _unstated(self, kind: str, schema: Schema, name: str, *, nth: int) -> Any:
        """A plausible value where nothing was said: different for every member of a list."""
        if kind == "boolean":
            return False
        if kind in ("integer", "number"):
            number = (self._number_for(name) or self._clues.next_number()) if nth == 0 else None
            step = Fraction(str(schema.get("multipleOf", 1)))
            return number_within((lowest(schema) or Fraction(0)) + nth * step if number is None else number, schema)
        if shape := _shape(schema):
            return _FORMATS[shape][0]
        return next(text for text in self._plausible(schema, name, nth) if text is not None)

    def _plausible(self, schema: Schema, name: str, nth: int) -> Iterator[str | None]:
        free = "pattern" not in schema
        text = self._text_for(name) if nth == 0 else None
        yield sized(text, schema) if text is not None and (free or fits(text, schema)) else None
        yield None if free else example_of(schema["pattern"])
        text = _DEFAULTS.get(kind_of(name) or "", _UNSTATED)
        yield sized(f"{text} {nth + 1}" if nth else text, schema)


def _implied(schema: Schema) -> str:
    if "properties" in schema or "additionalProperties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _shape(schema: Schema) -> str | None:
    """The format, as far as we know it."""
    if "contentEncoding" in schema:
        return "binary"
    shape = schema.get("format")
    return shape if shape in _FORMATS else None


def _weight(branch: Schema) -> int:
    """How much a branch draws in: plain values before lists before objects."""
    kind = branch.get("type") or _implied(branch)
    if kind == "array":
        return 1 + bool(branch.get("minItems"))
    return 3 + len(branch.get("required", ())) if kind == "object" else 0
