"""A function's parameters as a model has to fill them: names, types, defaults, and what is said of them."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from multiturn.errors import InvalidInput
from multiturn.tools import docstrings
from multiturn.tools.context import ToolContext

Hint: TypeAlias = Any
"""A type as an annotation says it."""

_P = inspect.Parameter


class Parameter(msgspec.Struct, frozen=True):
    """One that the model fills. It must where there is no way to `make_default`; `default` is only told."""

    name: str
    hint: Hint
    default: Any = UNSET
    make_default: Callable[[], Any] | None = None
    description: str = ""


class Signature(msgspec.Struct, frozen=True):
    """`parameters` are those that the model sees; `positional` names those that go by position, in order; `context` the
    one that takes the `ToolContext`. `extra` is the type of `**kwargs`, None without; `reserved` are names that may not
    come in through it. `is_method`: its first parameter waits for an instance."""

    parameters: tuple[Parameter, ...] = ()
    description: str = ""
    positional: tuple[str, ...] = ()
    context: str | None = None
    extra: Hint | None = None
    reserved: frozenset[str] = frozenset()
    is_method: bool = False
    says_none: bool = False


def read(func: Callable[..., Any]) -> Signature:
    """Raises `InvalidInput` for a function that a model cannot call by names: one with `*args`, one whose parameters
    cannot be seen, one with an annotation that leads nowhere."""
    try:
        signature = inspect.signature(func)
    except (ValueError, TypeError, NameError) as error:
        raise InvalidInput(f"its parameters cannot be seen ({error}); wrap it in a function of your own") from error
    made, seen = _outline(func, signature)
    if any(each.kind is _P.VAR_POSITIONAL for each in seen):
        raise InvalidInput("a model cannot fill `*args`; take a list instead")
    hints = _hints(func, seen)
    doc = docstrings.read(inspect.getdoc(_documented(func)), signature.parameters)
    context = next((name for name, hint in hints.items() if _is_context(hint)), None)
    filled = [each for each in seen if each.name != context and each.kind is not _P.VAR_KEYWORD]
    return replace(
        made,
        parameters=tuple(_parameter(each, hints[each.name], doc) for each in filled),
        description=doc.description,
        context=context,
        extra=next((hints[each.name] for each in seen if each.kind is _P.VAR_KEYWORD), None),
        reserved=frozenset(name for name, each in signature.parameters.items() if each.kind is not _P.VAR_KEYWORD),
    )


def read_loosely(func: Callable[..., Any] | None) -> Signature:
    """As much as a call by a schema of somebody's own needs, of any function: no parameters but the context, and what
    cannot be seen or read is taken as not there."""
    if func is None:
        return Signature()
    try:
        signature = inspect.signature(func)
    except (ValueError, TypeError, NameError):
        return Signature()
    made, seen = _outline(func, signature)
    for each in seen:
        with suppress(InvalidInput):
            if _is_context(_hints(func, [each])[each.name]):
                return replace(made, context=each.name, reserved=made.reserved | {each.name})
    return made


def _outline(func: Callable[..., Any], signature: inspect.Signature) -> tuple[Signature, list[inspect.Parameter]]:
    """What needs no types, and the parameters that are still to be filled: what a partial has filled is none of the
    model's business, and might be a secret."""
    given = func.keywords if isinstance(func, functools.partial) else {}
    is_method = _is_method(func, signature)
    seen = [each for each in [*signature.parameters.values()][is_method:] if each.name not in given]
    made = Signature(
        positional=tuple(each.name for each in seen if each.kind is _P.POSITIONAL_ONLY),
        reserved=frozenset(given),
        is_method=is_method,
        says_none=signature.return_annotation in (None, "None"),
    )
    return made, seen


def _is_method(func: Callable[..., Any], signature: inspect.Signature) -> bool:
    """Whether this is a function of a class body, by the name that everybody gives to its first parameter."""
    first = next(iter(signature.parameters.values()), None)
    named_so = first is not None and first.name in ("self", "cls") and first.annotation is first.empty
    return named_so and inspect.isfunction(inspect.unwrap(func))


def _hints(func: Callable[..., Any], seen: list[inspect.Parameter]) -> dict[str, Hint]:
    """The types by name, references resolved; the type of what comes back is not looked at."""
    written = {each.name: Any if each.annotation is each.empty else each.annotation for each in seen}
    try:
        return get_type_hints(
            types.SimpleNamespace(__annotations__=written), globalns=_names_around(func), include_extras=True
        )
    except (NameError, TypeError, SyntaxError) as error:
        raise InvalidInput(
            f"an annotation cannot be read: {error}; its types must be names of the function's module"
        ) from error


def _names_around(func: Any) -> dict[str, Any]:
    """The module's names where the plain function below partials, methods, wrappers and callable objects stands."""
    if isinstance(func, functools.partial):
        return _names_around(func.func)
    func = inspect.unwrap(func)
    if not inspect.isroutine(func) and not isinstance(func, type):
        func = type(func).__call__
    around: dict[str, Any] | None = getattr(getattr(func, "__func__", func), "__globals__", None)
    return vars(sys.modules[func.__module__]) if around is None and func.__module__ in sys.modules else around or {}


def _documented(func: Any) -> Any:
    """What carries the docstring: a partial has functools' own, a callable object its class's."""
    if isinstance(func, functools.partial):
        return _documented(func.func)
    call = None if inspect.isroutine(func) or isinstance(func, type) else type(func).__call__
    return call if call and call.__doc__ else func


def _is_context(hint: Hint) -> bool:
    origin: Any = get_origin(hint)
    if origin in (Union, types.UnionType, Annotated):
        return any(_is_context(inner) for inner in get_args(hint))
    return isinstance(hint, type) and issubclass(hint, ToolContext)


def _parameter(seen: inspect.Parameter, hint: Hint, doc: docstrings.Doc) -> Parameter:
    made = Parameter(seen.name, hint, description=doc.parameters.get(seen.name, ""))
    if _is_field(seen.default):  # `x: int = Field(5, ge=1)`
        made = replace(made, hint=Annotated[hint, seen.default])
    elif seen.default is not seen.empty:
        hint = _or_none(hint) if seen.default is None else hint
        return replace(made, hint=hint, default=seen.default, make_default=lambda: seen.default)
    field = next((mark for mark in getattr(made.hint, "__metadata__", ()) if _is_field(mark)), None)
    if field is None or field.is_required():
        return made
    return replace(made, make_default=functools.partial(field.get_default, call_default_factory=True))


def _or_none(hint: Hint) -> Hint:
    inner, *notes = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    return Annotated[inner | None, *notes] if notes else inner | None


def _is_field(mark: object) -> bool:
    return type(mark).__module__ == "pydantic.fields"
