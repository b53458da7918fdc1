"""Schemas obey OpenAI's strict rules all the way down, or do not claim to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from openai.lib._pydantic import to_strict_json_schema

from multiturn.output import output_of
from multiturn.schemas import Decoder, strict
from multiturn.schemas.strict import MOST_CHOICES, MOST_LEVELS, MOST_PROPERTIES
from output.examples import TYPES, Aliased, Apple, Card, Cash, Comment, Dog, Item, Order, Payment, Pear, Person

Schema = dict[str, Any]

SUPPORTED = {
    *("type", "title", "description", "properties", "required", "additionalProperties", "items", "anyOf", "enum"),
    *("const", "$ref", "$defs", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("multipleOf", "minItems", "maxItems"),
}
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


def broken_rules(schema: Any, root: Schema, at: str = "root") -> Iterator[str]:
    """Every rule of https://platform.openai.com/docs/guides/structured-outputs that a schema breaks."""
    if not isinstance(schema, dict):
        yield f"{at}: not an object schema"
        return
    yield from (f"{at}: {key} is not supported" for key in schema.keys() - SUPPORTED)
    if schema.get("format", "date") not in FORMATS:
        yield f"{at}: format {schema['format']}"
    if "$ref" in schema:
        if len(schema) > 1:
            yield f"{at}: keywords beside $ref"
        if schema["$ref"].removeprefix("#/$defs/") not in root.get("$defs", {}):
            yield f"{at}: {schema['$ref']} leads nowhere"
    elif "type" not in schema and "anyOf" not in schema:
        yield f"{at}: no type"
    kind = schema.get("type", "")
    if "object" in kind:
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            yield f"{at}: additionalProperties is not false"
        if schema.get("required") != list(properties):
            yield f"{at}: not everything is required"
        for name, of in properties.items():
            yield from broken_rules(of, root, f"{at}.{name}")
    if "array" in kind:
        yield from broken_rules(schema.get("items"), root, f"{at}[]")
    for n, branch in enumerate(schema.get("anyOf", ())):
        yield from broken_rules(branch, root, f"{at}|{n}")
    yield from shared_beginnings(schema.get("anyOf", ()), root, at)
    for name, of in schema.get("$defs", {}).items():
        yield from broken_rules(of, root, name)


def shared_beginnings(branches: list[Schema], root: Schema, at: str) -> Iterator[str]:
    """OpenAI: "Objects provided via 'anyOf' must not share identical first keys"."""
    firsts = []
    for branch in branches:
        while "$ref" in branch:
            branch = root["$defs"][branch["$ref"].removeprefix("#/$defs/")]
        for name, of in list(branch.get("properties", {}).items())[:1]:
            firsts.append((name, str(of.get("enum", of.get("const")))))
    if len(set(firsts)) < len(firsts) or (
        len({name for name, _ in firsts}) < len(firsts) and "None" in dict(firsts).values()
    ):
        yield f"{at}: objects begin alike"


NOT_STRICT = {  # what strict schemas cannot say: keys of one's own, places in an array, anything at all
    *(
        "dict[str, int]",
        "dict[int, str]",
        "tuple[int, str]",
        "list[int] | dict[str, int]",
        "typing.Any",
        "<class 'list'>",
    ),
    "dict[output.examples.Colour, int]",
    "collections.abc.Mapping[str, output.examples.Person]",
    "<class 'output.examples.Family'>",
    "<class 'output.examples.Exact'>",
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
    assert made is not None
    assert list(broken_rules(made, made)) == []
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
            {"type": "integer", "minimum": 2, "default": 3},
            {"type": "integer", "minimum": 2, "description": "(default: 3)"},
        ),
        (
            {"type": "integer", "description": "how many", "default": 3},
            {"type": "integer", "description": "how many (default: 3)"},
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


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"description": "anything"},
        {"type": "object"},
        {"type": "object", "additionalProperties": True},
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}},
        {"type": "array"},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": "array", "items": {}},
        {"allOf": [{"type": "string"}, {"type": "string"}]},
        {"not": {"type": "string"}},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/Self"},
        {"enum": [{"a": 1}]},
        {"type": "object", "patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False},
    ],
    ids=str,
)
def test_what_the_subset_cannot_say_is_not_strict(schema: Schema) -> None:
    defs = {"Self": {"$ref": "#/$defs/Self"}}
    assert strict({"type": "object", "properties": {"x": schema}, "$defs": defs}) is None


def test_the_root_must_be_an_object() -> None:
    assert strict({"type": "string"}) is None
    assert strict({"anyOf": [{"type": "object", "properties": {}}]}) is None


def test_the_given_schema_stays_as_it_was() -> None:
    schema = Decoder[Order](Order).schema
    before = json.dumps(schema)
    assert strict(schema) is not None
    assert json.dumps(schema) == before


def test_what_may_be_left_out_may_be_null_unless_it_is_a_constant() -> None:
    made = strict(Decoder[Person](Person).schema)
    assert made is not None
    assert made["properties"]["name"] == {"type": "string", "description": "as it is written"}
    assert made["properties"]["email"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert made["properties"]["tags"] == {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
    card = strict(Decoder[Card](Card).schema)
    assert card is not None
    assert card["properties"]["kind"] == {"const": "card", "title": "Kind", "type": "string"}


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
    assert [list(of["properties"]) for of in made["$defs"].values()] == [["kind", "text"], ["kind", "text"]]


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
    assert strict(fits) is not None
    assert strict(too_big) is None


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
    had_default = null or "default" in schema or "default:" in schema.get("description", "")
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
