"""`Tool`: a function and what a model is told of it; `tool`, which makes one; `by_name`, which tells them apart."""

from __future__ import annotations

import copy
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeAlias, TypedDict, TypeVar, Unpack, cast, get_args, overload

import msgspec

from multiturn.errors import InvalidInput
from multiturn.messages import ToolCall
from multiturn.request import ToolSpec
from multiturn.tools import signature
from multiturn.tools.arguments import Arguments, FromSchema, FromSignature, InvalidArguments
from multiturn.tools.context import ToolContext
from multiturn.tools.failures import Errors, ToolFailed

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")

Approval: TypeAlias = bool | Callable[[dict[str, Any]], bool]

MAX_RESULT_BYTES = 256 * 1024
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Options(TypedDict, total=False):
    """What may be said of a tool beside its function; `Tool` says what each means."""

    strict: bool | None
    approval: Approval
    repeatable: bool
    timeout_s: float | None
    errors: Errors
    max_result_bytes: int


class Tool(Generic[P, R]):
    """A function that a model may call; in Python it is called as the function is.

    `parameters` is a JSON schema for the arguments, which are then checked as far as `tools.checking` says and passed
    by name; None takes the function's own types, and a `description` of None its docstring. A `func` of None is run
    elsewhere: whoever runs it gives its result. Raises `InvalidInput` for what no provider would take, or no model
    could fill.

    - `strict`: the schema as OpenAI's strict mode wants it; the nulls that it asks for are left out again.
    - `approval`: whether somebody must agree first, or a function of the arguments, by name, that says so.
    - `repeatable`: whether to call again where a crash leaves open if the first call was made.
    - `timeout_s`: seconds until the model is told that it took too long. An async function is cancelled. A sync one
      runs on in its thread, for nothing can stop it; what comes of it is dropped.
    - `errors`: how much of an exception the model reads, see `failures.Errors`.
    - `max_result_bytes`: of text; what is beyond is cut, and a line says how much.
    """

    __name__: str  # the function's, as its docstring and its signature are

    def __init__(
        self,
        name: str,
        description: str | None,
        parameters: Mapping[str, Any] | msgspec.Raw | bytes | None,
        func: Callable[P, R] | None,
        *,
        strict: bool | None = None,
        approval: Approval = False,
        repeatable: bool = False,
        timeout_s: float | None = None,
        errors: Errors = "message",
        max_result_bytes: int = MAX_RESULT_BYTES,
    ) -> None:
        if func is not None:
            functools.update_wrapper(cast("Callable[P, R]", self), func, updated=())
        self.name = _checked(name, timeout_s, errors, max_result_bytes)
        self.func = func
        self.strict = strict
        self.approval = approval
        self.repeatable = repeatable
        self.timeout_s = timeout_s
        self.errors = errors
        self.max_result_bytes = max_result_bytes
        self.is_async = func is not None and _is_async(func)
        try:
            self._signature = _signature(func, loosely=parameters is not None)
            self.arguments = _arguments(parameters, self._signature, bool(strict))
        except InvalidInput as error:
            raise InvalidInput(f"tool {name!r}: {error}") from error
        self.description = self._signature.description if description is None else description

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function()(*args, **kwargs)

    def _function(self) -> Callable[P, R]:
        if self.func is None:
            raise ToolFailed(f"{self.name} is not run here")
        return self.func

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    @overload
    def __get__(self, instance: None, owner: type) -> Tool[P, R]: ...
    @overload
    def __get__(self: Tool[Concatenate[Any, Q], R], instance: object, owner: type | None = None) -> Tool[Q, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """A tool in a class is a method, if its first parameter is `self` or `cls`."""
        return self if instance is None or not self.is_method else self._bound(instance)

    def _bound(self, instance: object) -> Tool[..., R]:
        made = copy.copy(cast("Tool[..., R]", self))
        made.func = MethodType(self._function(), instance)
        made._signature = msgspec.structs.replace(self._signature, is_method=False)
        return made

    @property
    def is_method(self) -> bool:
        """Whether it still waits for the instance that it is a method of."""
        return self._signature.is_method

    @property
    def says_none(self) -> bool:
        """Whether the function says `-> None`."""
        return self._signature.says_none

    @property
    def spec(self) -> ToolSpec:
        """What a model is told."""
        return ToolSpec(self.name, self.description, self.arguments.schema, self.strict)

    def read(self, text: str) -> dict[str, Any]:
        """The arguments by name, as the function takes them. Raises `InvalidArguments`, and nothing else."""
        try:
            return self.arguments.read(text)
        except InvalidArguments:
            raise
        except RecursionError:
            raise InvalidArguments("the arguments are nested too deeply") from None
        except Exception as error:  # from a default's factory, or a schema that is none
            raise InvalidArguments(f"the arguments cannot be read: {type(error).__name__}: {error}") from error

    def needs_approval(self, call: ToolCall) -> bool:
        """Whether somebody must agree to this call. Never for arguments that do not fit, since nothing is called then;
        always where the function that is to say so fails."""
        try:
            values = self.read(call.arguments)
        except InvalidArguments:
            return False
        if not callable(self.approval):
            return self.approval
        try:
            return bool(self.approval(values))
        except Exception:  # asked once too often is better than once too few
            return True

    def bind(self, values: dict[str, Any], context: ToolContext) -> Callable[[], R]:
        """The call of the function with these values by name, ready to be made. Raises `ToolFailed` without one."""
        if self._signature.context:
            values = {**values, self._signature.context: context}
        by_position = [values[name] for name in self._signature.positional if name in values]
        by_name = {name: value for name, value in values.items() if name not in self._signature.positional}
        return functools.partial(cast("Callable[..., R]", self._function()), *by_position, **by_name)


AnyTool: TypeAlias = Tool[..., Any]


def _checked(name: str, timeout_s: float | None, errors: Errors, max_result_bytes: int) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"a tool cannot be called {name!r}; give a name of 1 to 64 letters, digits, _ and -: tool(name=…)"
        )
    if timeout_s is not None and timeout_s <= 0:
        raise InvalidInput(f"tool {name!r}: timeout_s must be more than 0, not {timeout_s}; None waits for ever")
    if errors not in get_args(Errors):
        raise InvalidInput(f"tool {name!r}: errors is one of {', '.join(get_args(Errors))}, not {errors!r}")
    if max_result_bytes < 1:
        raise InvalidInput(f"tool {name!r}: max_result_bytes must be at least 1, not {max_result_bytes}")
    return name


def _signature(func: Callable[..., Any] | None, *, loosely: bool) -> signature.Signature:
    if func is None and not loosely:
        raise InvalidInput("without a function it needs `parameters`, a JSON schema")
    return signature.read_loosely(func) if func is None or loosely else signature.read(func)


def _arguments(
    parameters: Mapping[str, Any] | msgspec.Raw | bytes | None, seen: signature.Signature, strict: bool
) -> Arguments:
    if parameters is None:
        return FromSignature(seen, strict=strict)
    return FromSchema(parameters, strict=strict, reserved=seen.reserved)


def _is_async(func: Callable[..., Any]) -> bool:
    """Whether calling it costs nothing, since what it does is done by awaiting or iterating what it gives back."""
    plain = func.func if isinstance(func, functools.partial) else func
    call = plain if inspect.isroutine(plain) or isinstance(plain, type) else type(plain).__call__
    return any(map(inspect.iscoroutinefunction, (func, call))) or any(map(inspect.isasyncgenfunction, (func, call)))


# --- making tools ---------------------------------------------------------------------------------------------------


@overload
def tool(
    func: Callable[P, R], /, *, name: str = ..., description: str = ..., **options: Unpack[Options]
) -> Tool[P, R]: ...
@overload
def tool(
    *, name: str = ..., description: str = ..., **options: Unpack[Options]
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    **options: Unpack[Options],
) -> Any:
    """The function as a `Tool`: its name, its docstring and its types are what a model is told.

    Bare (`@tool`), with options (`@tool(approval=True)`) or as a call (`tool(shop.search, name="search_shop")`), for
    functions sync and async, methods, callable objects, partials and classes. Raises `InvalidInput`.
    """
    if func is None:
        return functools.partial(tool, name=name, description=description, **options)
    if not callable(func):
        raise InvalidInput(f"a tool is made of something to call, not of {func!r}; @classmethod goes above @tool")
    return Tool(name or _name_of(func), description, None, func, **options)


def _name_of(func: Any) -> str:
    if isinstance(func, functools.partial):
        return _name_of(func.func)
    return getattr(func, "__name__", type(func).__name__)


def by_name(tools: Iterable[AnyTool | Callable[..., Any]]) -> dict[str, AnyTool]:
    """The tools by their names, in the order given; plain functions are made tools. Raises `InvalidInput` for two of
    one name, and for a method without its instance."""
    found: dict[str, AnyTool] = {}
    for each in tools:
        made = _as_tool(each)
        if made.is_method:
            raise InvalidInput(
                f"tool {made.name!r} is a method without its instance; give that of one: shop.{made.name}"
            )
        if made.name in found:
            raise InvalidInput(f"two tools are called {made.name!r}; give one of them another name: tool(name=…)")
        found[made.name] = made
    return found


def _as_tool(given: Any) -> AnyTool:
    if isinstance(given, MethodType) and isinstance(given.__func__, Tool):  # a class method, from Python 3.13 on
        return given.__func__._bound(given.__self__)
    return given if isinstance(given, Tool) else tool(given)
