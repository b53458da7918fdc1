"""From the text that a model wrote to the arguments of a call, or to a text by which the model can mend it.

`FromSignature` reads a function's own parameters, `FromSchema` keeps to a JSON schema that somebody wrote. Either is
built once and read for every call.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from multiturn.errors import InvalidInput
from multiturn.schemas import Mismatch, strict
from multiturn.schemas.checking import problems, without_nulls
from multiturn.schemas.keywords import Schema
from multiturn.schemas.kinds import document
from multiturn.schemas.mismatch import Problem
from multiturn.schemas.records import Field, Record
from multiturn.schemas.types import Types
from multiturn.tools.signature import Parameter, Signature

_encode = msgspec.json.Encoder().encode
_objects = msgspec.json.Decoder(dict[str, Any])

_SHOWN_PROBLEMS = 5
_SHOWN_CHARACTERS = 300


class InvalidArguments(Exception):
    """The arguments do not fit; the text tells the model what is wrong, where, and what is wanted."""


class Arguments(Protocol):
    """`schema` is what the model is shown."""

    schema: msgspec.Raw

    def read(self, text: str) -> dict[str, Any]:
        """The values by name. Raises `InvalidArguments`, and `RecursionError` for what is nested too deeply."""
        ...


class FromSignature:
    """Arguments of a function's own types; what the model leaves out has its default."""

    def __init__(self, signature: Signature, *, strict: bool = False) -> None:
        """Raises `InvalidInput` for a type that cannot be read from JSON, or not said in strict mode."""
        types = Types()
        free = signature.extra is not None
        others = types.kind(signature.extra) if free else None
        self._record = Record("arguments", self._completed, closed=not free, others=others)
        self._record.fields = tuple(_field(each, types) for each in signature.parameters)
        self._reserved = signature.reserved.difference(self._record.keys) if free else ()
        self._makers = {each.name: each.make_default for each in signature.parameters if each.make_default}
        self._at_once = None if free or not types.by_msgspec else _decoder(signature.parameters, types)
        self._schema = document(self._record)
        self.schema = _shown(self._schema, strict)

    def read(self, text: str) -> dict[str, Any]:
        """What msgspec refuses at once is read again step by step, to find all that is wrong, or that nothing is: a
        model may write 3.0 for an integer, and null for a default."""
        if self._at_once is None:
            return self._read(text)
        try:
            return msgspec.structs.asdict(self._at_once.decode(text))
        except (msgspec.DecodeError, UnicodeError, Mismatch):
            return self._read(text)

    def _read(self, text: str) -> dict[str, Any]:
        given = _object(text)
        wrong = _unknown(self._reserved, given)
        try:
            values: dict[str, Any] = self._record.read(given)
        except Mismatch as error:
            raise _invalid([*error.problems, *wrong], self._schema) from error
        if wrong:
            raise _invalid(wrong, self._schema)
        return values

    def _completed(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: make() for name, make in self._makers.items() if name not in values} | values


class FromSchema:
    """Arguments by a JSON schema, passed on as JSON has them; `schemas.checking` says what is checked. `reserved` are
    names that no model may fill, whatever the schema says."""

    def __init__(
        self, schema: Mapping[str, Any] | msgspec.Raw | bytes, *, strict: bool = False, reserved: Collection[str] = ()
    ) -> None:
        """Raises `InvalidInput` for what is not the JSON schema of an object, or cannot be said in strict mode."""
        try:
            data = _encode(schema) if isinstance(schema, Mapping) else bytes(schema)
            written = _objects.decode(data)
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise InvalidInput(f"`parameters` is not a JSON schema: {error}") from error
        self._schema = _of_object(written)
        self._reserved = reserved
        untouched = not strict and written == self._schema
        self.schema = msgspec.Raw(data) if untouched else _shown(self._schema, strict)

    def read(self, text: str) -> dict[str, Any]:
        values = _object(text)
        if "null" in text:
            values = without_nulls(values, self._schema, self._schema)
        wrong = [*problems(values, self._schema, self._schema), *_unknown(self._reserved, values)]
        if wrong:
            raise _invalid(wrong, self._schema)
        return values


# --- the text that a model wrote ------------------------------------------------------------------------------------


def _object(text: str) -> dict[str, Any]:
    """Some models write nothing at all, or null, for a tool without parameters."""
    if text.strip() in ("", "null"):
        return {}
    try:
        return _objects.decode(text)
    except msgspec.ValidationError as error:
        raise InvalidArguments(f"the arguments must be one JSON object: {error}") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidArguments(f"the arguments are not JSON: {error}; send one JSON object") from error


def _unknown(reserved: Collection[str], given: Collection[str]) -> list[Problem]:
    return [Problem((name,), "is unknown") for name in given if name in reserved]


def _invalid(wrong: Sequence[Problem], schema: Schema) -> InvalidArguments:
    lines = [_line(problem, schema) for problem in wrong[:_SHOWN_PROBLEMS]]
    if len(wrong) > len(lines):
        lines.append(f"- and {len(wrong) - len(lines)} more")
    return InvalidArguments("\n".join(["the arguments do not fit:", *lines]))


def _line(problem: Problem, schema: Schema) -> str:
    """`- days[0].x: expected an integer, got "two"; days wants {"type":"array",…}`"""
    name = next(iter(problem.path), None)
    wanted = schema.get("properties", {}).get(name)
    return f"- {problem}" + (f"; {name} wants {_cut(_encode(wanted).decode())}" if wanted is not None else "")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


# --- what reads it --------------------------------------------------------------------------------------------------


def _field(parameter: Parameter, types: Types) -> Field:
    try:
        kind = types.kind(parameter.hint)
    except InvalidInput as error:
        raise InvalidInput(f"parameter {parameter.name!r}: {error}") from error
    name, required = parameter.name, parameter.make_default is None
    return Field(name, name, kind, required, parameter.default, parameter.description)


def _decoder(parameters: Sequence[Parameter], types: Types) -> msgspec.json.Decoder[msgspec.Struct] | None:
    """Reads an object of all of them, their defaults filled in; None where msgspec does not take the types, such as a
    union of dataclasses."""
    fields: list[Any] = []
    for each in parameters:
        default = [msgspec.field(default_factory=each.make_default)] if each.make_default else []
        fields.append((each.name, each.hint, *default))
    # In a class of this name Python leaves private names, such as `__x`, as they are.
    struct = msgspec.defstruct("_", fields, kw_only=True, forbid_unknown_fields=True)
    try:
        return msgspec.json.Decoder(struct, dec_hook=types.read_class)
    except TypeError:
        return None


def _of_object(schema: dict[str, Any]) -> Schema:
    made = {"type": "object", "properties": {}, **schema}
    if made["type"] != "object" or not isinstance(made["properties"], Mapping):
        raise InvalidInput(f"`parameters` must be the JSON schema of an object, not {_cut(_encode(schema).decode())}")
    return made


def _shown(schema: Schema, is_strict: bool) -> msgspec.Raw:
    return msgspec.Raw(_encode(strict(schema) if is_strict else schema))
