"""Lines and members of lists, however a file is cut into pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.errors import InvalidInput
from multiturn.transfer.pieces import lines, objects

values = st.recursive(
    st.text('a"\\{}[],\n é', max_size=4) | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", '"', "}"]), inner, max_size=2),
    max_leaves=4,
)
members = st.lists(st.dictionaries(st.sampled_from(["a", "{"]), values, max_size=2), max_size=3)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(members, st.integers(1, 40), st.sampled_from([None, 0, 2]), st.booleans())
def test_a_list_gives_its_members(wanted: list[object], size: int, indent: int | None, ascii: bool) -> None:
    data = json.dumps(wanted, indent=indent, ensure_ascii=ascii).encode()
    assert [json.loads(found) for _, found in objects(cut(data, size))] == wanted


@given(members, st.integers(1, 40))
def test_objects_may_stand_one_a_line(wanted: list[object], size: int) -> None:
    data = b"".join(json.dumps(each).encode() + b"\n" for each in wanted)
    found = list(objects(cut(data, size)))
    assert [json.loads(each) for _, each in found] == wanted
    assert [number for number, _ in found] == list(range(1, len(wanted) + 1))


def test_members_know_the_line_on_which_they_begin() -> None:
    assert list(objects([b"\xef\xbb\xbf\n [\n{},\n{", b"\n},{}]\n"])) == [(3, b"{}"), (4, b"{\n}"), (5, b"{}")]


def test_a_list_that_does_not_end_is_cut_short() -> None:
    with pytest.raises(InvalidInput, match=r"^line 2: the file ends in the middle of its list"):
        list(objects([b'[{"a": 1},\n {"b"']))


def test_lines_are_numbered_as_they_stand() -> None:
    assert list(lines([b"a\n\n", b"b\r", b"\nc"])) == [(1, b"a"), (3, b"b\r"), (4, b"c")]
    assert list(lines([])) == []
