"""Whether a JSON value is what a JSON schema wants, as far as tools need it.

Checked: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`, `prefixItems`, `anyOf`,
`oneOf` (as `anyOf`), `allOf`, local `$ref`, and the bounds of numbers, lengths and counts. Not checked, so taken as
kept: `pattern`, `format`, `multipleOf`, `uniqueItems`, `not`, `if`, `patternProperties`, `propertyNames`, `dependent…`,
`unevaluated…`, `$ref` to elsewhere, and what stands beside a `$ref`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec


class Problem(NamedTuple):
    """What is wrong, and where: `days[0].city`, empty for the value as a whole."""

    where: str
    text: str


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: not isinstance(value, bool) and (isinstance(value, int) or _is_whole(value)),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
_BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool], str]] = {
    "minimum": ("number", operator.ge, "at least"),
    "maximum": ("number", operator.le, "at most"),
    "exclusiveMinimum": ("number", operator.gt, "more than"),
    "exclusiveMaximum": ("number", operator.lt, "less than"),
    "minLength": ("string", operator.ge, "a length of at least"),
    "maxLength": ("string", operator.le, "a length of at most"),
    "minItems": ("array", operator.ge, "a number of items of at least"),
    "maxItems": ("array", operator.le, "a number of items of at most"),
    "minProperties": ("object", operator.ge, "a number of keys of at least"),
    "maxProperties": ("object", operator.le, "a number of keys of at most"),
}


def fits(value: Any, schema: Any, root: Mapping[str, Any]) -> bool:
    return next(problems(value, schema, root), None) is None


def problems(value: Any, schema: Any, root: Mapping[str, Any], where: str = "") -> Iterator[Problem]:
    """What is wrong with a JSON value, in the order of the value; nothing if it fits. `root` is the whole schema, in
    which a `$ref` is looked up."""
    schema = resolved(schema, root)
    if schema is False:
        yield Problem(where, "nothing is allowed here")
    if not isinstance(schema, Mapping):
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds if kind in _TYPES):
        yield Problem(where, f"expected {' or '.join(kinds)}, got {_shown(value)}")
        return
    yield from _of_value(value, schema, where)
    yield from _of_branches(value, schema, root, where)
    if isinstance(value, dict):
        yield from _of_object(value, schema, root, where)
    elif isinstance(value, list):
        yield from _of_array(value, schema, root, where)


def resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    """The schema that a local `$ref` names, as long as there is one; the empty schema where it leads nowhere."""
    seen = set()
    while isinstance(schema, Mapping) and "$ref" in schema:
        reference = schema["$ref"]
        if reference in seen or not reference.startswith("#"):
            return {}
        seen.add(reference)
        schema = root
        for step in reference[1:].split("/")[1:]:
            schema = schema.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(schema, Mapping) else {}
    return schema


def _of_value(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[Problem]:
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if allowed is not None and not any(_same(value, one) for one in allowed):
        yield Problem(where, f"expected one of {', '.join(map(_shown, allowed))}, got {_shown(value)}")
    for keyword, (kind, holds, words) in _BOUNDS.items():
        if not (keyword in schema and _TYPES[kind](value)):
            continue
        if not holds(value if kind == "number" else len(value), schema[keyword]):
            yield Problem(where, f"expected {words} {schema[keyword]}, got {_shown(value)}")


def _of_branches(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], where: str) -> Iterator[Problem]:
    for keyword in ("anyOf", "oneOf"):
        branches = schema.get(keyword, ())
        if branches and not any(fits(value, branch, root) for branch in branches):
            yield _closest(value, branches, root, where)
    for branch in schema.get("allOf", ()):
        yield from problems(value, branch, root, where)


def _closest(value: Any, branches: list[Any], root: Mapping[str, Any], where: str) -> Problem:
    """The problem of the one branch that is of the value's type at all; else that none fits."""
    found = [next(problems(value, branch, root, where)) for branch in branches]
    deeper = [problem for problem in found if problem.where != where]
    return deeper[0] if len(deeper) == 1 else Problem(where, "; or ".join(dict.fromkeys(each.text for each in found)))


def _of_object(
    value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], where: str
) -> Iterator[Problem]:
    named = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem(_at(where, name), "missing")
    others = True if "patternProperties" in schema else schema.get("additionalProperties", True)
    for name, inner in value.items():
        if name not in named and others is False:
            yield Problem(_at(where, name), f"unknown; {there_are(named)}")
        else:
            yield from problems(inner, named.get(name, others), root, _at(where, name))


def _of_array(value: list[Any], schema: Mapping[str, Any], root: Mapping[str, Any], where: str) -> Iterator[Problem]:
    for n, item in enumerate(value):
        yield from problems(item, item_schema(schema, n), root, f"{where}[{n}]")


def item_schema(schema: Mapping[str, Any], n: int) -> Any:
    """The schema of an array's item number `n`; None where anything goes."""
    first = schema.get("prefixItems", ())
    return first[n] if n < len(first) else schema.get("items")


def there_are(names: Collection[str]) -> str:
    return f"there are: {', '.join(names)}" if names else "there are none"


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _same(value: Any, other: Any) -> bool:
    """JSON's equality: true is not 1."""
    return bool(value == other) and isinstance(value, bool) is isinstance(other, bool)


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:59] + "…"
