"""Objects with named fields: dataclasses, msgspec Structs, TypedDicts and NamedTuples."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import NODEFAULT, UNSET

from multiturn.schemas.kinds import Choice, Kind, read_each
from multiturn.schemas.mismatch import Mismatch, Problem, expected
from multiturn.schemas.names import Names, Schema

Tag = tuple[str, str | int]
"""A property and the one value it has, by which an object of a union is known."""


class Keyed(Kind, Protocol):
    """A kind that is an object with known keys, so that a union can tell it from others."""

    name: str
    keys: tuple[str, ...]
    constants: Mapping[str, Any]
    """The keys with one possible value."""

    def schema(self, names: Names, tag: Tag | None = None) -> Schema:
        """As of any kind; with a tag that its own fields do not have, that comes first."""
        ...


class Field(msgspec.Struct, frozen=True):
    """`key` in JSON, `name` in Python. A field that is not required may be left out; `default` is only told."""

    name: str
    key: str
    kind: Kind
    required: bool = True
    default: Any = UNSET

    def left_out(self, value: Any) -> bool:
        """Whether this null stands for nothing: strict schemas have no other way to leave a field out."""
        if value is not None or self.required:
            return False
        try:
            self.kind.read(None)
        except Mismatch:
            return True
        return False

    def schema(self, names: Names) -> Schema:
        schema = self.kind.schema(names)
        if self.default is UNSET:
            return schema
        try:
            return {**schema, "default": msgspec.to_builtins(self.default, str_keys=True)}
        except TypeError:  # a default that JSON cannot say
            return schema


class Record:
    """An object. `build` makes the Python value of the fields that are there; a ValueError, TypeError or
    AssertionError of its own, as of a `__post_init__`, is a mismatch. A `closed` one takes no other keys."""

    fields: tuple[Field, ...] = ()

    def __init__(
        self,
        name: str,
        build: Callable[[dict[str, Any]], Any],
        *,
        description: str | None = None,
        tag: Tag | None = None,
        closed: bool = False,
    ) -> None:
        self.name = name
        self.wanted = f"an object ({name})"
        self._build = build
        self._description = description
        self._tag = tag
        self._closed = closed

    @property
    def keys(self) -> tuple[str, ...]:
        return (*([self._tag[0]] if self._tag else []), *(field.key for field in self.fields))

    @property
    def constants(self) -> dict[str, Any]:
        single = {
            field.key: field.kind.options[0][0]
            for field in self.fields
            if isinstance(field.kind, Choice) and len(field.kind.options) == 1
        }
        return single | dict([self._tag] if self._tag else [])

    def schema(self, names: Names, tag: Tag | None = None) -> Schema:
        return names.reference((id(self), tag), self.name, lambda: self._definition(names, tag or self._tag))

    def _definition(self, names: Names, tag: Tag | None) -> Schema:
        tags = {tag[0]: {"enum": [tag[1]]}} if tag else {}
        return {
            "title": self.name,
            **({"description": self._description} if self._description else {}),
            "type": "object",
            "properties": {**tags, **{field.key: field.schema(names) for field in self.fields}},
            "required": [*tags, *(field.key for field in self.fields if field.required)],
            **({"additionalProperties": False} if self._closed else {}),
        }

    def read(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise expected(self.wanted, value)
        problems = list(self._wrong_keys(value))
        there = [field for field in self.fields if field.key in value and not field.left_out(value[field.key])]
        read = read_each(((field.key, field.kind, value[field.key]) for field in there), but=problems)
        try:
            return self._build({field.name: read[field.key] for field in there})
        except (ValueError, TypeError, AssertionError) as error:
            raise Mismatch(Problem((), str(error) or repr(error))) from error

    def _wrong_keys(self, value: dict[str, Any]) -> Iterator[Problem]:
        for field in self.fields:
            if field.required and field.key not in value:
                yield Problem((field.key,), f"is missing, expected {field.kind.wanted}")
        if self._tag and value.get(self._tag[0], self._tag[1]) != self._tag[1]:
            yield from expected(f'"{self._tag[1]}"', value[self._tag[0]]).under(self._tag[0])
        if self._closed:
            yield from (Problem((key,), "there is no such field") for key in value if key not in self.keys)


# --- what the fields of a class are ---------------------------------------------------------------------------------


def is_record(cls: Any) -> bool:
    """Whether a class is one of the four sorts."""
    if not isinstance(cls, type):
        return False
    struct = issubclass(cls, msgspec.Struct) and not cls.__struct_config__.array_like
    return struct or dataclasses.is_dataclass(cls) or _is_typed_dict(cls) or _is_named_tuple(cls)


def empty_record(cls: Any, name: str) -> Record:
    """The record of such a class, its fields still to come, so that a recursive one can refer to itself."""
    description = description_of(cls)
    if issubclass(cls, msgspec.Struct):
        config = cls.__struct_config__
        tag = (config.tag_field, config.tag) if config.tag_field else None
        closed = config.forbid_unknown_fields
        return Record(name, lambda fields: cls(**fields), description=description, tag=tag, closed=closed)
    build = dict if _is_typed_dict(cls) else lambda fields: cls(**fields)
    return Record(name, build, description=description)


def fields_of(cls: Any, kind: Callable[[Any], Kind], bound: Mapping[Any, Any]) -> tuple[Field, ...]:
    """The fields in order. `kind` says what a type is; `bound` what a generic class's parameters stand for. Raises
    NameError where an annotation cannot be resolved."""
    hints = typing.get_type_hints(cls, include_extras=True)

    def field(name: str, required: bool, default: Any = UNSET, key: str | None = None) -> Field:
        return Field(name, key or name, kind(substituted(hints[name], bound)), required, default)

    if issubclass(cls, msgspec.Struct):
        return tuple(
            field(f.name, f.required, UNSET if f.default is NODEFAULT else f.default, f.encode_name)
            for f in msgspec.structs.fields(cls)
        )
    if dataclasses.is_dataclass(cls):
        return tuple(field(f.name, *_of_dataclass(f)) for f in dataclasses.fields(cls) if f.init)
    if _is_typed_dict(cls):
        return tuple(field(name, _is_required(cls, name, hint)) for name, hint in hints.items())
    defaults: dict[str, Any] = cls._field_defaults
    return tuple(field(name, name not in defaults, defaults.get(name, UNSET)) for name in cls._fields)


def substituted(hint: Any, bound: Mapping[Any, Any]) -> Any:
    """The hint with a generic class's parameters replaced by what they stand for."""
    if isinstance(hint, TypeVar):
        return bound.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if not bound or not parameters or isinstance(hint, type):
        return hint
    return hint[tuple(bound.get(parameter, parameter) for parameter in parameters)]


def description_of(cls: type) -> str | None:
    """A class's own docstring; not what it inherits, nor the signature that dataclasses and NamedTuples get."""
    text = vars(cls).get("__doc__")
    if not isinstance(text, str) or text.startswith(f"{cls.__name__}("):
        return None
    return inspect.cleandoc(text) or None


def _of_dataclass(field: dataclasses.Field[Any]) -> tuple[bool, Any]:
    """Whether it is required, and its default."""
    if field.default is not dataclasses.MISSING:
        return False, field.default
    return field.default_factory is dataclasses.MISSING, UNSET


def _is_required(cls: Any, name: str, hint: Any) -> bool:
    """What `Required` and `NotRequired` say; `__required_keys__` overlooks them where annotations are strings."""
    origin = typing.get_origin(hint)
    if origin in (typing.Required, typing.NotRequired):
        return origin is typing.Required
    return name in cls.__required_keys__


def _is_typed_dict(cls: type) -> bool:
    """`typing.is_typeddict` does not know those of typing_extensions."""
    return issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields") and hasattr(cls, "_field_defaults")
