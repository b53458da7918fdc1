"""Which route a name takes."""

import msgspec
import pytest

from multiturn.errors import InvalidInput
from multiturn.server.upstreams.routes import Route, Routes


def taken(name: str, *matches: str) -> str | None:
    """The pattern that wins."""
    route = Routes([Route(match=match, to="gpu") for match in matches]).find(name)
    return None if route is None else route.match


@pytest.mark.parametrize(
    ("name", "matches", "winner"),
    [
        ("gpt-5", ("*", "gpt-*", "gpt-5"), "gpt-5"),  # an exact name before any glob
        ("gpt-5-mini", ("*", "gpt-*", "gpt-5*"), "gpt-5*"),  # the longer before the shorter
        ("gpt-5-mini", ("gpt-5*", "gpt-*", "*"), "gpt-5*"),
        ("gpt-5-mini", ("gpt-5-????", "gpt-5-mi*"), "gpt-5-mi*"),  # ... in what it settles, not in what it leaves open
        ("gpt-5-mini", ("*-mini", "gpt-5*"), "*-mini"),  # as long: in order
        ("gpt-5-mini", ("gpt-5*", "*-mini"), "gpt-5*"),
        ("gpt-4o", ("gpt-[45]*", "gpt-*"), "gpt-[45]*"),
        ("gpt-6", ("gpt-[45]*",), None),
        ("GPT-5", ("gpt-*",), None),
        ("xgpt-5", ("gpt-*",), None),
        ("qwen3:4b", ("*:4b",), "*:4b"),
        ("a/b", ("*",), "*"),
        ("a.b", ("a?b",), "a?b"),
        ("axb", ("a.b",), None),
    ],
)
def test_the_route_that_says_most_of_a_name_wins(name: str, matches: tuple[str, ...], winner: str | None) -> None:
    assert taken(name, *matches) == winner


def test_of_two_routes_for_one_name_the_first_wins() -> None:
    routes = Routes([Route(match="a", to="one"), Route(match="a", to="two")])
    found = routes.find("a")
    assert found is not None
    assert found.to == "one"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"match": " ", "to": "gpu"}, "must match something"),
        ({"match": "a", "to": ()}, "leads to no upstream"),
        ({"match": "a", "to": ("gpu", "gpu")}, "names an upstream twice"),
        ({"match": "a", "to": "gpu", "model": "b*"}, "one model"),
        ({"match": "a", "to": "gpu", "model": ""}, "one model"),
    ],
)
def test_a_route_that_cannot_be_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        Route(**fields)  # type: ignore[arg-type]
    with pytest.raises(msgspec.ValidationError, match=says):  # as the settings read it
        msgspec.convert(fields, Route)


def test_a_route_is_read_from_toml_as_one_would_write_it() -> None:
    assert msgspec.toml.decode(b'match = "gpt-*"\nto = ["a", "b"]', type=Route).upstreams == ("a", "b")
    assert msgspec.toml.decode(b'match = "gpt-*"\nto = "a"\nmodel = "x"', type=Route).upstreams == ("a",)
