"""An instance of a JSON schema, filled from the clues of a text where there are any, else with plausible values.

Understands what dataclasses, msgspec, pydantic and people write: `$ref`, `allOf`, `anyOf`, `oneOf`, `enum`, `const`, types
and lists of types, formats, patterns and limits. Not: `not`, `if`, `dependentSchemas`, `propertyNames`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from msgspec import UNSET

from multiturn.models.offline.clues import Clues
from multiturn.models.offline.patterns import example_of

Schema = dict[str, Any]

_MAX_DEPTH = 12  # where a schema that contains itself is cut short
_FORMATS = {
    "date": "2025-01-01", "date-time": "2025-01-01T00:00:00Z", "time": "00:00:00Z", "duration": "PT1H",
    "email": "user@example.com", "idn-email": "user@example.com", "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com/", "url": "https://example.com/", "hostname": "example.com", "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1", "decimal": "0",
}  # fmt: skip
_IN_TEXT = {
    "date": r"\b\d{4}-\d\d-\d\d\b", "date-time": r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "uri": r"https?://[^\s\"'<>]+[\w/]",
    "uuid": r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
}  # fmt: skip
_UNSTATED = "not stated"


class Filler:
    """Builds one instance. `text_for` and `number_for` are asked where the clues say nothing of a value that must be
    there: a typed answer puts its words there, a tool call the request itself."""

    def __init__(
        self,
        root: Schema,
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
        return self._value(self._root, "", needed=True, depth=0, nth=0)

    def _value(self, schema: Any, name: str, *, needed: bool, depth: int, nth: int) -> Any:
        """A value, or UNSET where none is needed and no clue speaks of it. `nth` tells members of one list apart."""
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choice(schema, needed=needed, nth=nth)
        if branches := schema.get("anyOf") or schema.get("oneOf"):
            return self._branch(branches, schema, name, needed=needed, depth=depth, nth=nth)
        kind = schema.get("type") or _implied(schema)
        if isinstance(kind, list):
            branches = [{**schema, "type": one} for one in kind]
            return self._branch(branches, schema, name, needed=needed, depth=depth, nth=nth)
        match kind:
            case "object":
                return self._object(schema, name, needed=needed, depth=depth, nth=nth)
            case "array":
                return self._array(schema, name, needed=needed, depth=depth)
            case "null":
                return None
        found = self._leaf(kind, schema, name, needed=needed, nth=nth)
        if found is None:
            return schema["default"] if "default" in schema and needed else UNSET
        return found

    def _resolved(self, schema: Any) -> Schema:
        """The schema with references followed and `allOf` merged."""
        if not isinstance(schema, dict):
            return {}
        for _ in range(_MAX_DEPTH):
            if "$ref" not in schema:
                break
            target: Any = self._root
            for step in schema["$ref"].removeprefix("#").strip("/").split("/") if schema["$ref"] != "#" else ():
                step = step.replace("~1", "/").replace("~0", "~")
                target = target.get(step, {}) if isinstance(target, dict) else {}
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        for part in schema.get("allOf", ()):
            part = self._resolved(part)
            properties = {**schema.get("properties", {}), **part.get("properties", {})}
            required = [*schema.get("required", ()), *part.get("required", ())]
            schema = {**part, **schema} | ({"properties": properties} if properties else {})
            schema |= {"required": required} if required else {}
        return schema

    def _choice(self, schema: Schema, *, needed: bool, nth: int) -> Any:
        options = schema["enum"]
        if nth == 0 and (named := self._clues.choice(options)) is not None:
            return named
        if not needed:
            return UNSET
        return schema["default"] if "default" in schema else options[nth % len(options)]

    def _branch(self, branches: list[Any], schema: Schema, name: str, *, needed: bool, depth: int, nth: int) -> Any:
        """The first branch that a clue speaks for; else null if allowed, else the default, else the first branch."""
        resolved = [self._resolved(branch) for branch in branches]
        real = [branch for branch in resolved if branch.get("type") != "null"]
        nullable = len(real) < len(resolved)
        for branch in [] if depth > _MAX_DEPTH else sorted(real, key=lambda branch: -self._tagged(branch)):
            before = self._clues.found
            value = self._value(branch, name, needed=self._tagged(branch) or not nullable, depth=depth + 1, nth=nth)
            if value is not UNSET and (self._clues.found > before or self._tagged(branch)):
                return value
        if not needed:
            return UNSET
        if "default" in schema:
            return schema["default"]
        shallowest = min(real, key=_weight) if depth > _MAX_DEPTH and real else next(iter(real), {})
        return None if nullable else self._value(shallowest, name, needed=True, depth=depth + 1, nth=nth)

    def _tagged(self, branch: Schema) -> bool:
        """Whether the text names this branch of a tagged union: by a `const` in it or by its title."""
        properties = branch.get("properties", {})
        tags = [value["const"] for value in properties.values() if isinstance(value, dict) and "const" in value]
        tags += [value["enum"][0] for value in properties.values() if isinstance(value, dict) and len(value.get("enum", ())) == 1]
        words = self._clues.text.lower()
        return any(isinstance(tag, str) and re.search(rf"\b{re.escape(tag.lower())}", words) for tag in tags)

    def _object(self, schema: Schema, name: str, *, needed: bool, depth: int, nth: int) -> Any:
        before = self._clues.found
        properties: Schema = schema.get("properties", {})
        required = schema.get("required", () if depth or not needed else list(properties))
        made = {}
        for key, of in properties.items():
            must = key in required
            if not must and depth > _MAX_DEPTH:
                continue
            value = self._value(of, key, needed=must, depth=depth + 1, nth=nth)
            if value is UNSET and must:
                value = self._value(of, key, needed=True, depth=depth + 1, nth=nth)
            if value is not UNSET:
                made[key] = value
        if not needed and self._clues.found == before:
            return UNSET
        return made

    def _array(self, schema: Schema, name: str, *, needed: bool, depth: int) -> Any:
        fixed = [self._value(of, name, needed=True, depth=depth + 1, nth=n) for n, of in enumerate(schema.get("prefixItems", ()))]
        items = self._resolved(schema.get("items", {}))
        least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
        if schema.get("items") is False or len(fixed) >= most:
            return fixed
        before = self._clues.found
        kind = items.get("type")
        if kind in ("string", "integer", "number") and "enum" not in items:
            found = self._members(items, name)
        elif depth > _MAX_DEPTH or "default" in schema:
            found = []
        else:
            one = self._value(items, name, needed=needed or least > 0, depth=depth + 1, nth=0)
            found = [] if one is UNSET else [one]
        if not needed and self._clues.found == before:
            return UNSET
        made = fixed + found[: int(min(most - len(fixed), len(found)))]
        while len(made) < least:
            made.append(self._value(items, name, needed=True, depth=depth + 1, nth=len(made)))
        return made

    def _members(self, items: Schema, name: str) -> list[Any]:
        numeric = items["type"] != "string"
        written = self._clues.items(name, numeric=numeric)
        if not numeric:
            return list(dict.fromkeys(value for value in written if _fits(value, items)))
        numbers = (_within(Fraction(value.replace(",", "")), items) for value in written)
        return list(dict.fromkeys(_as_json(number, whole=items["type"] == "integer") for number in numbers))

    def _leaf(self, kind: str | None, schema: Schema, name: str, *, needed: bool, nth: int) -> Any:
        use_default = "default" in schema
        match kind:
            case "boolean":
                flag = self._clues.flag(name)
                return flag if flag is not None else (None if use_default or not needed else False)
            case "integer" | "number":
                number = self._clues.number(name, needed=needed and not use_default)
                if number is None and needed and not use_default:
                    number = self._number_for(name) or Fraction(nth)
                return None if number is None else _as_json(_within(number, schema), whole=kind == "integer")
            case _:
                return self._string(schema, name, needed=needed and not use_default, nth=nth)

    def _string(self, schema: Schema, name: str, *, needed: bool, nth: int) -> str | None:
        shape = schema.get("format")
        if shape in _FORMATS or "contentEncoding" in schema:
            inside = re.search(_IN_TEXT[shape], self._clues.text) if shape in _IN_TEXT else None
            self._clues.found += bool(inside)
            made = "" if "contentEncoding" in schema else _FORMATS[shape]
            return inside[0] if inside else made if needed else None
        free = "pattern" not in schema
        for candidate in (
            lambda: self._clues.string(name, needed=False),
            lambda: self._text_for(name) if needed else None,
            lambda: self._clues.string(name, needed=needed) if nth == 0 else None,
        ):
            text = candidate()
            if text is not None and (free or re.search(schema["pattern"], text)):
                return _sized(text, schema)
        if not needed:
            return None
        text = _UNSTATED if free else example_of(schema["pattern"]) or _UNSTATED
        return _sized(f"{text} {nth + 1}" if nth and free else text, schema)


def _implied(schema: Schema) -> str:
    if "properties" in schema or "additionalProperties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _weight(branch: Schema) -> int:
    """How much a branch draws in: a plain value is lighter than anything that may contain the schema again."""
    return len(branch.get("required", ())) + 10 * (_implied(branch) != "string" or branch.get("type") in ("object", "array"))


def _fits(value: str, schema: Schema) -> bool:
    return ("pattern" not in schema or bool(re.search(schema["pattern"], value))) and _sized(value, schema) == value


def _sized(text: str, schema: Schema) -> str:
    """Cut or padded to the schema's lengths, unless a pattern rules."""
    if "pattern" in schema:
        return text
    least, most = schema.get("minLength", 0), schema.get("maxLength", len(text))
    return text[: max(most, 0)] if len(text) >= least else text.ljust(least, ".")


def _within(number: Fraction, schema: Schema) -> Fraction:
    """The number moved inside the schema's limits, whole for an integer, a multiple where one is asked for."""
    step = Fraction(str(schema["multipleOf"])) if "multipleOf" in schema else Fraction(1 if schema.get("type") == "integer" else 0)
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    low = _bound(least, above, step or _nudge(above, below), 1)
    high = _bound(most, below, step or _nudge(above, below), -1)
    if step:
        number = math.floor(number / step) * step
        low = None if low is None else math.ceil(low / step) * step
        high = None if high is None else math.floor(high / step) * step
    if low is not None and number < low:
        number = low
    return high if high is not None and number > high else number


def _nudge(above: float | None, below: float | None) -> Fraction:
    """A step small enough to stay between two excluded limits."""
    if above is None or below is None:
        return Fraction(1)
    return (Fraction(str(below)) - Fraction(str(above))) / 2


def _bound(inclusive: float | None, exclusive: float | None, step: Fraction, sign: int) -> Fraction | None:
    bounds = [Fraction(str(inclusive))] if inclusive is not None else []
    if exclusive is not None:
        bounds.append(Fraction(str(exclusive)) + sign * step)
    if not bounds:
        return None
    return max(bounds) if sign > 0 else min(bounds)


def _as_json(number: Fraction, *, whole: bool) -> int | float:
    return int(number) if whole or number.denominator == 1 else float(number)
