"""One type's way in: from a model's JSON to the value that a function takes, and the type's JSON schema.

msgspec reads whatever it knows. Pydantic reads a type with anything of pydantic's inside, and what msgspec does not
know (a `Path`, a union of dataclasses); it is imported only then. Each keeps to its own rules, so that pydantic takes
`"5"` for an int where its model allows it, and msgspec does not.
"""

from __future__ import annotations

import dataclasses
import datetime
import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Protocol, TypeAlias, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from multiturn.errors import InvalidInput
from multiturn.tools.checking import Problem
from multiturn.tools.schemas import Schema

_REF = "#/$defs/{name}"

Hint: TypeAlias = Any
"""A type as an annotation says it."""


class Wrong(Exception):
    """The value is not of the type; `problems` say where, as seen from the value."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


class Codec(Protocol):
    def decode(self, data: msgspec.Raw) -> object:
        """The value. Raises `Wrong`, and whatever a type's own checks raise beyond `ValueError` and `TypeError`."""
        ...


def codec_of(hint: Hint) -> Codec:
    """Raises `InvalidInput` for a type that neither library can read from JSON."""
    why = ""
    try:
        if not _has_pydantic(hint, {}):
            return _Msgspec(hint)
    except (TypeError, NameError) as error:
        why = str(error).splitlines()[-1]
    try:
        return _Pydantic(hint)
    except ImportError:
        pass
    except Exception as error:  # pydantic's errors for a type have no common class
        why = str(error).splitlines()[0]
    raise InvalidInput(f"a {_named(hint)} cannot be read from JSON: {why}")


def schemas_of(codecs: Sequence[Codec]) -> tuple[list[Schema], dict[str, Schema]]:
    """Each codec's schema, in order, and the `$defs` that they refer to."""
    by_msgspec = [codec.hint for codec in codecs if isinstance(codec, _Msgspec)]
    schemas, definitions = msgspec.json.schema_components(by_msgspec, ref_template=_REF)
    others, more = _pydantic_schemas([codec.adapter for codec in codecs if isinstance(codec, _Pydantic)], definitions)
    each = {True: iter(schemas), False: iter(others)}
    return [next(each[isinstance(codec, _Msgspec)]) for codec in codecs], {**definitions, **more}


# --- msgspec --------------------------------------------------------------------------------------------------------


class _Msgspec:
    def __init__(self, hint: Hint) -> None:
        """Raises `TypeError` for a type that msgspec does not know."""
        self.hint = _with_format(hint)
        msgspec.json.schema_components([self.hint])  # a decoder alone takes any type, and then refuses every value
        self._decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder(self.hint)

    def decode(self, data: msgspec.Raw) -> object:
        try:
            return self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError among them
            text, _, where = str(error).partition(" - at `$")
            if where.startswith("`"):
                where = ""
            raise Wrong([Problem(where.removesuffix("`"), text)]) from error


_FORMATS = {datetime.datetime: "date-time", datetime.time: "time"}


def _with_format(hint: Hint) -> Hint:
    """msgspec calls a datetime a string and no more, for it takes one without a zone too; a model wants to know."""
    origin: Any = get_origin(hint)
    args = get_args(hint)
    if isinstance(hint, type) and hint in _FORMATS:
        return Annotated[hint, msgspec.Meta(extra_json_schema={"format": _FORMATS[hint]})]
    if origin in (Union, types.UnionType):
        return Union[tuple(_with_format(arg) for arg in args)]  # noqa: UP007
    if origin is list:
        return types.GenericAlias(list, (_with_format(args[0]),))
    if origin is Annotated:
        return Annotated[(_with_format(args[0]), *args[1:])]
    return hint


# --- pydantic -------------------------------------------------------------------------------------------------------


class _Pydantic:
    def __init__(self, hint: Hint) -> None:
        """Raises `ImportError` without pydantic, and pydantic's own errors."""
        from pydantic import TypeAdapter

        self.adapter: TypeAdapter[object] = TypeAdapter(hint)
        self.adapter.json_schema()

    def decode(self, data: msgspec.Raw) -> object:
        from pydantic import ValidationError

        try:
            return self.adapter.validate_json(bytes(data))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            raise Wrong([Problem(_path(each["loc"]), each["msg"]) for each in found]) from error


def _path(steps: Sequence[int | str]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _pydantic_schemas(adapters: Sequence[Any], taken: dict[str, Schema]) -> tuple[list[Schema], dict[str, Schema]]:
    if not adapters:
        return [], {}
    from pydantic import TypeAdapter

    inputs: Any = [(n, "validation", adapter) for n, adapter in enumerate(adapters)]
    schemas, rest = TypeAdapter.json_schemas(inputs, ref_template="#/$defs/{model}")
    if taken.keys() & rest.get("$defs", {}).keys():  # two types of one name, one of them msgspec's
        schemas, rest = TypeAdapter.json_schemas(inputs, ref_template="#/$defs/{model}_")
        rest = {"$defs": {f"{name}_": inner for name, inner in rest["$defs"].items()}}
    return [schemas[n, "validation"] for n in range(len(adapters))], rest.get("$defs", {})


def _has_pydantic(hint: Hint, seen: dict[int, Hint]) -> bool:
    """Whether pydantic, or a constraint that only pydantic keeps to, is anywhere inside."""
    if id(hint) in seen:
        return False
    seen[id(hint)] = hint
    if _is_pydantic(hint) or any(_is_pydantic(type(mark)) for mark in getattr(hint, "__metadata__", ())):
        return True
    return any(_has_pydantic(inner, seen) for inner in _inside(hint))


def _is_pydantic(kind: Hint) -> bool:
    if not isinstance(kind, type):
        return False
    homes = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return bool(homes & {"pydantic", "annotated_types"}) or any(
        hasattr(kind, mark) for mark in ("__get_pydantic_core_schema__", "__is_pydantic_dataclass__")
    )


def _inside(hint: Hint) -> Iterator[Hint]:
    """The types that this one is made of."""
    yield from get_args(hint)
    yield from filter(None, [get_origin(hint), getattr(hint, "__value__", None)])  # the latter of `type X = …`
    if isinstance(hint, type) and (_has_fields(hint) or is_typeddict(hint)):
        yield from get_type_hints(hint, include_extras=True).values()


def _has_fields(kind: type) -> bool:
    is_named_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return is_named_tuple or issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind)


def _named(hint: Hint) -> str:
    return hint.__qualname__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")
