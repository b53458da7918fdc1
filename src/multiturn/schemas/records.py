"""Objects with named fields: dataclasses, msgspec Structs, TypedDicts and NamedTuples."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import NODEFAULT, UNSET

from multiturn.schemas.keywords import Schema, one_of
from multiturn.schemas.kinds import Choice, Kind, read_each
from multiturn.schemas.mismatch import Mismatch, Problem, expected, there_are
from multiturn.schemas.names import Names

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


@dataclasses.dataclass(frozen=True)
class Field:
    """`key` in JSON, `name` in Python. A field that is not required may be left out; `default` is only told, and the
    `description` only where the kind has none."""

    name: str
    key: str
    kind: Kind
    required: bool = True
    default: Any = UNSET
    description: str = ""

    def is_in(self, value: dict[str, Any]) -> bool:
        """Whether the object has it."""
        return self.key in value and not (value[self.key] is None and self.null_stands_for_nothing)

    @cached_property
    def null_stands_for_nothing(self) -> bool:
        """Strict schemas have no other way to leave a field out."""
        try:
            self.kind.read(None)
        except Mismatch:
            return not self.required
        return False

    def schema(self, names: Names) -> Schema:
        schema = self.kind.schema(names)
        if self.description:
            schema.setdefault("description", self.description)
        if self.default is not UNSET:
            with suppress(TypeError, ValueError, RecursionError):  # a default that JSON cannot say
                schema["default"] = msgspec.to_builtins(self.default, str_keys=True)
        return schema


class Record:
    """An object. `build` makes the Python value of the fields that are there; a ValueError, TypeError or
    AssertionError of its own, as of a `__post_init__`, is a mismatch. A `closed` one takes no other keys; one with
    `others` takes what is of this kind, and `build` gets it too."""

    fields: tuple[Field, ...] = ()
    """Set once, before the record is used."""

    def __init__(
        self,
        name: str,
        build: Callable[[dict[str, Any]], Any],
        *,
        description: str | None = None,
        tag: Tag | None = None,
        closed: bool = False,
        others: Kind | None = None,
    ) -> None:
        self.name = name
        self.wanted = f"an object ({name})"
        self._build = build
        self._description = description
        self._tag = tag
        self._closed = closed
        self._others = others

    @cached_property
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
        tags = {tag[0]: one_of(tag[1])} if tag else {}
        required = [*tags, *(field.key for field in self.fields if field.required)]
        others = (self._others.schema(names) or True) if self._others else False
        return {
            **({"description": self._description} if self._description else {}),
            "type": "object",
            "properties": {**tags, **{field.key: field.schema(names) for field in self.fields}},
            **({"required": required} if required else {}),
            **({"additionalProperties": others} if self._closed or self._others else {}),
        }

    def read(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise expected(self.wanted, value)
        there = [field for field in self.fields if field.is_in(value)]
        parts = [(field.key, field.kind, value[field.key]) for field in there]
        more = [(key, self._others, value[key]) for key in self._unknown(value)] if self._others else []
        read = read_each([*parts, *more], but=list(self._wrong_keys(value)))
        try:
            return self._build({field.name: read[field.key] for field in there} | {key: read[key] for key, *_ in more})
        except (ValueError, TypeError, AssertionError) as error:
            raise Mismatch(Problem((), str(error) or repr(error))) from error

    def _unknown(self, value: dict[str, Any]) -> list[str]:
        keys = self.keys
        return [key for key in value if key not in keys]

    def _wrong_keys(self, value: dict[str, Any]) -> Iterator[Problem]:
        for field in self.fields:
            if field.required and field.key not in value:
                yield Problem((field.key,), f"is missing, expected {field.kind.wanted}")
        if self._tag and value.get(self._tag[0], self._tag[1]) != self._tag[1]:
            yield from expected(f'"{self._tag[1]}"', value[self._tag[0]]).under(self._tag[0])
        if self._closed:
            yield from (Problem((key,), f"is unknown; {there_are(self.keys)}") for key in self._unknown(value))


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
