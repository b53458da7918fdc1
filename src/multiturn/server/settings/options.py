"""`Option`: one key of the settings, as the file, a flag and a variable name it, and what its value must be."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect as types

from multiturn.errors import InvalidInput
from multiturn.server.settings.checks import check_fields
from multiturn.server.settings.values import ServerSettings
from multiturn.server.upstreams import Route, Upstream

T = TypeVar("T", bound=msgspec.Struct)

TABLES: dict[str, type[msgspec.Struct]] = {"upstreams": Upstream, "routes": Route}
"""Keys that hold tables of their own."""

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Option(NamedTuple):
    """`key` is its place in the file, as `limits.body_bytes`; `default` is None where it depends, and `doc` says on
    what."""

    key: str
    type: Any
    default: Any
    doc: str

    @property
    def flag(self) -> str:
        return "--" + self.key.replace(".", "-").replace("_", "-")

    @property
    def variable(self) -> str:
        return "MULTITURN_" + self.key.replace(".", "_").upper()

    @property
    def is_switch(self) -> bool:
        return bool in (self.type, *get_args(self.type))

    @property
    def wants(self) -> str:
        """What its value must be, in words."""
        if self.key in TABLES:
            return "JSON"
        if get_origin(self.type) is Literal:
            *others, last = get_args(self.type)
            return f"{', '.join(others)} or {last}"
        return _wanted(types.type_info(self.type))

    def parsed(self, text: str, at: str) -> Any:
        """The value that a flag or a variable holds as text; `at` names it. Raises `InvalidInput`."""
        value: Any = text
        if self.key in TABLES:
            try:
                value = msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise InvalidInput(f"{at} must be JSON, as {_EXAMPLES[self.key]}: {error}") from error
        elif self.is_switch:
            value = _WORDS.get(text.strip().lower(), text)
        elif isinstance(types.type_info(self.type), types.VarTupleType):
            value = [piece.strip() for piece in text.split(",") if piece.strip()]
        return self.checked(value, at, strict=False)

    def checked(self, value: object, at: str, *, strict: bool = True) -> Any:
        """The value, of the right type. Raises `InvalidInput`."""
        if self.key in TABLES:
            return _tables(self.key, value, at)
        try:
            return msgspec.convert(value, self.type, strict=strict)
        except msgspec.ValidationError:
            hint = ""
            if str(value).startswith("tcp://"):  # kubernetes.io/docs/concepts/services-networking/service
                hint = "; Kubernetes sets this for a service of that name, unless enableServiceLinks is false"
            raise InvalidInput(f"{at} must be {self.wants}, not {value!r}{hint}") from None


_EXAMPLES = {
    "upstreams": '{"gpu": {"urls": ["http://gpu:8000/v1"]}}',
    "routes": '[{"match": "gpt-*", "to": "gpu"}]',
}


@functools.cache
def options() -> tuple[Option, ...]:
    """Every one, in the order in which they are declared."""
    return tuple(_options_of(ServerSettings, ""))


def sections() -> dict[str, type[msgspec.Struct]]:
    """The tables of the file that only hold other options, by name."""
    return {
        field.name: field.type
        for field in msgspec.structs.fields(ServerSettings)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
    }


def _options_of(struct: type[msgspec.Struct], prefix: str) -> Iterator[Option]:
    docs = docs_of(struct)
    for field in msgspec.structs.fields(struct):
        if field.name in sections() and not prefix:
            yield from _options_of(field.type, f"{field.name}.")
        else:
            default = None if field.default is msgspec.NODEFAULT else field.default
            yield Option(prefix + field.name, field.type, default, docs[field.name])


def docs_of(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What stands under each field in the source, on one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(tree, ast.ClassDef)
    docs = {}
    for field, below in pairwise(tree.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            docs[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return docs


def _wanted(type: types.Type) -> str:
    match type:
        case types.UnionType(types=members):
            return _wanted(next(member for member in members if not isinstance(member, types.NoneType)))
        case types.BoolType():
            return "true or false"
        case types.IntType(ge=least, le=most):
            return "a whole number" + _range(least, most)
        case types.FloatType(ge=least, le=most):
            return "a number" + _range(least, most)
        case types.VarTupleType():
            return "a list of texts"
        case _:
            return "text"


def _range(least: float | None, most: float | None) -> str:
    if most is not None:
        return f" from {least} to {most}"
    return f" from {least} up" if least is not None else ""


# --- tables ---------------------------------------------------------------------------------------------------------


def _tables(key: str, value: object, at: str) -> tuple[Any, ...]:
    """The upstreams or routes of this value: a table of tables by name, or a list of tables."""
    if key == "upstreams":
        if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
            raise InvalidInput(f"{at} must be tables by name, as in [upstreams.gpu]")
        return tuple(_upstream(name, table, f"{at}.{name}") for name, table in value.items())
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise InvalidInput(f"{at} must be a list of tables, as in [[routes]]")
    return tuple(_converted(table, Route, f"{at}[{n}]") for n, table in enumerate(value, start=1))


def _upstream(name: str, table: dict[str, Any], at: str) -> Upstream:
    check_fields(table, Upstream, f"{at}.", but="name")
    return _converted({"name": name, **table}, Upstream, at)


def _converted(table: dict[str, Any], struct: type[T], at: str) -> T:
    check_fields(table, struct, f"{at}.")
    try:
        return msgspec.convert(table, struct)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise InvalidInput(f"{at}{where.rstrip('`')}: {what}") from error
