"""Our own check of a JSON value by a JSON schema: what it knows, what it lets pass, where it says the trouble is."""

from __future__ import annotations

from typing import Any

import pytest

from multiturn.schemas.checking import fits, problems, without_nulls

TREE = {"type": "object", "properties": {"below": {"type": "array", "items": {"$ref": "#"}}}, "required": ["below"]}

FITTING: list[tuple[Any, Any]] = [
    ({"type": "integer"}, 1),
    ({"type": "integer"}, 1.0),  # JSON schema draft 6 and later: a number without a fraction
    ({"type": "number"}, 1),
    ({"type": ["string", "null"]}, None),
    ({}, [1, None]),
    (True, 5),
    ({"enum": [1, "a", None]}, "a"),
    ({"const": {"a": [1]}}, {"a": [1]}),
    ({"properties": {"a": {"type": "integer"}}}, {"b": 1}),
    ({"properties": {"a": {}}, "additionalProperties": {"type": "integer"}}, {"a": "x", "b": 1}),
    ({"properties": {"a": {"type": "integer"}}}, [1]),  # says nothing of what is no object
    ({"patternProperties": {"^x": {}}, "additionalProperties": False}, {"xa": 1}),
    ({"items": {"type": "integer"}}, []),
    ({"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, [1, "a"]),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "a"),
    ({"oneOf": [{"type": "integer"}, {"minimum": 0}]}, 1),  # as anyOf
    ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 2),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "integer"}}}, 1),
    ({"$ref": "#/nowhere"}, 1),
    ({"$ref": "https://example.com/schema"}, 1),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, 1),
    ({"minimum": 1, "maxLength": 1, "minItems": 1}, 1),
    ({"minLength": 2}, "ab"),
    ({"pattern": "^b", "format": "date", "multipleOf": 5, "not": {}}, "a"),  # not checked
    (TREE, {"below": [{"below": []}]}),
]
WRONG: list[tuple[Any, Any, str]] = [
    ({"type": "integer"}, 1.5, "expected an integer, got 1.5"),
    ({"type": "integer"}, True, "expected an integer, got true"),
    ({"type": "number"}, False, "expected a number, got false"),
    ({"type": "boolean"}, 1, "expected a boolean, got 1"),
    ({"type": "null"}, 0, "expected null, got 0"),
    ({"type": ["string", "null"]}, [], "expected a string or null, got []"),
    ({"type": "string"}, ["x" * 99], 'expected a string, got ["' + "x" * 58 + "…"),
    (False, 1, "nothing is allowed here"),
    ({"enum": ["a", 1]}, "b", 'expected one of "a", 1, got "b"'),
    ({"enum": [1]}, True, "expected 1, got true"),
    ({"const": 5}, 6, "expected 5, got 6"),
    ({"enum": [*range(99)]}, 99, "expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 89 more, got 99"),
    ({"required": ["a"]}, {}, "a: is missing"),
    ({"properties": {"a": {}}, "additionalProperties": False}, {"b": 1}, "b: is unknown; there are: a"),
    ({"additionalProperties": False}, {"b": 1}, "b: is unknown; there are none"),
    ({"additionalProperties": {"type": "integer"}}, {"b": "x"}, 'b: expected an integer, got "x"'),
    ({"properties": {"a": {"items": {"required": ["b"]}}}}, {"a": [{"b": 1}, {}]}, "a[1].b: is missing"),
    ({"items": False}, [1], "[0]: nothing is allowed here"),
    ({"prefixItems": [{}, {"type": "string"}]}, [1, 2], "[1]: expected a string, got 2"),
    (
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "a",
        'expected an integer, got "a"; or expected null, got "a"',
    ),
    ({"anyOf": [{"required": ["a"]}, {"type": "null"}]}, {}, "a: is missing"),  # the branch that is meant
    ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 4, "expected at most 3, got 4"),
    ({"minimum": 1}, 0, "expected at least 1, got 0"),
    ({"exclusiveMinimum": 1}, 1, "expected more than 1, got 1"),
    ({"exclusiveMaximum": 1}, 1, "expected less than 1, got 1"),
    ({"minLength": 2}, "a", 'expected a length of at least 2, got "a"'),
    ({"maxLength": 2}, "abc", 'expected a length of at most 2, got "abc"'),
    ({"minItems": 1}, [], "expected a number of items of at least 1, got []"),
    ({"maxProperties": 0}, {"a": 1}, 'expected a number of keys of at most 0, got {"a": 1}'),
    (TREE, {"below": [{"below": [{}]}]}, "below[0].below[0].below: is missing"),
]


@pytest.mark.parametrize(("schema", "value"), FITTING, ids=str)
def test_what_fits_passes(schema: Any, value: Any) -> None:
    root = schema if isinstance(schema, dict) else {}
    assert fits(value, schema, root)


@pytest.mark.parametrize(("schema", "value", "problem"), WRONG, ids=str)
def test_what_does_not_fit_is_told_with_its_place(schema: Any, value: Any, problem: str) -> None:
    root = schema if isinstance(schema, dict) else {}
    assert list(map(str, problems(value, schema, root))) == [problem]
    assert not fits(value, schema, root)


def test_problems_come_one_after_the_other() -> None:
    schema = {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["c"]}
    found = [problem.path for problem in problems({"a": "x", "b": "y"}, schema, schema)]
    assert found == [("c",), ("a",), ("b",)]


def test_nulls_are_found_through_references_branches_and_tuples() -> None:
    inner = {"type": "object", "properties": {"a": {"type": "string"}}}
    root = {
        "$defs": {"Inner": inner},
        "properties": {
            "by_reference": {"$ref": "#/$defs/Inner"},
            "by_branch": {"oneOf": [{"type": "integer"}, {"$ref": "#/$defs/Inner"}]},
            "by_all": {"allOf": [{"$ref": "#/$defs/Inner"}]},
            "by_place": {"prefixItems": [{"type": "null"}, {"$ref": "#/$defs/Inner"}]},
            "free": {},
        },
    }
    null = {"a": None}
    given = {"by_reference": null, "by_branch": null, "by_all": null, "by_place": [None, null], "free": null, "x": None}
    assert without_nulls(given, root, root) == {
        "by_reference": {},
        "by_branch": {},
        "by_all": {},
        "by_place": [None, {}],
        "free": null,
        "x": None,
    }
