"""Which kind a Python type is."""

from __future__ import annotations

import collections.abc as abc
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from multiturn.errors import InvalidInput
from multiturn.schemas.keywords import Schema
from multiturn.schemas.kinds import Anything, Choice, Fixed, Kind, Leaf, Listed, Mapped, Noted, document
from multiturn.schemas.mismatch import shown
from multiturn.schemas.pydantic_types import is_of_pydantic, pydantic_kind
from multiturn.schemas.records import description_of, empty_record, fields_of, is_record, substituted
from multiturn.schemas.unions import OneOf

_LEAVES = (
    str,
    int,
    float,
    bool,
    types.NoneType,
    bytes,
    decimal.Decimal,
    uuid.UUID,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
)
_LISTS: dict[Any, Callable[[Any], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    abc.Sequence: list,
    abc.Collection: list,
    abc.Iterable: list,
    abc.Set: set,
}
_DICTS = (dict, abc.Mapping, abc.MutableMapping)
_WRAPPINGS = (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar)
_USABLE = (
    "use a dataclass, a pydantic model, a msgspec Struct, a TypedDict, a NamedTuple, an Enum, a Literal, str, int, "
    "float, bool, or lists, dicts and unions of these"
)


def kind_of(hint: Any) -> Kind:
    """The kind of a type. Raises `InvalidInput` for a type that JSON has no shape for."""
    return Types().kind(hint)


class Types:
    """Follows types into all they hold; a class is followed once, and is one kind wherever it stands."""

    def __init__(self) -> None:
        self.by_msgspec = True
        """Whether a decoder of msgspec's that takes these types, with `read_class`, reads them as their kinds do: what
        it accepts they accept too, and make the same of it."""
        self._classes: dict[Any, Kind] = {}

    def kind(self, hint: Any) -> Kind:
        """The kind of a type. Raises `InvalidInput` for a type that JSON has no shape for."""
        try:
            return self._kind(hint)
        except RecursionError as error:
            raise InvalidInput(f"{hint!r} refers to itself without a class in between; {_USABLE}") from error

    def read_class(self, cls: Any, value: Any) -> Any:
        """A value of a class that msgspec does not know, for its `dec_hook`. Raises `Mismatch`, and `ValueError` for
        what was not followed as a class."""
        if cls not in self._classes:
            raise ValueError(f"not a class: {cls!r}")
        return self._classes[cls].read(value)

    def _kind(self, hint: Any) -> Kind:
        hint = _bare(hint)
        if not isinstance(hint, abc.Hashable):
            raise InvalidInput(f"{shown(hint)} is not a type; {_USABLE}")
        origin, args = get_origin(hint) or hint, get_args(hint)
        if origin is Annotated:
            return self._annotated(_bare(args[0]), args[1:])
        if origin in (Union, types.UnionType):
            return self._union(args)
        if origin is Literal:
            return Choice([_option(hint, value, value) for value in args])
        if origin in _LISTS:
            return Listed(self._kind(args[0]) if args else Anything(), _LISTS[origin])
        if origin is tuple:
            return self._tuple(args)
        if origin in _DICTS:
            key, item = args or (str, Any)
            return Mapped(self._key(_bare(key)), self._kind(item))
        if hint in (Any, object):
            return Anything()
        if hint in _LEAVES:
            return Leaf(hint, hint)
        if hint not in self._classes:
            self._class(hint, origin, args)
        return self._classes[hint]

    def _union(self, args: tuple[Any, ...]) -> Kind:
        members = [self._kind(arg) for arg in args if arg is not msgspec.UnsetType]
        return members[0] if len(members) == 1 else OneOf(members)

    def _tuple(self, args: tuple[Any, ...]) -> Kind:
        if not args or args[-1] is Ellipsis:
            return Listed(self._kind(args[0]) if args else Anything(), tuple)
        return Fixed([self._kind(arg) for arg in args])

    def _key(self, hint: Any) -> Kind:
        """JSON has only text for keys, so that a number's schema would say what cannot be."""
        if hint in (int, float):
            return Noted(Leaf(hint, hint, is_key=True), {"type": "string"})
        kind = self._kind(hint)
        if document(kind).get("type") != "string":
            raise InvalidInput(
                f"{hint!r} cannot be the keys of an object; use str, int, or a Literal or Enum of strings"
            )
        return kind

    def _class(self, hint: Any, origin: Any, args: tuple[Any, ...]) -> None:
        if is_of_pydantic(hint):
            self._classes[hint] = self._of_pydantic(hint)
        elif is_record(origin):
            self._record(hint, origin, args)
        elif isinstance(origin, enum.EnumMeta) and len(origin):
            members: list[enum.Enum] = list(origin)
            options = [_option(origin, member.value, member) for member in members]
            self._classes[hint] = Choice(options, origin.__name__, description_of(origin))
        elif isinstance(origin, type) and not isinstance(origin, enum.EnumMeta):
            self._classes[hint] = self._foreign(hint)
        else:
            raise InvalidInput(f"there is no JSON schema of {hint!r}; {_USABLE}")

    def _foreign(self, hint: Any) -> Kind:
        """A class that only one of the libraries knows."""
        try:
            return Leaf(hint, hint)
        except TypeError:
            pass
        try:
            return self._of_pydantic(hint)
        except InvalidInput as error:
            raise InvalidInput(f"there is no JSON schema of {hint!r}; {_USABLE}") from error

    def _of_pydantic(self, hint: Any) -> Kind:
        """Of what it would read itself, without pydantic's checks, msgspec does not ask `read_class`."""
        self.by_msgspec &= isinstance(hint, type) and not is_record(hint) and not issubclass(hint, enum.Enum)
        return pydantic_kind(hint)

    def _record(self, hint: Any, origin: Any, args: tuple[Any, ...]) -> None:
        name = "_".join(getattr(part, "__name__", str(part)) for part in (origin, *args))
        self._classes[hint] = record = empty_record(origin, name)
        self.by_msgspec &= not issubclass(origin, tuple)  # NamedTuples are arrays to msgspec
        bound = dict(zip(getattr(origin, "__parameters__", ()), args, strict=False))
        try:
            record.fields = fields_of(origin, self._kind, bound)
        except NameError as error:
            raise InvalidInput(f"the annotations of {name} cannot be resolved: {error}") from error

    def _annotated(self, hint: Any, metadata: tuple[Any, ...]) -> Kind:
        if get_origin(hint) is Annotated:  # behind a NewType or an alias
            hint, metadata = get_args(hint)[0], (*get_args(hint)[1:], *metadata)
        notes: Schema = {}
        for item in metadata:
            notes |= _notes(item)
        if any(type(item).__module__.partition(".")[0] in ("pydantic", "annotated_types") for item in metadata):
            kind = self._of_pydantic(Annotated[hint, *metadata])
            return Noted(kind, notes) if notes else kind
        metas = [item for item in metadata if isinstance(item, msgspec.Meta)]
        try:
            return self._with_metas(hint, metas, notes)
        except TypeError as error:
            raise InvalidInput(f"{Annotated[hint, *metadata]!r} cannot be: {error}") from error

    def _with_metas(self, hint: Any, metas: list[msgspec.Meta], notes: Schema) -> Kind:
        """A leaf is checked by msgspec with its limits; of arrays and objects, the length is."""
        if metas and hint in _LEAVES:
            return Noted(Leaf(Annotated[hint, *metas], hint), notes)
        if metas and get_origin(hint) in (Union, types.UnionType):
            limited = [arg if arg is types.NoneType else Annotated[arg, *metas] for arg in get_args(hint)]
            return Noted(self._union(tuple(limited)), notes)
        kind = self._kind(hint)
        if metas and isinstance(kind, Listed | Mapped):
            check: Any = Annotated[list if isinstance(kind, Listed) else dict, *metas]
            limits = {name: value for name, value in msgspec.json.schema(check).items() if name != "type"}
            return Noted(kind, limits | notes, check)
        return Noted(kind, notes) if notes else kind


def _bare(hint: Any) -> Any:
    """The type itself, without `Required`, `Final`, `NewType` or the name of a type alias around it."""
    while True:
        if get_origin(hint) in _WRAPPINGS:
            hint = get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif isinstance(hint, TypeVar):
            hint = hint.__bound__ or Any
        elif hasattr(hint, "__value__"):  # Python 3.12's `type X = …`
            bound = dict(zip(hint.__type_params__, get_args(hint), strict=False))
            hint = substituted(hint.__value__, bound)
        else:
            return types.NoneType if hint is None else hint


def _notes(item: object) -> Schema:
    """What one piece of `Annotated` metadata tells a reader: a description as text, `Doc` or in a `Meta`."""
    if isinstance(item, msgspec.Meta):
        told = {"title": item.title, "description": item.description, "examples": item.examples}
        return {key: value for key, value in told.items() if value is not None} | (item.extra_json_schema or {})
    text = item if isinstance(item, str) else getattr(item, "documentation", None)
    return {"description": text} if isinstance(text, str) else {}


def _option(hint: Any, value: Any, meant: Any) -> tuple[Any, Any]:
    """(in JSON, in Python)."""
    if isinstance(value, enum.Enum):
        value = value.value
    if not isinstance(value, str | int | float | None):
        raise InvalidInput(f"{hint!r} has the value {shown(value)}; JSON has only text, numbers, booleans and null")
    for plain in (bool, int, float, str):
        if isinstance(value, plain):  # of an IntEnum, an `int` without a name
            return plain(value), meant
    return None, meant
