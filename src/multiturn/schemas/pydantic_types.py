"""Types that pydantic knows how to read: its models and dataclasses, and what is `Annotated` with its `Field`.

Pydantic is imported when the first of them is met. It is not among our dependencies.
"""

from __future__ import annotations

from typing import Any

import msgspec

from multiturn.errors import InvalidInput
from multiturn.schemas.checking import without_nulls
from multiturn.schemas.keywords import Schema, one_of, options, plain, resolved
from multiturn.schemas.mismatch import WORDS, Mismatch, Problem, Step, shown
from multiturn.schemas.names import Names, plain_name, reference_to
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
    kind = PydanticObject if "properties" in resolved(schema, schema) else PydanticType
    return kind(adapter, schema, pydantic.ValidationError)


class PydanticType:
    """Described and read by pydantic, in its JSON mode, with the user's validators."""

    def __init__(self, adapter: Any, schema: Schema, refusal: type[Any]) -> None:
        self._adapter = adapter
        self._refusal = refusal
        self._schema = plain(schema)
        self._whole = resolved(self._schema, self._schema)
        self.name: str = resolved(schema, schema).get("title", "")
        self.wanted = WORDS.get(self._whole.get("type", ""), "a value")

    def schema(self, names: Names) -> Schema:
        return names.moved_in(id(self), self._schema)

    def read(self, value: Any) -> Any:
        """Nulls for what may be left out are taken as left out, where pydantic does not like them."""
        try:
            return self._adapter.validate_json(msgspec.json.encode(value))
        except self._refusal as error:
            lean = without_nulls(value, self._schema, self._schema)
            if lean != value:
                return self.read(lean)
            raise Mismatch(*(_problem(detail, value) for detail in error.errors(include_url=False))) from error


class PydanticObject(PydanticType):
    """One that is an object with known keys."""

    def __init__(self, adapter: Any, schema: Schema, refusal: type[Any]) -> None:
        super().__init__(adapter, schema, refusal)
        properties = self._whole["properties"]
        self.wanted = f"an object ({self.name})"
        self.keys = tuple(properties)
        self.constants = {key: options(of)[0] for key, of in properties.items() if len(options(of)) == 1}
        if "$ref" not in self._schema:  # a recursive one is among its own definitions; now every one is
            about, name = dict(self._schema), plain_name(self.name)
            defs = about.pop("$defs", {})
            while name in defs:  # another class
                name += "_"
            self._schema = {**reference_to(name), "$defs": {**defs, name: about}}

    def schema(self, names: Names, tag: Tag | None = None) -> Schema:
        if tag is None:
            return super().schema(names)
        return names.reference((id(self), tag), self.name, lambda: self._tagged(names, tag))

    def _tagged(self, names: Names, tag: Tag) -> Schema:
        schema = names.moved_in((id(self), "tagged"), {**self._whole, "$defs": self._schema["$defs"]})
        schema["properties"] = {tag[0]: one_of(tag[1]), **schema["properties"]}
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
