"""The value so far: after any piece, whatever the pieces."""

from __future__ import annotations

import copy
import json
import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multiturn.output import Partial, output_of
from schemas.examples import Cat

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)
containers = st.lists(values, max_size=5) | st.dictionaries(st.text(max_size=6), values, max_size=5)


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """JSON of objects and arrays, tight or wide, with characters escaped or not."""
    return json.dumps(
        draw(containers),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.none() | st.integers(0, 2)),
        separators=draw(st.none() | st.just((",", ":")) | st.just(("\t,\r\n", " :\n "))),
    )


@st.composite
def in_pieces(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> list[str]:
    text = draw(texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=len(text) + 1)))
    return [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]


def is_prefix(some: Any, whole: Any) -> bool:
    """A string's beginning; an array's or object's first members, the last of which may be a prefix; else the same."""
    if isinstance(some, str) and isinstance(whole, str):
        return whole.startswith(some)
    if isinstance(some, dict) and isinstance(whole, dict):
        return list(some) == list(whole)[: len(some)] and is_prefix(list(some.values()), list(whole.values()))
    if isinstance(some, list) and isinstance(whole, list):
        *before, last = some or [None]
        return not some or (
            len(some) <= len(whole) and before == whole[: len(before)] and is_prefix(last, whole[len(before)])
        )
    return type(some) is type(whole) and bool(some == whole)


@settings(max_examples=300, deadline=None)
@given(in_pieces(json_texts()))
@example(list(r'{"a\"": ["\ud83d\ude00\u00e9\\", -1.5e+3, true, null, {}], "": {"b": []}}'))
@example(['{"a": 12', '3, "b": tr', "ue", ', "c": nu', "ll", "}"])
def test_every_cut_of_every_text_leads_to_its_value_by_way_of_prefixes(pieces: list[str]) -> None:
    text = "".join(pieces)
    final = json.loads(text)
    partial = Partial()
    for piece in pieces:
        before = copy.deepcopy(partial.value)
        changed = partial.add(piece)
        assert changed is (partial.value if changed is not None else None)
        assert (changed is not None) == (partial.value != before)
        assert partial.value is None or is_prefix(partial.value, final)
    assert partial.value == final
    assert json.dumps(partial.value) == json.dumps(final)  # 1 is not 1.0 nor True, and keys are in order


@settings(max_examples=100, deadline=None)
@given(json_texts())
def test_one_character_at_a_time_hides_nothing_that_is_there(text: str) -> None:
    partial = Partial()
    for n, char in enumerate(text):
        partial.add(char)
        written = text[: n + 1]
        if char == '"' and partial.value is not None:
            assert is_prefix(partial.value, json.loads(text)), written
    assert partial.value == json.loads(text)


@settings(max_examples=200, deadline=None)
@given(in_pieces(st.text(alphabet='{}[]",:\\u0dDcC8 1-.etrfn\n')))
def test_no_text_breaks_it(pieces: list[str]) -> None:
    partial = Partial()
    for piece in pieces:
        partial.add(piece)
    again = Partial()
    again.add("".join(pieces))
    assert partial.value == again.value  # the pieces make no difference


def so_far(text: str, **options: Any) -> Any:
    partial = Partial(**options)
    partial.add(text)
    return partial.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("Sure: ", None),
        ("{", {}),
        ('{"na', {}),
        ('{"name"', {}),
        ('{"name":', {}),
        ('{"name": "', {"name": ""}),
        ('{"name": "To', {"name": "To"}),
        ('{"name": "Tom",', {"name": "Tom"}),
        ('{"name": "Tom", "lives": 7', {"name": "Tom"}),  # it might become 70
        ('{"name": "Tom", "lives": 7}', {"name": "Tom", "lives": 7}),
        ('{"a": tru', {}),
        ('{"a": true ', {"a": True}),
        ("[1, 2", [1]),
        ("[[], [", [[], []]),
        (r'["a\\', ["a\\"]),
        (r'["a\u00', ["a"]),
        (r'["a\ud83d', ["a"]),  # the other half is to come
        (r'["a\ud83d\ude', ["a"]),
        (r'["a\ud83d\ude00', ["a😀"]),
        (r'["a\ud83d.', ["a\ufffd."]),
        (r'["a\ude00"]', ["a\ufffd"]),
        ("[1,]", [1]),
        ('{"a": 1,}', {"a": 1}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('["line\nbreak', ["line\nbreak"]),
        ("[NaN]", ["NaN"]),
        # words around it
        ('Here:\n```json\n{"a": 1}\n```\nThat {was} [it].', {"a": 1}),
        ('I use {braces}: {"a": 1}', {"a": 1}),
        ('{ {"a": 1}', {"a": 1}),
        ('{"a": nonsense} {"b": 1}', {"b": 1}),
        ("{'a': 1}", None),
    ],
)
def test_the_value_so_far(text: str, value: Any) -> None:
    assert so_far(text) == value
    one_by_one = Partial()
    for char in text:
        one_by_one.add(char)
    assert one_by_one.value == value


def test_pieces_that_change_nothing_give_none() -> None:
    partial = Partial()
    pieces = ["Well, ", "{", '"a"', ": ", "1", "2", ",", ' "b": "', "x", "\\", "n", "", '"', "}", " done"]
    changes = [copy.deepcopy(partial.add(piece)) for piece in pieces]
    so_far_ = [{}, {"a": 12}, {"a": 12, "b": ""}, {"a": 12, "b": "x"}, {"a": 12, "b": "x\n"}]
    assert changes == [
        None,
        so_far_[0],
        None,
        None,
        None,
        None,
        *so_far_[1:4],
        None,
        so_far_[4],
        None,
        None,
        None,
        None,
    ]


def test_it_is_the_same_object_all_along() -> None:
    partial = Partial()
    first = partial.add('{"a": [')
    partial.add("1, 2]")
    assert partial.value is first == {"a": [1, 2]}


def test_the_wrapping_of_what_is_no_object_does_not_show() -> None:
    partial = output_of(list[Cat]).partial()
    assert [copy.deepcopy(partial.add(piece)) for piece in ["[1]: {", '"answer"', ": [", '{"name": "To', 'm"}]}']] == [
        None,
        None,
        [],
        [{"name": "To"}],
        [{"name": "Tom"}],
    ]
    text = output_of(str).partial()
    assert [text.add(piece) for piece in ['{"answer": "', "Par", 'is"}']] == ["", "Par", "Paris"]
    whole = output_of(Cat).partial()
    assert whole.add('As in [1], {"answer": 1, "name": "T') == {"answer": 1, "name": "T"}


def steps_of(work: Callable[[], object]) -> int:
    """How many calls, of Python's and of C functions, something makes."""
    count = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize(
    "text_of",
    [
        lambda n: json.dumps({"text": "words and \\ more \n" * n}),
        lambda n: json.dumps([{"a": 1, "b": "x"}] * n),
        lambda n: "[" * n + "]" * n,
        lambda n: json.dumps({f"k{i}": i for i in range(n)}),
        lambda n: "no { json [ here " * n,
        lambda n: "[" + "1" * n,
    ],
)
def test_the_work_grows_as_the_text_does(text_of: Callable[[int], str], size: int) -> None:
    def steps_per_character(n: int) -> float:
        text, partial = text_of(n), Partial()
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        return steps_of(lambda: [partial.add(piece) for piece in pieces]) / len(text)

    assert steps_per_character(3200) < steps_per_character(200) * 1.1


def test_a_long_string_is_not_copied_with_every_piece() -> None:
    """A copy would stand beside the old string for a moment; a string lengthened in place has no double."""
    partial = Partial()
    partial.add('["' + "x" * 1_000_000)
    for _ in range(100):  # CPython 3.11 and later lengthen in place once the code is warm
        partial.add("words")
    tracemalloc.start()
    try:
        partial.add("words")
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(100):
            partial.add("words")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 100_000
