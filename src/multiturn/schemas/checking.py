"""Whether a JSON value is what a JSON schema wants, as far as tools need it.

Checked: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`, `prefixItems`, `anyOf`,
`oneOf` (as `anyOf`), `allOf`, local `$ref`, and the bounds of numbers, lengths and counts. Not checked, so taken as
kept: `pattern`, `format`, `multipleOf`, `uniqueItems`, `not`, `if`, `patternProperties`, `propertyNames`, `dependent…`,
`unevaluated…`, `$ref` to elsewhere, and what stands beside a `$ref`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from multiturn.schemas.keywords import Schema, options, resolved
from multiturn.schemas.mismatch import WORDS, Problem, Step, one_among, shown, there_are

_Path: TypeAlias = tuple[Step, ...]

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


def fits(value: Any, schema: Any, root: Schema) -> bool:
    return next(problems(value, schema, root), None) is None


def problems(value: Any, schema: Any, root: Schema, path: _Path = ()) -> Iterator[Problem]:
    """What is wrong with a JSON value, in the order of the value; nothing if it fits. `root` is the whole schema, in
    which a `$ref` is looked up."""
    schema = resolved(schema, root)
    if schema is False:
        yield Problem(path, "nothing is allowed here")
    if not isinstance(schema, dict):
        return
    kinds = _as_list(schema.get("type", []))
    if kinds and not any(_TYPES[kind](value) for kind in kinds if kind in _TYPES):
        yield Problem(path, f"expected {' or '.join(WORDS.get(kind, kind) for kind in kinds)}, got {shown(value)}")
        return
    yield from _of_value(value, schema, path)
    yield from _of_branches(value, schema, root, path)
    if isinstance(value, dict):
        yield from _of_object(value, schema, root, path)
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from problems(item, _item_schema(schema, n), root, (*path, n))


def without_nulls(value: Any, schema: Any, root: Schema) -> Any:
    """The value without the nulls that stand for nothing, as strict schemas make a model write them: those of
    properties that `schema` does not require and that it does not let be null."""
    schema = resolved(schema, root)
    if not isinstance(schema, dict):
        return value
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if fits(pruned := without_nulls(value, branch, root), branch, root):
            return pruned
    for branch in schema.get("allOf", ()):
        value = without_nulls(value, branch, root)
    if isinstance(value, list):
        return [without_nulls(item, _item_schema(schema, n), root) for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    named, required = schema.get("properties", {}), schema.get("required", ())
    return {
        name: without_nulls(inner, named.get(name), root)
        for name, inner in value.items()
        if inner is not None or name not in named or name in required or fits(None, named[name], root)
    }


def _of_value(value: Any, schema: Schema, path: _Path) -> Iterator[Problem]:
    allowed = options(schema)
    if allowed and not any(_same(value, one) for one in allowed):
        yield Problem(path, f"expected {one_among(allowed)}, got {shown(value)}")
    for keyword, (kind, holds, words) in _BOUNDS.items():
        if not (keyword in schema and _TYPES[kind](value)):
            continue
        if not holds(value if kind == "number" else len(value), schema[keyword]):
            yield Problem(path, f"expected {words} {schema[keyword]}, got {shown(value)}")


def _of_branches(value: Any, schema: Schema, root: Schema, path: _Path) -> Iterator[Problem]:
    for keyword in ("anyOf", "oneOf"):
        branches = schema.get(keyword, ())
        if branches and not any(fits(value, branch, root) for branch in branches):
            yield _closest(value, branches, root, path)
    for branch in schema.get("allOf", ()):
        yield from problems(value, branch, root, path)


def _closest(value: Any, branches: list[Any], root: Schema, path: _Path) -> Problem:
    """The problem of the one branch that is of the value's type at all; else that none fits."""
    found = [next(problems(value, branch, root, path)) for branch in branches]
    deeper = [problem for problem in found if problem.path != path]
    return deeper[0] if len(deeper) == 1 else Problem(path, "; or ".join(dict.fromkeys(each.text for each in found)))


def _of_object(value: dict[str, Any], schema: Schema, root: Schema, path: _Path) -> Iterator[Problem]:
    named = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem((*path, name), "is missing")
    others = True if "patternProperties" in schema else schema.get("additionalProperties", True)
    for name, inner in value.items():
        if name not in named and others is False:
            yield Problem((*path, name), f"is unknown; {there_are(named)}")
        else:
            yield from problems(inner, named.get(name, others), root, (*path, name))


def _item_schema(schema: Schema, n: int) -> Any:
    """The schema of an array's item number `n`; None where anything goes."""
    first = schema.get("prefixItems", ())
    return first[n] if n < len(first) else schema.get("items")


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _same(value: Any, other: Any) -> bool:
    """JSON's equality: true is not 1."""
    return bool(value == other) and isinstance(value, bool) is isinstance(other, bool)
