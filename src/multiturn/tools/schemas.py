"""JSON schemas as dicts: made short, and made as OpenAI's strict mode wants them.

Plain functions that give back new schemas and change none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from multiturn.errors import InvalidInput
from multiturn.tools.checking import fits, item_schema, resolved

Schema: TypeAlias = Mapping[str, Any]

_ONE = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def _changed(schema: Schema, change: Callable[[Schema], Schema]) -> dict[str, Any]:
    """The schema with every schema directly in it changed; booleans, which are schemas too, stay."""

    def each(value: Any) -> Any:
        return change(value) if isinstance(value, Mapping) else value

    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            made[key] = {name: each(inner) for name, inner in value.items()}
        elif key in _SEVERAL and isinstance(value, list):
            made[key] = [each(inner) for inner in value]
        else:
            made[key] = each(value) if key in _ONE else value
    return made


# --- short ----------------------------------------------------------------------------------------------------------


def short(schema: Schema) -> Schema:
    """What msgspec and pydantic generate, without what tells a model nothing: titles and OpenAPI's `discriminator` go,
    a definition that is used once stands where it is used. `oneOf` becomes `anyOf`, for OpenAI refuses it, and an
    `enum` gets the type of its values, which Gemini asks for."""
    return _inlined(_plain(schema))


def _plain(schema: Schema) -> Schema:
    kept = {key: value for key, value in schema.items() if key not in ("title", "discriminator")}
    if not kept.get("required", True):
        del kept["required"]
    if "oneOf" in kept and "anyOf" not in kept:
        kept["anyOf"] = kept.pop("oneOf")
    values = kept.get("enum", [kept["const"]] if "const" in kept else [])
    types = list(dict.fromkeys(_TYPES[type(value)] for value in values if type(value) in _TYPES))
    if types and "type" not in kept:
        kept = {"type": types[0] if len(types) == 1 else types, **kept}
    return _changed(kept, _plain)


def _inlined(schema: Schema) -> Schema:
    uses = Counter(_references(schema, []))
    definitions = schema.get("$defs", {})

    def change(inner: Schema) -> Schema:
        reference = inner.get("$ref")
        if reference is None:
            return _changed(inner, change)
        siblings = {key: value for key, value in inner.items() if key != "$ref"}
        if uses[reference] == 1 and _name(reference) in definitions:
            return change({**definitions[_name(reference)], **siblings})
        # Before draft 2019-09 what stands beside `$ref` is ignored, and OpenAI's strict mode refuses it.
        return {"anyOf": [{"$ref": reference}], **siblings} if siblings else inner

    often = {name: inner for name, inner in definitions.items() if uses[f"#/$defs/{name}"] > 1}
    made = {key: value for key, value in schema.items() if key != "$defs"}
    return _changed({**made, "$defs": often} if often else made, change)


def _references(schema: Schema, found: list[str]) -> list[str]:
    """Every `$ref`, as often as it stands there, added to `found`."""
    if "$ref" in schema:
        found.append(schema["$ref"])
    _changed(schema, lambda inner: (_references(inner, found), inner)[1])
    return found


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


# --- strict ---------------------------------------------------------------------------------------------------------

_STRICT_KEYWORDS = {"type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const"}
_STRICT_KEYWORDS |= {"$ref", "$defs", "description", "pattern", "format", "multipleOf", "minItems", "maxItems"}
_STRICT_KEYWORDS |= {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_STRICT_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


def strict(schema: Schema) -> Schema:
    """The schema as OpenAI's strict mode wants it: objects are closed and all that they have is required; what was
    optional may be null, which stands for leaving it out (`without_nulls`). Keywords that the mode does not have are
    left out; our own check of the arguments keeps to them. Raises `InvalidInput` for what it cannot say: a dict with
    free keys, a value of any type, several schemas that must all fit.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    kept = {key: value for key, value in _reworded(schema).items() if key in _STRICT_KEYWORDS}
    if kept.get("format") not in _STRICT_FORMATS:
        kept.pop("format", None)
    if "(?" in kept.get("pattern", ""):  # it knows no lookaround, which pydantic's Decimal has
        kept.pop("pattern")
    if not kept.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
        raise InvalidInput("strict: a value of any type cannot be said; give it a type, or leave strict off")
    if "array" in _as_list(kept.get("type")) and "items" not in kept:
        raise InvalidInput("strict: a list of anything cannot be said; give its items a type, or leave strict off")
    properties = kept.pop("properties", None)
    closed = _closed(properties, kept) if "object" in _as_list(kept.get("type")) else {}
    return {**_changed(kept, strict), **closed}


def _reworded(schema: Schema) -> Schema:
    """The same in the words that strict mode has."""
    made = dict(schema)
    if "definitions" in made:
        raise InvalidInput("strict: put definitions under `$defs`")
    if "oneOf" in made:
        made["anyOf"] = made.pop("oneOf")
    if len(made.get("allOf", ())) > 1:
        raise InvalidInput("strict: `allOf` with several schemas cannot be said; merge them, or leave strict off")
    for inner in made.pop("allOf", ()):
        made = {**inner, **made}
    if "prefixItems" in made:
        kinds = made.pop("prefixItems")
        kinds = [kind for n, kind in enumerate(kinds) if kind not in kinds[:n]]
        made["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return made


def _closed(properties: Schema | None, schema: Schema) -> Schema:
    """The properties, strict, and what goes with them."""
    if schema.get("additionalProperties") not in (None, False) or properties is None:
        raise InvalidInput(
            "strict: an object with free keys cannot be said; name its keys (a dataclass, a TypedDict), take a list "
            "of pairs, or leave strict off"
        )
    made = {}
    for name, inner in properties.items():
        try:
            made[name] = strict(inner if name in schema.get("required", ()) else _or_null(inner))
        except InvalidInput as error:
            raise InvalidInput(f"{name!r}: {error}") from error
    return {"properties": made, "required": [*made], "additionalProperties": False}


def _or_null(schema: Schema) -> Schema:
    """The schema or null, the description outside, which says what null stands for."""
    if "null" in _as_list(schema.get("type")) or {"type": "null"} in schema.get("anyOf", ()):
        return schema
    inner = {key: value for key, value in schema.items() if key not in ("description", "default")}
    text = schema.get("description", "")
    if "default" in schema:
        meaning = f"null means {msgspec.json.encode(schema['default']).decode()}"
        text = f"{text} ({meaning})" if text else meaning
    return {"anyOf": [inner, {"type": "null"}]} | ({"description": text} if text else {})


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def without_nulls(value: Any, schema: Any, root: Schema) -> Any:
    """The value without the nulls that a strict schema asked for: those of properties that `schema`, the one before
    `strict`, does not require and that it does not let be null."""
    schema = resolved(schema, root)
    if not isinstance(schema, Mapping):
        return value
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if fits(pruned := without_nulls(value, branch, root), branch, root):
            return pruned
    for branch in schema.get("allOf", ()):
        value = without_nulls(value, branch, root)
    if isinstance(value, list):
        return [without_nulls(item, item_schema(schema, n), root) for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    named, required = schema.get("properties", {}), schema.get("required", ())
    return {
        name: without_nulls(inner, named.get(name), root)
        for name, inner in value.items()
        if inner is not None or name not in named or name in required or fits(None, named[name], root)
    }
