"""An answer becomes a value of the type, or a problem that says what to mend."""

from __future__ import annotations

import datetime
import json
from typing import Annotated, Any, Literal

import msgspec
import pytest

from multiturn.output import InvalidOutput, output_of
from schemas.examples import (
    DECODES,
    Address,
    Adult,
    Cat,
    Checked,
    Circle,
    Colour,
    Comment,
    Dog,
    Exact,
    Family,
    Hiker,
    Item,
    Mixed,
    Moments,
    Order,
    Owed,
    Paid,
    Payment,
    Person,
    Point,
    Seats,
    Square,
    Tree,
)


def answered(type: Any, value: Any) -> str:
    """The text of an answer with this value, as the schema wants it."""
    wrapped = json.loads(bytes(output_of(type).schema.schema or b"")).get("properties", {}).keys() == {"answer"}
    return json.dumps({"answer": value} if wrapped else value)


@pytest.mark.parametrize(("type", "value", "meant"), DECODES)
def test_every_sort_of_type_is_read(type: Any, value: Any, meant: Any) -> None:
    read = output_of(type).decode(answered(type, value))
    if type is Order:
        meant = Order(id="abc", items=[Item(name="tea", price=2)])
    elif type is Comment:
        meant = Comment(text="a", replies=[Comment(text="b")])
    assert read == meant
    assert repr(read) == repr(meant)  # 5 is not 5.0


PROBLEMS: list[tuple[Any, Any, str]] = [
    (Person, {"name": "Ada"}, "age: is missing, expected an integer"),
    (Person, {"name": "Ada", "age": "old"}, 'age: expected an integer, got "old"'),
    (Person, {"name": 5, "age": None}, "name: expected a string, got 5; age: expected an integer, got null"),
    (Person, {"name": "A", "age": 3.5}, "age: expected an integer, got 3.5"),
    (Person, {"name": "A", "age": 3, "tags": ["x", 2]}, "tags[1]: expected a string, got 2"),
    (Person, [1, 2], "expected an object (Person), got [1, 2]"),
    (Adult, {"age": 5}, "an adult is 18 or older"),
    (Address, {"streetName": "Elm", "zipCode": "1"}, "zipCode: expected a string matching regex"),
    (
        Address,
        {"streetName": "Elm", "zipCode": "12345", "x": 1},
        "x: is unknown; there are: streetName, zipCode",
    ),
    (Hiker, {"boots": 2}, "name: is missing, expected a string"),
    (Point, {"y": True}, "x: is missing, expected a number; y: expected a number, got true"),
    (Family, {"people": [{}], "home": {}}, "people[0].name: is missing"),
    (Family, {"people": [], "home": {}}, "home.streetName: is missing"),
    (Tree, {"value": 1, "left": {"value": {}}}, "left.value: expected an integer, got {}"),
    (
        Moments,
        {"at": "noon", "day": "x", "id": "y", "price": "z"},
        'at: invalid RFC3339 encoded datetime, got "',
    ),
    (str, 5, "answer: expected a string, got 5"),
    (bool, "yes", 'answer: expected a boolean, got "yes"'),
    (Annotated[int, msgspec.Meta(ge=3)], 2, "answer: expected an integer >= 3, got 2"),
    (Annotated[int | None, msgspec.Meta(ge=3)], 2, "answer: expected"),
    (Colour, "blue", 'answer: expected one of "red", "green", got "blue"'),
    (Literal[1, "a"], True, 'answer: expected one of 1, "a", got true'),
    (Literal["only"], "x", 'answer: expected "only", got "x"'),
    (list[int], {"a": 1}, 'answer: expected an array, got {"a": 1}'),
    (Seats, [], "answer: expected an array of length >= 1, got []"),
    (Seats, [0], "answer[0]: expected an integer >= 1, got 0"),
    (tuple[int, str], [1], "answer: expected an array of 2, got [1]"),
    (dict[str, int], [1], "expected an object, got [1]"),
    (dict[str, int], {"a": "b"}, 'a: expected an integer, got "b"'),
    (dict[int, str], {"x": "b"}, 'x: expected an integer, got "x"'),
    (Person | None, 5, "answer: expected an object (Person) or null, got 5"),
    (Person | None, {"name": "Ada"}, "answer.age: is missing"),
    (Adult | None, {"age": 5}, "answer: an adult is 18 or older"),
    (datetime.date | None, "noon", 'answer: invalid RFC3339 encoded date, got "noon"'),
    (Item | str, 5, "answer: expected an object (Item) or a string, got 5"),
    (int | str, [1], "answer: expected an integer or a string, got [1]"),
    (Cat | Dog, {"type": "Cow"}, 'answer.type: expected one of "Cat", "Dog", got "Cow"'),
    (Cat | Dog, {"lives": 3}, 'answer.type: is missing, expected one of "Cat", "Dog"; answer.name: is missing'),
    (Cat | Dog, {"type": "Dog", "name": "Rex", "friends": [{"type": "Cat"}]}, "answer.friends[0].name: is missing"),
    (
        Circle | Square,
        {"radius": "x"},
        'answer.type: is missing, expected one of "circle", "square"; answer.radius: exp',
    ),
    (Circle, {"type": "square", "radius": 1}, 'type: expected "circle", got "square"'),
    (
        list[Paid | Owed],
        [{"status": "lost", "amount": 1}],
        'answer[0].status: expected one of "paid", "owed", got "lost"',
    ),
    (Item, {"name": "tea"}, "price: is missing"),
    (Item, {"name": "tea", "price": -1}, "price: input should be greater than or equal to 0, got -1"),
    (Item, "tea", 'input should be an object, got "tea"'),
    (Order, {"id": "abc", "items": []}, "items: an order has at least one item, got []"),
    (Order, {"id": "ab", "items": [{"name": 1, "price": 2}]}, "id: string should have at least 3 characters, got "),
    (Order, {"id": "abc", "items": [{"name": 1, "price": 2}]}, "items[0].name: input should be a valid string, got 1"),
    (Payment, {"means": {"kind": "card"}}, "means.number: is missing"),
    (Payment, {"means": {"kind": "gold"}}, "means: input tag 'gold' found"),
    (Checked, {"count": 0}, "count: input should be greater than 0, got 0"),
    (Exact, {"day": "2025-02-03", "pair": [1, 2]}, "pair[1]: input should be a valid string, got 2"),
    (Exact, {"day": "2025-02-03", "pair": [1, "a"], "x": 1}, "x: extra inputs are not permitted, got 1"),
    (
        Mixed,
        {"item": {}, "at": {"x": 1}, "limit": 6},
        "item.name: is missing; item.price: is missing; limit: input should",
    ),
]


@pytest.mark.parametrize(("type", "value", "problem"), PROBLEMS, ids=lambda value: str(value)[:50])
def test_what_is_wrong_is_said_and_where(type: Any, value: Any, problem: str) -> None:
    with pytest.raises(InvalidOutput) as raised:
        output_of(type).decode(answered(type, value))
    assert problem in raised.value.problem
    assert "\n" not in raised.value.problem


def test_many_problems_are_counted_rather_than_told() -> None:
    with pytest.raises(InvalidOutput, match=r"answer\[5\].*; and 94 more$"):
        output_of(list[int]).decode(json.dumps({"answer": ["x"] * 100}))


def test_a_long_value_is_shown_by_its_beginning() -> None:
    with pytest.raises(InvalidOutput) as raised:
        output_of(int).decode(json.dumps({"answer": "x" * 1000}))
    assert len(raised.value.problem) < 200


# --- the text around it ---------------------------------------------------------------------------------------------

CAT = '{"name": "Tom", "lives": 7}'
WITH_WORDS = [
    CAT,
    f"  \n{CAT}\n",
    f"```json\n{CAT}\n```",
    f"```\n{CAT}\n```",
    f"Here you are:\n\n```json\n{CAT}\n```\nAnything else?",
    f"The cat is {CAT}.",
    f"I use {{braces}} and [brackets], as in [1]: {CAT}",
    f'Something like {{"name": 1}} would be wrong, so: {CAT}',
    f"{CAT}\n{CAT}",
    f"{{ {CAT}",
]


@pytest.mark.parametrize("text", WITH_WORDS)
def test_the_json_is_found_among_words(text: str) -> None:
    assert output_of(Cat).decode(text) == Cat("Tom", 7)


def test_a_fence_inside_a_string_is_a_part_of_it() -> None:
    code = "```python\nprint({1: [2]})\n```"
    assert output_of(Cat).decode(f"```json\n{json.dumps({'name': code})}\n```") == Cat(code)


def test_line_breaks_inside_strings_pass() -> None:
    assert output_of(Cat).decode('{"name": "Tom\nCat"}') == Cat("Tom\nCat")


@pytest.mark.parametrize("text", ["[1, 2]", '{"answer": [1, 2]}', "Numbers: [1, 2]", '[7] says {"answer": [1, 2]}'])
def test_forgotten_wrapping_is_forgiven_where_nothing_else_could_be_meant(text: str) -> None:
    assert output_of(list[int]).decode(text) == [1, 2]


def test_a_bare_value_counts_as_the_whole_answer() -> None:
    assert output_of(int).decode("5") == 5
    assert output_of(str).decode('"Paris"') == "Paris"


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    assert output_of(str).decode(r'{"answer": "a\ud83d b\ude00 \\ud83d \ud83d\ude00"}') == "a\ufffd b\ufffd \\ud83d 😀"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no JSON in it"),
        ("I cannot say.", "there is no JSON in it"),
        ('{"name": "To', "the JSON is not finished, it breaks off after"),
        ('{"name": "Tom", "lives": ', "the JSON is not finished, it breaks off after"),
        ('I {see}. {"name": "Tom" "lives": 7}', "the JSON is not valid: Expecting ',' delimiter between"),
        ("{'name': 'Tom'}", "the JSON is not valid: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "the JSON is nested too deep"),
        ("{ " * 100_000, "the JSON is not valid"),
        ('{"name": "Tom", "lives": NaN}', 'lives: expected an integer, got "NaN"'),
        (f'{{"name": "Tom", "lives": {"9" * 5000}}}', "the JSON is not valid"),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_not_json_is_said_too(text: str, problem: str) -> None:
    with pytest.raises(InvalidOutput) as raised:
        output_of(Cat).decode(text)
    assert problem in raised.value.problem


def test_an_answer_nested_as_deep_as_its_type_allows_is_an_invalid_one() -> None:
    deep: dict[str, Any] = {"value": 1}
    for _ in range(300):
        deep = {"value": 1, "left": deep}
    with pytest.raises(InvalidOutput, match="nested too deep"):
        output_of(Tree).decode(json.dumps(deep))
