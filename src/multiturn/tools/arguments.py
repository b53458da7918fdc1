"""From the text that a model wrote to the arguments of a call, or to a text by which the model can mend it.

`FromSignature` reads a function's own parameters, `FromSchema` keeps to a JSON schema that somebody wrote. Either is
built once and read for every call; each value is decoded once, by a decoder that was made for its type.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import msgspec

from multiturn.errors import InvalidInput
from multiturn.tools import schemas
from multiturn.tools.checking import Problem, problems, there_are
from multiturn.tools.codecs import Codec, Wrong, codec_of, schemas_of
from multiturn.tools.schemas import Schema
from multiturn.tools.signature import REQUIRED, Parameter, Signature

_encode = msgspec.json.Encoder().encode
_raw_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any_decoder = msgspec.json.Decoder(dict[str, Any])

T = TypeVar("T")

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
        self._codecs = {each.name: _codec(each) for each in signature.parameters}
        self._extra = None if signature.extra is None else codec_of(signature.extra)
        self._reserved = signature.reserved - self._codecs.keys()
        self._defaults = {each.name: each.default for each in signature.parameters if each.default is not REQUIRED}
        self._makers = {each.name: each.make_default for each in signature.parameters if each.make_default}
        self._required = [each.name for each in signature.parameters if each.is_required]
        self._schema = _schema_of(signature, self._codecs, self._extra)
        self._strict = strict
        self.schema = _shown(self._schema, strict)

    def read(self, text: str) -> dict[str, Any]:
        given = _object(text, _raw_decoder)
        if self._strict and "null" in text:
            given = self._without_nulls(text)
        values = self._defaults | {name: make() for name, make in self._makers.items() if name not in given}
        wrong = [Problem(name, "missing") for name in self._required if name not in given]
        for name, data in given.items():
            try:
                values[name] = self._codec(name).decode(data)
            except Wrong as error:
                wrong.extend(Problem(name + problem.where, problem.text) for problem in error.problems)
            except Exception as error:  # from a type's own check
                wrong.append(Problem(name, f"{type(error).__name__}: {error}"))
        if wrong:
            raise _invalid(wrong, self._schema)
        return values

    def _without_nulls(self, text: str) -> dict[str, msgspec.Raw]:
        values = schemas.without_nulls(_object(text, _any_decoder), self._schema, self._schema)
        return _raw_decoder.decode(_encode(values))

    def _codec(self, name: str) -> Codec:
        codec = self._codecs.get(name) or (None if name in self._reserved else self._extra)
        if codec is None:
            raise Wrong([Problem("", f"unknown; {there_are(self._codecs)}")])
        return codec


class FromSchema:
    """Arguments by a JSON schema, passed on as JSON has them; `checking` says what is checked. `reserved` are names
    that no model may fill, whatever the schema says."""

    def __init__(
        self, schema: Mapping[str, Any] | msgspec.Raw | bytes, *, strict: bool = False, reserved: Collection[str] = ()
    ) -> None:
        """Raises `InvalidInput` for what is not the JSON schema of an object, or cannot be said in strict mode."""
        try:
            data = _encode(schema) if isinstance(schema, Mapping) else bytes(schema)
            written = _any_decoder.decode(data)
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise InvalidInput(f"`parameters` is not a JSON schema: {error}") from error
        self._schema = _of_object(written)
        self._strict = strict
        self._reserved = reserved
        untouched = not strict and written == self._schema
        self.schema = msgspec.Raw(data) if untouched else _shown(self._schema, strict)

    def read(self, text: str) -> dict[str, Any]:
        values: dict[str, Any] = _object(text, _any_decoder)
        if self._strict and "null" in text:
            values = schemas.without_nulls(values, self._schema, self._schema)
        wrong = [*problems(values, self._schema, self._schema)]
        wrong += [Problem(name, "unknown") for name in values if name in self._reserved]
        if wrong:
            raise _invalid(wrong, self._schema)
        return values


# --- the text that a model wrote ------------------------------------------------------------------------------------


def _object(text: str, decoder: msgspec.json.Decoder[dict[str, T]]) -> dict[str, T]:
    """Some models write nothing at all, or null, for a tool without parameters."""
    if text.strip() in ("", "null"):
        return {}
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise InvalidArguments(f"the arguments must be one JSON object: {error}") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidArguments(f"the arguments are not JSON: {error}; send one JSON object") from error


def _invalid(wrong: Sequence[Problem], schema: Schema) -> InvalidArguments:
    lines = [_line(problem, schema) for problem in wrong[:_SHOWN_PROBLEMS]]
    if len(wrong) > len(lines):
        lines.append(f"- and {len(wrong) - len(lines)} more")
    return InvalidArguments("\n".join(["the arguments do not fit:", *lines]))


def _line(problem: Problem, schema: Schema) -> str:
    """`- days[0].x: expected integer, got "two"; days wants {"type":"array",…}`"""
    properties: Mapping[str, Any] = schema.get("properties", {})
    steps = re.split(r"[.\[]", problem.where)
    name = next((name for name in (problem.where, steps[0]) if name in properties), None)
    wanted = f"; {name} wants {_cut(_encode(properties[name]).decode())}" if name else ""
    return f"- {problem.where}: {problem.text}{wanted}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


# --- the schema that it reads ---------------------------------------------------------------------------------------


def _codec(parameter: Parameter) -> Codec:
    try:
        return codec_of(parameter.hint)
    except InvalidInput as error:
        raise InvalidInput(f"parameter {parameter.name!r}: {error}") from error


def _schema_of(signature: Signature, codecs: Mapping[str, Codec], extra: Codec | None) -> Schema:
    found, definitions = schemas_of([*codecs.values(), *([extra] if extra else [])])
    pairs = zip(signature.parameters, found, strict=False)
    return schemas.short(
        {
            "type": "object",
            "properties": {each.name: _described(each, schema) for each, schema in pairs},
            "required": [each.name for each in signature.parameters if each.is_required],
            "additionalProperties": (found[-1] or True) if extra else False,
            "$defs": definitions,
        }
    )


def _described(parameter: Parameter, schema: Schema) -> Schema:
    made = dict(schema)
    if text := made.get("description") or parameter.description:
        made["description"] = text
    if parameter.default is not REQUIRED:
        with suppress(TypeError, ValueError, RecursionError):  # a default that JSON cannot say is not shown
            made["default"] = msgspec.to_builtins(parameter.default)
    return made


def _of_object(schema: dict[str, Any]) -> Schema:
    made = {"type": "object", "properties": {}, **schema}
    if made["type"] != "object" or not isinstance(made["properties"], Mapping):
        raise InvalidInput(f"`parameters` must be the JSON schema of an object, not {_cut(_encode(schema).decode())}")
    return made


def _shown(schema: Schema, strict: bool) -> msgspec.Raw:
    return msgspec.Raw(_encode(schemas.strict(schema) if strict else schema))
