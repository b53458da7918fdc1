"""`Output`: a type of the user's as an answer's schema, and the typed value of an answer."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Generic, TypeVar, overload

import msgspec

from multiturn.output.found import NoJson, found_in
from multiturn.output.partial import Partial
from multiturn.request import OutputSchema, ToolSpec
from multiturn.schemas import WRAPPED, Decoder, Mismatch, NotStrict, plain_name, strict

T = TypeVar("T")

TOOL = "final_answer"
_WANTED = "Answer with one JSON object that fits the schema, and nothing else."


class InvalidOutput(Exception):
    """An answer that is not of the type. `problem` tells whoever wrote it what is wrong and where, to be mended."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class Output(Generic[T]):
    """What `output_of` makes: everything about answers of one type. Keeps nothing between answers."""

    def __init__(self, type: Any) -> None:
        self.type = type
        self._decoder: Decoder[T] = Decoder(type, wrap=True)

    def __repr__(self) -> str:
        return f"Output({self.type!r})"

    @cached_property
    def schema(self) -> OutputSchema:
        """What a provider with a JSON mode is given: strict, unless the type has something that strict schemas cannot
        say, such as a dict with free keys."""
        decoder = self._decoder
        try:
            schema, is_strict = strict(decoder.schema), True
        except NotStrict:
            schema, is_strict = decoder.schema, False
        return OutputSchema(
            schema=msgspec.Raw(msgspec.json.encode(schema)),
            name=plain_name(decoder.name),
            description=decoder.description,
            strict=is_strict,
        )

    def as_tool(self) -> ToolSpec:
        """The tool to force on a model that has tools but no schemas for answers; its arguments are the answer."""
        assert self.schema.schema is not None
        asked = "Give the final answer."
        return ToolSpec(
            name=TOOL,
            description=f"{asked} {self.schema.description}" if self.schema.description else asked,
            parameters=self.schema.schema,
            strict=self.schema.strict,
        )

    def instruction(self) -> str:
        """What to tell a model that has neither."""
        assert self.schema.schema is not None
        return (
            "Answer with one JSON object and nothing else: no words before or after it, no code fence. "
            f"It must fit this JSON schema:\n{bytes(self.schema.schema).decode()}"
        )

    def decode(self, text: str) -> T:
        """The value of an answer, which may stand in a fence or among words: of several JSON values the first that
        fits. Raises `InvalidOutput`, whose problem is that of the fullest."""
        try:
            found = found_in(text)
        except NoJson as error:
            raise InvalidOutput(f"The answer cannot be read: {error}. {_WANTED}") from error
        problems: list[tuple[int, Mismatch]] = []
        for value in found:
            try:
                return self._decoder.decode(self._wrapped(value, alone=len(found) == 1))
            except Mismatch as error:
                problems.append((len(str(value)), error))
            except RecursionError as error:
                raise InvalidOutput("The answer is nested too deep.") from error
        _, worst = max(problems, key=lambda problem: problem[0])
        raise InvalidOutput(f"The answer does not fit the schema. {worst}") from worst

    def partial(self) -> Partial:
        """Reads one answer as it streams in."""
        return Partial(objects=True, key=WRAPPED if self._decoder.wrapped else None)

    def _wrapped(self, value: Any, *, alone: bool) -> Any:
        """Models without a JSON mode tend to forget the wrapping."""
        forgotten = self._decoder.wrapped and alone and not (isinstance(value, dict) and WRAPPED in value)
        return {WRAPPED: value} if forgotten else value


@overload
def output_of(type: type[T]) -> Output[T]: ...
@overload
def output_of(type: Any) -> Output[Any]: ...
def output_of(type: Any) -> Output[Any]:
    """The `Output` of a dataclass, pydantic model, msgspec Struct, TypedDict, NamedTuple, Enum, Literal, str, int,
    float or bool, or of lists, dicts and unions of these. Raises `InvalidInput` for any other type."""
    return Output(type)
