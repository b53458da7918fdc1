"""Types that pydantic knows how to read: its models and dataclasses, and what is `Annotated` with its `Field`.

Pydantic is imported when the first of them is met. It is not among our dependencies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from multiturn.errors import InvalidInput
from multiturn.schemas.mismatch import WORDS, Mismatch, Problem, Step, shown
from multiturn.schemas.names import Names, Schema
from multiturn.schemas.records import Tag


def is_of_pydantic(hint: Any) -> bool:
    """Whether a class brings its own pydantic validation, as models, pydantic dataclasses and its types do."""
    return hasattr(hint, "__get_pydantic_core_schema__") or hasattr(hint, "__pydantic_validator__")


def pydantic_kind(hint: Any) -> PydanticType | PydanticObject:
    """The kind of such a type. Raises `InvalidInput` where pydantic cannot use it."""
    try:
        import pydantic
        from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
    except ImportError as error:
        raise InvalidInput(f"{hint!r} needs pydantic, which is not installed") from error
    try:
        adapter: Any = pydantic.TypeAdapter(hint)
        schema: Schema = adapter.json_schema()
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError, ImportError) as error:
        raise InvalidInput(f"pydantic cannot use {hint!r}: {error}") from error
    kind = PydanticObject if "properties" in _resolved(schema, schema) else PydanticType
    return kind(adapter, schema)


class PydanticType:
    """Described and read by pydantic, in its JSON mode, with the user's validators."""

    def __init__(self, adapter: Any, schema: Schema) -> None:
        self._adapter = adapter
        self._schema = schema
        self._whole = _resolved(schema, schema)
        self.wanted: str = WORDS.get(self._whole.get("type", ""), "a value")

    def schema(self, names: Names) -> Schema:
        return names.once(id(self), lambda: names.moved_in(self._schema))

    def read(self, value: Any) -> Any:
        """Nulls for what may be left out are taken as left out, where pydantic does not like them."""
        from pydantic import ValidationError

        try:
            return self._adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            lean = _without_nulls(value, self._schema, self._schema)
            if lean != value:
                return self.read(lean)
            raise Mismatch(*(_problem(detail, value) for detail in error.errors(include_url=False))) from error


class PydanticObject(PydanticType):
    """One that is an object with known keys."""

    def __init__(self, adapter: Any, schema: Schema) -> None:
        super().__init__(adapter, schema)
        properties = self._whole["properties"]
        self.name: str = self._whole.get("title", "object")
        self.wanted = f"an object ({self.name})"
        self.keys = tuple(properties)
        self.constants = {key: value for key, of in properties.items() for value in _only_value(of)}

    def schema(self, names: Names, tag: Tag | None = None) -> Schema:
        if tag is None and "$ref" in self._schema:  # a recursive one is among its own definitions
            return super().schema(names)
        return names.reference((id(self), tag), self.name, lambda: self._definition(names, tag))

    def _definition(self, names: Names, tag: Tag | None) -> Schema:
        schema = names.moved_in({**self._whole, "$defs": self._schema.get("$defs", {})})
        if tag:
            schema["properties"] = {tag[0]: {"enum": [tag[1]]}, **schema["properties"]}
            schema["required"] = [tag[0], *schema.get("required", ())]
        return schema


def _problem(detail: Any, value: Any) -> Problem:
    """A pydantic error as ours. Its place also names branches of unions, which are not in the value."""
    place = detail["loc"]
    missing = detail["type"] == "missing"
    path: list[Step] = []
    for step in place[:-1] if missing else place:
        if (isinstance(value, dict) and step in value) or (isinstance(value, list) and isinstance(step, int)):
            path.append(step)
            value = value[step]
    if missing:
        return Problem((*path, place[-1]), "is missing")
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return Problem(tuple(path), f"{text[:1].lower()}{text[1:]}, got {shown(value)}")


def _without_nulls(value: Any, schema: Schema, root: Schema) -> Any:
    """The value without the nulls under keys that may be left out and cannot be null."""
    branches = list(_branches(schema, root))
    if isinstance(value, list):
        items: Schema = next((branch["items"] for branch in branches if isinstance(branch.get("items"), dict)), {})
        return [_without_nulls(item, items, root) for item in value]
    if not isinstance(value, dict):
        return value
    objects = [branch for branch in branches if _may_be(branch, value)]
    lean = {}
    for key, item in value.items():
        of = {"anyOf": [branch["properties"][key] for branch in objects if key in branch["properties"]]}
        required = any(key in branch.get("required", ()) for branch in objects)
        if item is not None or required or not of["anyOf"] or any(map(_is_null, _branches(of, root))):
            lean[key] = _without_nulls(item, of, root)
    return lean


def _branches(schema: Schema, root: Schema) -> Iterator[Schema]:
    """What a value may be: the schema itself, or all in its unions."""
    schema = _resolved(schema, root)
    inner = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    for branch in inner:
        yield from _branches(branch, root)
    if not inner:
        yield schema


def _may_be(schema: Schema, value: dict[str, Any]) -> bool:
    """Whether it is an object's schema, and not one with another tag."""
    properties = schema.get("properties")
    return properties is not None and all(
        only == value.get(key, only) for key, of in properties.items() for only in _only_value(of)
    )


def _is_null(schema: Schema) -> bool:
    """Whether null, or anything, fits."""
    return schema.get("type", "null") == "null" and None in schema.get("enum", [schema.get("const")])


def _only_value(schema: Schema) -> tuple[Any, ...]:
    """The one value of a constant, else nothing."""
    options = schema.get("enum", [schema["const"]] if "const" in schema else ())
    return tuple(options) if len(options) == 1 else ()


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema that a reference leads to."""
    while "$ref" in schema:
        schema = root.get("$defs", {})[schema["$ref"].rpartition("/")[2]]
    return schema
