"""JSON schemas of Python types, and values of these types out of JSON.

For whatever a model is asked to write: typed answers and the arguments of tools. Nothing here knows a model.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

from multiturn.schemas.kinds import Kind, document
from multiturn.schemas.mismatch import Mismatch as Mismatch
from multiturn.schemas.names import plain_name as plain_name
from multiturn.schemas.records import Field, Record
from multiturn.schemas.strict import NotStrict as NotStrict
from multiturn.schemas.strict import strict as strict
from multiturn.schemas.types import kind_of

T = TypeVar("T")

WRAPPED = "answer"
"""The key under which a value stands that is not an object by itself."""


class Decoder(Generic[T]):
    """Reads values of one type out of plain data. Made once for a type; raises `InvalidInput` for one that JSON has no
    shape for. With `wrap`, what is not an object stands in one, as {"answer": …}, in the schema and in the values."""

    def __init__(self, type: Any, *, wrap: bool = False) -> None:
        self._kind: Kind = kind_of(type)
        self.schema = document(self._kind)
        """The JSON schema, draft 2020-12."""
        self.name: str = getattr(self._kind, "name", "")
        self.description: str | None = self.schema.get("description")
        self.wrapped = wrap and self.schema.get("type") != "object"
        if self.wrapped:
            inner, self._kind = self._kind, Record(WRAPPED, lambda fields: fields[WRAPPED])
            self._kind.fields = (Field(WRAPPED, WRAPPED, inner),)
            self.schema = document(self._kind)

    def decode(self, value: Any) -> T:
        """The typed value of plain data. A null where a field with a default cannot be null leaves the field out.
        Raises `Mismatch` with all that is wrong; what the user's own validators raise is part of it."""
        return cast(T, self._kind.read(value))
