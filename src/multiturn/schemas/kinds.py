"""What a Python type looks like in JSON: one `Kind` a sort of type, which describes itself and reads values.

Values are plain data, as `json.loads` gives them. Reading never changes them, and finds every problem, not only the
first. Objects are in records.py, unions in unions.py; which type is which kind is types.py's.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from multiturn.schemas.keywords import Schema, one_of, plain
from multiturn.schemas.mismatch import WORDS, Mismatch, Problem, Step, expected, in_words, one_among, shown
from multiturn.schemas.names import Names

_MORE: dict[Any, Schema] = {  # what msgspec leaves unsaid, or says with a format that nobody knows
    datetime.datetime: {"format": "date-time"},
    datetime.time: {"format": "time"},
    decimal.Decimal: {"format": None, "pattern": r"^-?\d+(\.\d+)?$"},
}


class Kind(Protocol):
    """How one type is described and read."""

    @property
    def wanted(self) -> str:
        """What is to stand there, in a few words."""
        ...

    def schema(self, names: Names) -> Schema:
        """Its JSON schema; what has a name goes into `names` and is referred to."""
        ...

    def read(self, value: Any) -> Any:
        """The Python value. Raises `Mismatch`."""
        ...


def document(kind: Kind) -> Schema:
    """The whole JSON schema of a kind, draft 2020-12."""
    names = Names()
    return names.document(kind.schema(names))


def read_each(parts: Iterable[tuple[Step, Kind, Any]], *, but: Sequence[Problem] = ()) -> dict[Any, Any]:
    """Every part's value under its step. Raises one `Mismatch` with the problems of all, after those found before."""
    read, problems = {}, [*but]
    for step, kind, value in parts:
        try:
            read[step] = kind.read(value)
        except Mismatch as error:
            problems += error.under(step)
    if problems:
        raise Mismatch(*problems)
    return read


class Leaf:
    """What msgspec reads itself, with `Meta`: text, numbers, truth, null, dates, UUIDs, decimals, bytes in base64, and
    classes that only msgspec knows, such as attrs'. Raises `TypeError` for any other type."""

    def __init__(self, hint: Any, base: type, *, is_key: bool = False) -> None:
        self.base = base
        self._hint = hint
        self._exact = not is_key  # the keys of JSON are text: "5" is an integer there
        self._schema = _plain_schema(base) if hint is base else _schema_of(hint, base)
        shape = self._schema.get("format")
        self.wanted = WORDS.get(self._schema.get("type", ""), "a value") + (f" ({shape})" if shape else "")

    def schema(self, names: Names) -> Schema:
        return names.moved_in(id(self), self._schema) if "$defs" in self._schema else dict(self._schema)

    def read(self, value: Any) -> Any:
        whole = self.base is int and isinstance(value, float) and value.is_integer()  # 3.0 is an integer in JSON
        try:
            return msgspec.convert(int(value) if whole else value, self._hint, strict=self._exact)
        except msgspec.ValidationError as error:
            raise Mismatch(Problem((), f"{in_words(error)}, got {shown(value)}")) from error


def _schema_of(hint: Any, base: type) -> Schema:
    schema = {**plain(msgspec.json.schema(hint)), **_MORE.get(base, {})}
    return {key: value for key, value in schema.items() if value is not None}


@lru_cache
def _plain_schema(base: type) -> Schema:
    return _schema_of(base, base)


class Anything:
    """`Any`: whatever comes."""

    wanted = "anything"

    def schema(self, names: Names) -> Schema:
        return {}

    def read(self, value: Any) -> Any:
        return value


class Choice:
    """One of a few values: a `Literal`, or an `Enum`, which has a name and whose members come back."""

    def __init__(self, options: Sequence[tuple[Any, Any]], name: str = "", description: str | None = None) -> None:
        self.options = options  # (in JSON, in Python)
        self.name = name
        self._description = description
        self.wanted = one_among([option for option, _ in options])

    def schema(self, names: Names) -> Schema:
        return names.reference(id(self), self.name, self._definition) if self.name else self._definition()

    def _definition(self) -> Schema:
        description = {"description": self._description} if self._description else {}
        return description | one_of(*(option for option, _ in self.options))

    def read(self, value: Any) -> Any:
        for option, meant in self.options:
            if option == value and type(option) is type(value):
                return meant
        raise expected(self.wanted, value)


class Listed:
    """An array of one kind: a list, a set, a tuple of any length."""

    wanted = "an array"

    def __init__(self, item: Kind, make: Callable[[Iterable[Any]], Any]) -> None:
        self._item = item
        self._make = make

    def schema(self, names: Names) -> Schema:
        unique = {"uniqueItems": True} if self._make in (set, frozenset) else {}
        return {"type": "array", "items": self._item.schema(names), **unique}

    def read(self, value: Any) -> Any:
        if not isinstance(value, list):
            raise expected(self.wanted, value)
        return self._make(read_each((n, self._item, item) for n, item in enumerate(value)).values())


class Fixed:
    """An array with a kind for every place: `tuple[int, str]`."""

    wanted = "an array"

    def __init__(self, items: Sequence[Kind]) -> None:
        self._items = items

    def schema(self, names: Names) -> Schema:
        length = len(self._items)
        places = [item.schema(names) for item in self._items]
        return {"type": "array", "prefixItems": places, "items": False, "minItems": length, "maxItems": length}

    def read(self, value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(self._items):
            raise expected(f"an array of {len(self._items)}", value)
        return tuple(read_each(zip(range(len(value)), self._items, value, strict=True)).values())


class Mapped:
    """An object with keys of its own choice: `dict[str, …]`."""

    wanted = "an object"

    def __init__(self, key: Kind, item: Kind) -> None:
        self._key = key
        self._item = item

    def schema(self, names: Names) -> Schema:
        items = {"type": "object", "additionalProperties": self._item.schema(names) or True}
        keys = self._key.schema(names)
        return items if keys == {"type": "string"} else {**items, "propertyNames": keys}

    def read(self, value: Any) -> Any:
        if not isinstance(value, dict):
            raise expected(self.wanted, value)
        items = read_each((key, self._item, item) for key, item in value.items())
        keys = read_each((key, self._key, key) for key in value)
        return {keys[key]: item for key, item in items.items()}


class Noted:
    """A kind that says more of itself, and that `check` looks at before: `Annotated[list[int], Meta(max_length=3)]`."""

    def __init__(self, kind: Kind, notes: Schema, check: Any = None) -> None:
        self.kind = kind
        self.name = getattr(kind, "name", "")
        self.wanted = kind.wanted
        self._notes = notes
        self._check = check

    def schema(self, names: Names) -> Schema:
        return {**self.kind.schema(names), **self._notes}

    def read(self, value: Any) -> Any:
        read = self.kind.read(value)
        if self._check is not None:
            try:
                msgspec.convert(value, self._check)
            except msgspec.ValidationError as error:
                raise Mismatch(Problem((), f"{in_words(error)}, got {shown(value)}")) from error
        return read
