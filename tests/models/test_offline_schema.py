"""Typed answers: instances that real types decode, filled with what was said."""

from __future__ import annotations

import datetime
import enum
import itertools
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from multiturn.messages import ToolCall, assistant, tool_result, user
from multiturn.models.offline.clues import Clues
from multiturn.models.offline.model import answer_to
from multiturn.models.offline.patterns import example_of
from multiturn.models.offline.schema import Filler
from multiturn.path import Path
from multiturn.request import OutputSchema, Request, Settings


def typed(kind: Any, *said: str) -> Any:
    """The answer as a value of this type; raises where it is not one."""
    schema = msgspec.Raw(msgspec.json.encode(msgspec.json.schema(kind)))
    request = Request(path=Path(), input=tuple(map(user, said)), settings=Settings(output=OutputSchema(schema)))
    return msgspec.json.decode(answer_to(request).message.text, type=kind)


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Address(msgspec.Struct):
    street: str
    city: str
    postcode: Annotated[str, Meta(pattern=r"^[A-Z]{2}\d{1,2} \d[A-Z]{2}$")]


class Person(msgspec.Struct):
    name: str
    age: Annotated[int, Meta(ge=0, le=150)]
    address: Address
    email: str | None = None
    favourite_colour: Colour = Colour.RED
    nicknames: list[str] = []


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    barks: bool


class Household(msgspec.Struct):
    people: Annotated[list[Person], Meta(min_length=2, max_length=3)]
    pet: Cat | Dog


class Tree(msgspec.Struct):
    value: int
    children: list[Tree]
    parent: Tree | None = None


class Everything(msgspec.Struct):
    day: datetime.date
    moment: Annotated[datetime.datetime, Meta(tz=True)]
    hour: Annotated[datetime.time, Meta(tz=True)]
    length: datetime.timedelta
    key: uuid.UUID
    price: Decimal
    blob: bytes
    pair: tuple[int, str]
    many: tuple[float, ...]
    unique: frozenset[int]
    table: dict[str, list[int]]
    size: Literal["small", "large"]
    either: int | str
    nothing: None
    flag: bool
    ratio: Annotated[float, Meta(gt=0, lt=1)]
    even: Annotated[int, Meta(ge=5, multiple_of=4)]
    small: Annotated[int, Meta(lt=-3)]
    code: Annotated[str, Meta(min_length=3, max_length=5)]
    anything: Any


@pytest.mark.parametrize(
    "kind",
    [
        Person,
        Household,
        Tree,
        Everything,
        list[Everything],
        dict[str, Tree],
        Cat | Dog,
        int,
        str,
        bool,
        None,
        int | None,
        list[Colour],
        tuple[Person, Cat],
    ],
)
@pytest.mark.parametrize(
    "said", ["", "Hello!", "I am Bo, 7, and I have 99999999999999999999 cats - and 1 dog.", "9" * 400, "9" * 400 + ".5"]
)
def test_every_answer_is_an_instance(kind: Any, said: str) -> None:
    typed(kind, said)


def test_properties_are_filled_with_what_was_said() -> None:
    person = typed(
        Person,
        "My name is Ida and I am 52 years old. I live in Turku.",
        "My favourite colour is green; my email is ida@x.example. My street is Elm Road 5.",
        "Now give me my profile.",
    )
    assert (person.name, person.age, person.email) == ("Ida", 52, "ida@x.example")
    assert person.favourite_colour is Colour.GREEN
    assert (person.address.city, person.address.street) == ("Turku", "Elm Road 5")


def test_a_text_about_someone_else_is_read() -> None:
    person = typed(Person, "My name is Ida.", "Extract: Bob Stone is 33 years old, lives in Leeds, mail bob@s.example.")
    assert (person.name, person.age, person.email) == ("Bob Stone", 33, "bob@s.example")
    assert person.address.city == "Leeds"


def test_what_was_not_said_is_null_or_says_so() -> None:
    person = typed(Person, "Give me a person.")
    assert person.email is None
    assert person.name == "not stated"


def test_a_calculation_answers_a_number() -> None:
    class Result(msgspec.Struct):
        result: float
        explanation: str

    result = typed(Result, "What is 12 * 12?")
    assert result.result == 144
    assert "= 144" in result.explanation


def test_names_and_numbers_fill_lists() -> None:
    class Meeting(msgspec.Struct):
        participants: list[str]
        date: str
        scores: list[int]

    meeting = typed(Meeting, "Ann, Bob and Cy met on Friday and scored 3, 3 and 5.")
    assert meeting.participants == ["Ann", "Bob", "Cy"]
    assert meeting.date == "Friday"
    assert meeting.scores == [3, 3, 5]


def test_the_branch_that_is_named_is_taken() -> None:
    assert typed(Cat | Dog, "I want a dog") == Dog(barks=False)
    assert typed(Cat | Dog, "I want a cat with 9 lives") == Cat(lives=9)


def test_the_option_that_is_named_is_taken() -> None:
    class Review(msgspec.Struct):
        mood: Literal["positive", "negative", "mixed"]

    assert typed(Review, "It was a mixed experience.").mood == "mixed"


def test_tool_results_are_read() -> None:
    class Weather(msgspec.Struct):
        city: str
        temperature: int

    schema = msgspec.Raw(msgspec.json.encode(msgspec.json.schema(Weather)))
    call = assistant(ToolCall(call_id="1", name="weather", arguments="{}"))
    messages = (user("How is it in Lima?"), call, tool_result("1", {"temperature": 19}))
    request = Request(path=Path(), input=messages, settings=Settings(output=OutputSchema(schema)))
    assert msgspec.json.decode(answer_to(request).message.text, type=Weather) == Weather("Lima", 19)


def test_without_a_schema_the_answer_is_any_object() -> None:
    request = Request(path=Path(), input=(user("What is 3 + 4?"),), settings=Settings(output=OutputSchema()))
    assert msgspec.json.decode(answer_to(request).message.text) == {"answer": "3 + 4 = 7."}


# --- schemas as other people write them -----------------------------------------------------------------------------


def fill(schema: Any, text: str = "") -> Any:
    return Filler(schema, Clues(text, {})).fill()


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (True, "not stated"),
        ({}, "not stated"),
        ({"const": 5}, 5),
        ({"enum": ["a", "b"]}, "a"),
        ({"enum": ["a", "b"], "default": "b"}, "b"),
        ({"type": "string", "default": "x"}, "x"),
        ({"type": ["string", "null"]}, None),
        ({"type": ["integer", "string"]}, 0),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, None),
        ({"oneOf": [{"type": "integer", "minimum": 3}, {"type": "string"}]}, 3),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 0}),  # nothing required at the root: all of it
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]}, {"b": "not stated"}),
        ({"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"const": 1}}}, 1),
        (
            {
                "allOf": [
                    {"properties": {"a": {"const": 1}}, "required": ["a"]},
                    {"properties": {"b": {"const": 2}}, "required": ["b"]},
                ]
            },
            {"a": 1, "b": 2},
        ),
        ({"$ref": "#/definitions/x~1y", "definitions": {"x/y": {"type": "boolean"}}}, False),
        ({"$ref": "#/$defs/missing"}, "not stated"),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True}, [0, 1, 2]),
        ({"type": "array", "items": {"type": "integer", "minimum": 4}, "minItems": 2, "uniqueItems": True}, [4, 5]),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True},
            ["not stated", "not stated 2"],
        ),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False}, [1, 2]),
        ({"type": "array"}, []),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, 0.5),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "number", "multipleOf": 0.25, "minimum": 0.3}, 0.5),
        ({"type": "string", "maxLength": 3}, "not"),
        ({"type": "string", "minLength": 12}, "not stated.."),
        ({"type": "string", "format": "ipv4"}, "192.0.2.1"),
        ({"type": "string", "pattern": r"^\p{L}+$"}, "not stated"),  # ECMAScript's, not Python's
        ({"type": "string", "format": "unheard-of"}, "not stated"),
    ],
)
def test_without_any_clue(schema: Any, expected: Any) -> None:
    assert fill(schema) == expected


def test_a_schema_that_needs_itself_without_end_is_cut() -> None:
    fill({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"]}}})
    fill({"$ref": "#"})


def test_absurd_sizes_are_not_obeyed() -> None:
    assert len(fill({"type": "string", "minLength": 10**9})) < 10**5
    assert len(fill({"type": "array", "items": {"type": "integer"}, "minItems": 10**9})) < 10**5
    assert example_of("a{1000000000}") is None


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{5}(-\d{4})?$",
        r"^[A-Z]{2,3}-[0-9]+$",
        r"(foo|bar)baz",
        r"^(?:ab)+c*$",
        r"^[^a-z]$",
        r"^\w+@\w+\.(com|org)$",
        r"^#[0-9a-fA-F]{6}$",
        r"\+?\d[\d ]{6,}",
        r"^$",
        r"^.{4}$",
        r"^[\]x]+$",
        r"^\(\d\)$",
        r"^(?P<year>\d{4})-\d\d$",
        r"^a|b$",
        r"x??y",
    ],
)
def test_patterns_get_a_string_that_they_match(pattern: str) -> None:
    made = example_of(pattern)
    assert made is not None
    assert fill({"type": "string", "pattern": pattern}) == made


@pytest.mark.parametrize("pattern", [r"[\0]", "[[a]", "[a--b]", "[", "(", r"\p{L}", "(?<n>a)", "(?=b)a", "*"])
def test_a_pattern_beyond_us_gets_no_string(pattern: str) -> None:
    assert example_of(pattern) is None
    assert fill({"type": "string", "pattern": pattern}) == "not stated"


@given(st.text(alphabet=r"ab01[](){}|\^$*+?.-dws,", max_size=12))
def test_no_pattern_breaks_anything(pattern: str) -> None:
    example_of(pattern)


_count = itertools.count()  # msgspec mistakes types of one name for each other
_leaves = st.sampled_from([int, str, float, bool, None, datetime.date, uuid.UUID, Colour, Literal["x", "y"], Decimal])


@given(
    st.recursive(
        _leaves,
        lambda inner: st.one_of(
            inner.map(lambda kind: list[kind]),  # type: ignore[valid-type]
            inner.map(lambda kind: dict[str, kind]),  # type: ignore[valid-type]
            st.tuples(inner, inner).map(lambda kinds: tuple.__class_getitem__(kinds)),
            st.lists(inner, min_size=1, max_size=4).map(
                lambda kinds: msgspec.defstruct(
                    f"Made{next(_count)}", [(f"field_{n}", kind) for n, kind in enumerate(kinds)]
                )
            ),
        ),
        max_leaves=8,
    ),
    st.sampled_from(["", "x", "red or green?", "I am Al, I have 3 dogs and 4.5 cats on 2020-02-02."]),
)
def test_any_type_gets_an_instance(kind: Any, said: str) -> None:
    typed(kind, said)
