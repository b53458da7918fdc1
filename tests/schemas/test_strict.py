"""Schemas obey OpenAI's strict rules all the way down, or do not claim to."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from openai.lib._pydantic import to_strict_json_schema

from multiturn.output import output_of
from multiturn.schemas import Decoder, NotStrict, strict
from multiturn.schemas.strict import MOST_CHOICES, MOST_LEVELS, MOST_PROPERTIES
from schemas.examples import TYPES, Aliased, Apple, Card, Cash, Comment, Dog, Item, Order, Payment, Pear, Person
from schemas.rules import Schema, broken_rules

NOT_STRICT = {  # what strict schemas cannot say: keys of one's own, places in an array, anything at all
    *(
        "dict[str, int]",
        "dict[int, str]",
        "tuple[int, str]",
        "list[int] | dict[str, int]",
        "typing.Any",
        "<class 'list'>",
    ),
    "dict[schemas.examples.Colour, int]",
    "collections.abc.Mapping[str, schemas.examples.Person]",
    "<class 'schemas.examples.Family'>",
    "<class 'schemas.examples.Exact'>",
}


@pytest.mark.parametrize("type", TYPES, ids=repr)
def test_the_schema_of_every_type_obeys_the_strict_rules_or_does_not_claim_to(type: Any) -> None:
    output = output_of(type).schema
    assert output.schema is not None
    schema = msgspec.json.decode(output.schema)
    assert output.strict is (repr(type) not in NOT_STRICT)
    assert schema["type"] == "object"
    if output.strict:
        assert list(broken_rules(schema, schema)) == []


def test_the_checker_of_these_tests_finds_every_broken_rule() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {},
            "b": {"type": "string", "minLength": 1, "format": "uri"},
            "c": {"$ref": "#/$defs/X", "description": "x"},
            "d": {"anyOf": [{"$ref": "#/$defs/Y"}, {"$ref": "#/$defs/Y"}]},
            "e": {"type": "array"},
        },
        "$defs": {
            "Y": {
                "type": "object",
                "properties": {"k": {"type": "string"}},
                "required": [],
                "additionalProperties": False,
            }
        },
    }
    assert len(list(broken_rules(schema, schema))) == 10


# --- what becomes of a schema ---------------------------------------------------------------------------------------


def stricter(schema: Schema) -> Schema:
    """A property of this schema under the strict rules."""
    made = strict(
        {"type": "object", "properties": {"x": schema}, "required": ["x"], "$defs": {"D": {"type": "string"}}}
    )
    assert list(broken_rules(made, made)) == []
    assert strict(made) == made
    return dict(made["properties"]["x"])


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": "string", "minLength": 2}, {"type": "string", "description": "(minLength: 2)"}),
        ({"type": "string", "format": "uri"}, {"type": "string", "description": '(format: "uri")'}),
        ({"type": "string", "format": "email"}, {"type": "string", "format": "email"}),
        ({"type": "string", "pattern": "^a$"}, {"type": "string", "pattern": "^a$"}),
        ({"type": "string", "pattern": "(?=a)"}, {"type": "string", "description": '(pattern: "(?=a)")'}),
        (
            {"type": "integer", "minimum": 2, "maximum": 3, "default": 3},  # required, so nothing stands for it
            {"type": "integer", "minimum": 2, "maximum": 3},
        ),
        (
            {"type": "string", "description": "d", "minLength": 2, "maxLength": 3},
            {"type": "string", "description": "d (minLength: 2, maxLength: 3)"},
        ),
        (
            {"type": "array", "prefixItems": [{"type": "null"}] * 2, "items": False, "minItems": 2, "maxItems": 2},
            {"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 2},
        ),
        (
            {"type": "array", "items": {"type": "null"}, "uniqueItems": True},
            {"type": "array", "items": {"type": "null"}, "description": "(uniqueItems: true)"},
        ),
        ({"type": "integer", "default": None}, {"type": "integer"}),
        ({"const": "a", "default": "a"}, {"const": "a", "type": "string"}),
        ({"enum": ["a", 1, None]}, {"enum": ["a", 1, None], "type": ["string", "integer", "null"]}),
        (
            {"oneOf": [{"type": "null"}, {"$ref": "#/$defs/D"}], "discriminator": {}},
            {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/D"}]},
        ),
        (
            {"anyOf": [{"anyOf": [{"type": "null"}, {"type": "string"}]}, {"type": "boolean"}]},
            {"anyOf": [{"type": "null"}, {"type": "string"}, {"type": "boolean"}]},
        ),
        ({"$ref": "#/$defs/D", "description": "d"}, {"description": "d", "anyOf": [{"$ref": "#/$defs/D"}]}),
        ({"allOf": [{"$ref": "#/$defs/D"}]}, {"$ref": "#/$defs/D"}),
        (
            {"type": "object", "properties": {}},
            {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        ),
    ],
    ids=str,
)
def test_what_the_subset_lacks_is_said_in_words_or_otherwise(schema: Schema, made: Schema) -> None:
    assert stricter(schema) == made


PROPERTIES: Schema = {"a": {"type": "string"}}
ALIKE: Schema = {"type": "object", "properties": PROPERTIES}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "'x': a value of any type"),
        (True, "a value of any type"),
        ({"description": "anything"}, "a value of any type"),
        ({"enum": [{"a": 1}]}, "a value of any type"),
        ({"type": "object"}, "'x': an object with free keys"),
        ({"type": "object", "additionalProperties": True}, "free keys"),
        ({"type": "object", "properties": PROPERTIES, "additionalProperties": {"type": "string"}}, "free keys"),
        ({"type": "object", "properties": {"y": {"type": "object"}}}, "'x': 'y': an object with free keys"),
        ({"type": "array"}, "a list of anything"),
        ({"type": "array", "items": {}}, "a value of any type"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}]}, "a tuple whose places differ"),
        ({"anyOf": [ALIKE, ALIKE]}, "objects of a union that begin alike, with 'a'"),
        ({"allOf": [{"type": "string"}, {"type": "string"}]}, "`allOf` cannot"),
        ({"allOf": [True]}, "`allOf` cannot"),
        ({"type": "object", "properties": PROPERTIES, "anyOf": [ALIKE]}, "`anyOf` beside `properties`"),
        ({"not": {"type": "string"}, "if": {}}, "`if`, `not` cannot"),
        ({"$ref": "#/definitions/A", "definitions": {"A": {}}}, "`definitions` cannot"),
        ({"$ref": "https://example.com/schema"}, "https://example.com/schema leads to no definition"),
        ({"$ref": "#/$defs/Self"}, "#/$defs/Self leads to no definition"),
        (
            {"type": "object", "patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False},
            "`patternProperties` cannot",
        ),
    ],
    ids=str,
)
def test_what_the_subset_cannot_say_is_refused_with_the_reason(schema: Schema, words: str) -> None:
    defs = {"Self": {"$ref": "#/$defs/Self"}}
    with pytest.raises(NotStrict, match=re.escape(words)):
        strict({"type": "object", "properties": {"x": schema}, "$defs": defs})


def test_the_root_must_be_an_object() -> None:
    for schema in ({"type": "string"}, {"anyOf": [{"type": "object", "properties": {}}]}):
        with pytest.raises(NotStrict, match="only an object can be strict"):
            strict(schema)


def test_the_given_schema_stays_as_it_was() -> None:
    schema = Decoder[Order](Order).schema
    before = json.dumps(schema)
    strict(schema)
    assert json.dumps(schema) == before


def test_what_may_be_left_out_may_be_null_unless_it_is_a_constant() -> None:
    properties = strict(Decoder[Person](Person).schema)["properties"]
    assert properties["name"] == {"type": "string", "description": "as it is written"}
    assert properties["email"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert properties["tags"] == {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
    assert strict(Decoder[Card](Card).schema)["properties"]["kind"] == {"type": "string", "const": "card"}


def test_the_description_says_what_null_stands_for_unless_null_is_a_value() -> None:
    properties = {
        "a": {"type": "string", "description": "the a", "default": "x"},
        "b": {"type": "string", "default": ["y"]},
        "c": {"type": ["string", "null"], "default": "z"},
        "d": {"type": "string", "default": None},
    }
    made = strict({"type": "object", "properties": properties})
    words = {name: of.get("description") for name, of in made["properties"].items()}
    assert words == {"a": 'the a (null means "x")', "b": '(null means ["y"])', "c": None, "d": None}


@dataclass
class Late:
    text: str
    kind: Literal["late"] = "late"


@dataclass
class Early:
    text: str
    kind: Literal["early"] = "early"


def test_the_tag_of_a_union_comes_first_for_that_is_where_openai_looks() -> None:
    made = json.loads(bytes(output_of(Late | Early).schema.schema or b""))
    assert [list(of["properties"]) for of in made["properties"]["answer"]["anyOf"]] == [["kind", "text"]] * 2


class Basket(pydantic.BaseModel):
    fruit: Apple | Pear


def test_pydantic_objects_that_begin_alike_are_not_strict() -> None:
    assert output_of(Basket).schema.strict is False
    assert output_of(Apple | Pear).schema.strict is True  # told apart by the tag put in


# --- limits of size -------------------------------------------------------------------------------------------------


def wide(properties: int) -> Schema:
    return {"type": "object", "properties": {f"p{n}": {"type": "null"} for n in range(properties)}}


def deep(levels: int) -> Schema:
    schema: Schema = {"type": "object", "properties": {}}
    for _ in range(levels - 1):
        schema = {"type": "object", "properties": {"in": schema}, "required": ["in"]}
    return schema


def choices(count: int, length: int) -> Schema:
    return {"type": "object", "properties": {"x": {"enum": [f"{n:0{length}}" for n in range(count)]}}}


@pytest.mark.parametrize(
    ("fits", "too_big"),
    [
        (wide(MOST_PROPERTIES), wide(MOST_PROPERTIES + 1)),
        (deep(MOST_LEVELS), deep(MOST_LEVELS + 1)),
        (choices(MOST_CHOICES, 4), choices(MOST_CHOICES + 1, 4)),
        (choices(300, 50), choices(300, 51)),  # 15 000 characters where there are more than 250
        (choices(250, 479), choices(250, 481)),  # 120 000 characters in all
    ],
)
def test_schemas_past_openais_limits_are_not_strict(fits: Schema, too_big: Schema) -> None:
    strict(fits)
    with pytest.raises(NotStrict, match=r"\d+ .* cannot be strict, \d+ are the most"):
        strict(too_big)


@dataclass
class Inner:
    children: list[Inner] = field(default_factory=list)


def test_recursion_is_one_level() -> None:
    assert output_of(Inner).schema.strict is True
    assert output_of(Dog).schema.strict is True


# --- the same as OpenAI's own SDK makes -----------------------------------------------------------------------------


class Bounded(pydantic.BaseModel):
    """Numbers, lists, words and choices with limits that the subset has."""

    score: Annotated[int, pydantic.Field(ge=0, le=10)]
    codes: Annotated[list[str], pydantic.Field(min_length=1, max_length=3)]
    mood: Literal["good", "bad"] | None
    either: int | str
    day: Annotated[str, pydantic.Field(pattern=r"^\d+$", description="a day")]


class Deep(pydantic.BaseModel):
    order: Order
    again: Item = pydantic.Field(description="another")
    comments: list[Comment]


def meaning(schema: Any, root: Schema, inside: tuple[str, ...] = (), *, null: bool = False) -> Any:
    """A schema with references followed, unions flattened, and without words, defaults and nulls for the latter."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return (
            name if name in inside else meaning({**root["$defs"][name], **without_ref(schema)}, root, (*inside, name))
        )
    had_default = null or "default" in schema or "null means" in schema.get("description", "")
    said = {
        key: value
        for key, value in schema.items()
        if key not in ("title", "description", "default", "$defs", "minLength")
    }
    if "anyOf" in said:
        branches = [meaning(branch, root, inside) for branch in said.pop("anyOf")]
        branches = [branch for branch in branches if not (had_default and branch == {"type": "null"})]
        if len(branches) == 1 and not said:
            return branches[0]
        said["anyOf"] = sorted(branches, key=str)
    if "properties" in said:
        said["properties"] = {key: meaning(of, root, inside) for key, of in said["properties"].items()}
        said["required"] = sorted(said["required"])
    if "items" in said:
        said["items"] = meaning(said["items"], root, inside)
    return said


def without_ref(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "$ref"}


@pytest.mark.parametrize("model", [Item, Order, Comment, Aliased, Apple, Card, Cash, Bounded, Deep])
def test_the_strict_schema_of_a_pydantic_model_means_what_the_openai_sdk_sends(model: type[pydantic.BaseModel]) -> None:
    theirs = to_strict_json_schema(model)
    ours = json.loads(bytes(output_of(model).schema.schema or b""))
    assert output_of(model).schema.strict is True
    assert meaning(ours, ours) == meaning(theirs, theirs)


def test_where_the_sdk_sends_what_openai_refuses_ours_is_within_the_rules() -> None:
    theirs = to_strict_json_schema(Payment)
    assert "oneOf" in theirs["properties"]["means"]
    ours = json.loads(bytes(output_of(Payment).schema.schema or b""))
    assert list(broken_rules(ours, ours)) == []
