"""OpenAI's strict subset of JSON Schema, which keeps a model's answer to the schema. Other providers' are like it.

The rules are those of https://platform.openai.com/docs/guides/structured-outputs#supported-schemas: an object at the
root, `additionalProperties: false` and every property required, `anyOf` for unions, no other composition, some
keywords, and limits of size. Two are said only by its errors: nothing beside a `$ref`, and objects of one `anyOf` must
not begin with the same key, unless that key tells them apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from multiturn.errors import InvalidInput
from multiturn.schemas.keywords import Schema, options, resolved, type_of

_KEPT = {
    *("type", "title", "description", "properties", "required", "items", "enum", "const", "anyOf", "$ref", "$defs"),
    *("additionalProperties", "pattern", "format", "minItems", "maxItems"),
    *("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
_SILENT = {"$schema", "$id", "$comment", "$defs", "discriminator", "deprecated", "readOnly", "writeOnly", "default"}
_UNSAYABLE = {
    *("not", "if", "then", "else", "allOf", "dependentRequired", "dependentSchemas", "patternProperties"),
    *("contains", "unevaluatedItems", "unevaluatedProperties", "definitions", "$dynamicRef"),
}
_LOOKAROUND = ("(?=", "(?!", "(?<")

MOST_PROPERTIES = 5000
MOST_LEVELS = 10
MOST_CHARACTERS = 120_000
MOST_CHOICES = 1000
MANY_CHOICES, MOST_CHARACTERS_OF_MANY = 250, 15_000


class NotStrict(InvalidInput):
    """A schema that cannot be said in the subset. The text says what of it, and where."""


def strict(schema: Mapping[str, Any]) -> Schema:
    """The schema under the strict rules. Raises `NotStrict` where they leave no way to say it, as for dicts with free
    keys.

    What may be left out may be null instead, except a constant, and its description says which default null stands
    for; whoever reads the answer takes such a null as left out. Keywords outside the subset (`minLength`, …) go into
    the description, in brackets.
    """
    root = dict(schema)
    try:
        made = _stricter(root, root)
        defs = {name: _stricter(of, root) for name, of in root.get("$defs", {}).items()}
    except RecursionError:
        raise NotStrict("what is nested without end cannot be strict") from None
    if made.get("type") != "object":
        raise NotStrict("only an object can be strict")
    made = {**made, "$defs": defs} if defs else made
    _check_size(made)
    return made


def _stricter(schema: Any, root: Schema) -> Schema:
    made = _reworded(schema) if isinstance(schema, dict) else {}
    if "$ref" in made:
        if not resolved(made, root):
            raise NotStrict(f"{made['$ref']} leads to no definition")
        return made if len(made) == 1 else {"anyOf": [{"$ref": made.pop("$ref")}], **made}
    if "anyOf" in made and "properties" in made:
        raise NotStrict("`anyOf` beside `properties` cannot be strict; put them into its branches, or leave strict off")
    if "anyOf" in made:
        return {**made, "anyOf": _branches(made["anyOf"], root)}
    made["type"] = _type(made)
    if "object" in made["type"]:
        made |= _object(made, root)
    if "array" in made["type"]:
        if not isinstance(made.get("items"), dict):
            raise NotStrict("a list of anything cannot be strict; give its items a type, or leave strict off")
        made["items"] = _stricter(made["items"], root)
    return made


def _reworded(schema: Schema) -> Schema:
    """Only what the subset has, the rest in words. `allOf` of one, as some write around a reference, is that one."""
    match schema:
        case {"allOf": [dict(only)], **beside}:
            schema = {**only, **beside}
    schema = {("anyOf" if key == "oneOf" else key): value for key, value in schema.items() if key not in _SILENT}
    if unsayable := sorted(_UNSAYABLE & schema.keys()):
        raise NotStrict(f"`{'`, `'.join(unsayable)}` cannot be strict; say it in another way, or leave strict off")
    if places := schema.pop("prefixItems", None):
        if any(place != places[0] for place in places):
            raise NotStrict("a tuple whose places differ cannot be strict; take a dataclass, or leave strict off")
        schema["items"] = places[0]
    kept = {key: value for key, value in schema.items() if _is_kept(key, value)}
    notes = ", ".join(f"{key}: {json.dumps(value)}" for key, value in schema.items() if key not in kept)
    return _described(kept, notes)


def _described(schema: Schema, note: str) -> Schema:
    """With the note at the end of its description."""
    return {**schema, "description": f"{schema.get('description', '')} ({note})".strip()} if note else schema


def _is_kept(key: str, value: Any) -> bool:
    if key == "format":
        return value in _FORMATS
    if key == "pattern":
        return not any(token in value for token in _LOOKAROUND)
    return key in _KEPT


def _type(schema: Schema) -> str | list[str]:
    """The type, which strict schemas must say of enumerations too."""
    if "type" in schema:
        return schema["type"]  # type: ignore[no-any-return]
    types = type_of(options(schema)) or ("object" if "properties" in schema else [])
    if not types or (options(schema) and "object" in types):
        raise NotStrict("a value of any type cannot be strict; give it a type, or leave strict off")
    return types


def _object(schema: Schema, root: Schema) -> Schema:
    """All of its properties required."""
    if schema.get("additionalProperties", "properties" not in schema) is not False:
        raise NotStrict(
            "an object with free keys cannot be strict; name its keys (a dataclass, a TypedDict), take a list of "
            "pairs, or leave strict off"
        )
    properties = {}
    for name, of in schema.get("properties", {}).items():
        try:
            properties[name] = _stricter(of, root)
        except NotStrict as error:
            raise NotStrict(f"{name!r}: {error}") from error
        if name not in schema.get("required", ()) and not _stays(properties[name], root):
            properties[name] = _or_null(properties[name], of.get("default"))
    properties = _constants_first(properties)
    return {"properties": properties, "required": list(properties), "additionalProperties": False}


def _stays(schema: Schema, root: Schema) -> bool:
    """Whether nothing but the value itself need stand there: a constant, or what may be null as it is."""
    return len(options(schema)) == 1 or _takes_null(schema, root)


def _takes_null(schema: Schema, root: Schema) -> bool:
    schema = resolved(schema, root)
    if "anyOf" in schema:
        return any(_takes_null(branch, root) for branch in schema["anyOf"])
    return "null" in schema.get("type", ()) and None in (options(schema) or [None])


def _or_null(schema: Schema, default: Any) -> Schema:
    """The schema or null, with the description outside, which says what null stands for."""
    inner = {key: value for key, value in schema.items() if key != "description"}
    branches = inner.get("anyOf", [inner])
    about = {"description": schema["description"]} if "description" in schema else {}
    return _described(
        {**about, "anyOf": [*branches, {"type": "null"}]},
        f"null means {json.dumps(default)}" if default is not None else "",
    )


def _branches(branches: list[Any], root: Schema) -> list[Schema]:
    """The members of a union, unions in it opened. Raises `NotStrict` where objects begin alike."""
    made: list[Schema] = []
    for branch in branches:
        inner = _stricter(branch, root)
        made += inner["anyOf"] if inner.keys() == {"anyOf"} else [inner]
    objects = (resolved(branch, root).get("properties", {}) for branch in made)
    first = [next(iter(_constants_first(properties).items())) for properties in objects if properties]
    for n, (name, of) in enumerate(first):
        if any(name == other and not _apart(of, its) for other, its in first[:n]):
            raise NotStrict(
                f"objects of a union that begin alike, with {name!r}, cannot be strict; give each a field with one "
                "value of its own (a `Literal`), or leave strict off"
            )
    return made


def _apart(schema: Schema, other: Schema) -> bool:
    """Whether two properties are constants, and not the same."""
    return len(options(schema)) == len(options(other)) == 1 and options(schema) != options(other)


def _constants_first(properties: Schema) -> Schema:
    """Answers come in the order of the schema, so that a tag which comes first tells objects apart at once."""
    return dict(sorted(properties.items(), key=lambda item: len(options(item[1])) != 1))


# --- limits of size -------------------------------------------------------------------------------------------------


def _check_size(schema: Schema) -> None:
    """Raises `NotStrict` for a schema that is too big."""
    parts = list(_parts(schema))
    names = [name for part in parts for key in ("properties", "$defs") for name in part.get(key, ())]
    choices = [str(value) for part in parts for value in options(part)]
    many = [sum(len(str(value)) for value in options(part)) for part in parts if len(options(part)) > MANY_CHOICES]
    sizes = {
        "properties": (sum(len(part.get("properties", ())) for part in parts), MOST_PROPERTIES),
        "levels of objects in objects": (_levels(schema, schema, {}), MOST_LEVELS),
        "choices": (len(choices), MOST_CHOICES),
        "characters in one long list of choices": (max(many, default=0), MOST_CHARACTERS_OF_MANY),
        "characters in names and choices": (sum(map(len, (*names, *choices))), MOST_CHARACTERS),
    }
    for what, (size, most) in sizes.items():
        if size > most:
            raise NotStrict(f"{size} {what} cannot be strict, {most} are the most")


def _parts(schema: Schema) -> Iterator[Schema]:
    """The schema and all in it, definitions too."""
    yield schema
    for inner in _inner(schema, "properties", "$defs"):
        yield from _parts(inner)


def _inner(schema: Schema, *named: str) -> Iterator[Schema]:
    yield from (of for key in named for of in schema.get(key, {}).values())
    yield from schema.get("anyOf", ())
    if "items" in schema:
        yield schema["items"]


def _levels(schema: Schema, root: Schema, known: dict[str, int]) -> int:
    """How deep objects lie in objects; a recursive one counts once."""
    if "$ref" in schema:
        name = schema["$ref"]
        if name not in known:
            known[name] = 0
            known[name] = _levels(resolved(schema, root), root, known)
        return known[name]
    deepest = max((_levels(inner, root, known) for inner in _inner(schema, "properties")), default=0)
    return deepest + ("properties" in schema)
