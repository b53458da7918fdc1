"""What an API's part of the document is made of: operations, and the shapes that they take and give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

Json: TypeAlias = dict[str, Any]
Shape: TypeAlias = Any
"""A type that msgspec knows, the name of a schema of Open Responses, or a tuple of several."""

REF = "#/components/schemas/"
_PART = re.compile(r"\{(\w+)\}")


class Query(NamedTuple):
    """A parameter behind the question mark."""

    name: str
    shape: Shape
    what: str


class Operation(NamedTuple):
    """One route with one method. `events` is the shape of each event where the answer can be a stream; `asks` says
    whether a model is asked, so that its failures can be answers too; `media_type` is that of an answer that is no
    JSON."""

    method: str
    path: str
    id: str
    summary: str
    answer: Shape
    body: Shape = None
    is_body_required: bool = True
    events: Shape = None
    query: tuple[Query, ...] = ()
    asks: bool = False
    failures: tuple[int, ...] = ()
    media_type: str = "application/json"


class Api(NamedTuple):
    """Some operations, whose own shapes have names that begin with `prefix`, and what their errors look like; None
    where there are none, and no key is wanted."""

    tag: str
    operations: Sequence[Operation]
    error: Shape = None
    prefix: str = ""

    def paths(self) -> Json:
        """Its part of the document's `paths`."""
        paths: Json = {}
        for operation in self.operations:
            paths.setdefault(operation.path, {})[operation.method.lower()] = self._operation(operation)
        return paths

    def schemas(self) -> Json:
        """The schemas of all its own shapes, by their names in the document."""
        shapes = [self.error, *(shape for operation in self.operations for shape in _shapes(operation))]
        types = [type for shape in shapes for type in _types(shape)]
        _, schemas = msgspec.json.schema_components(types, ref_template=f"{REF}{self.prefix}{{name}}")
        return {f"{self.prefix}{name}": schema for name, schema in schemas.items()}

    def _schema(self, shape: Shape) -> Json:
        if isinstance(shape, str):
            return {"$ref": f"{REF}{shape}"}
        if isinstance(shape, tuple):
            return {"anyOf": [self._schema(each) for each in shape]}
        (schema,), _ = msgspec.json.schema_components([shape], ref_template=f"{REF}{self.prefix}{{name}}")
        return schema

    def _operation(self, operation: Operation) -> Json:
        made: Json = {"tags": [self.tag], "operationId": operation.id, "summary": operation.summary}
        in_path: list[Json] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in _PART.findall(operation.path)
        ]
        in_query: list[Json] = [
            {"name": query.name, "in": "query", "description": query.what, "schema": self._schema(query.shape)}
            for query in operation.query
        ]
        if in_path or in_query:
            made["parameters"] = in_path + in_query
        if operation.body is not None:
            content = {"application/json": {"schema": self._schema(operation.body)}}
            made["requestBody"] = {"required": operation.is_body_required, "content": content}
        made["responses"] = self._answers(operation)
        return made if self.error is not None else {**made, "security": []}

    def _answers(self, operation: Operation) -> Json:
        content: Json = {operation.media_type: {"schema": self._schema(operation.answer)}}
        if operation.events is not None:
            content["text/event-stream"] = {"schema": self._schema(operation.events)}
        answers: Json = {"200": {"description": "What was asked for", "content": content}}
        for status in operation.failures:
            answers[str(status)] = {"description": "The same, where it is not well", "content": content}
        if self.error is None:
            return answers
        told = {"application/json": {"schema": self._schema(self.error)}}
        answers["4XX"] = {"description": "What the request has to be changed in, or when to come again"}
        answers["503"] = {"description": "This process is being stopped; another one answers"}
        if operation.asks:
            answers["502"] = {"description": "The model failed"}
            answers["504"] = {"description": "The model did not answer in time"}
        return {status: {"content": told, **answer} for status, answer in answers.items()}


def _shapes(operation: Operation) -> list[Shape]:
    return [operation.answer, operation.body, operation.events, *(query.shape for query in operation.query)]


def _types(shape: Shape) -> Iterator[Any]:
    for each in shape if isinstance(shape, tuple) else (shape,):
        if each is not None and not isinstance(each, str):
            yield each
