"""The paths that a server keeps at hand."""

from __future__ import annotations

from multiturn.messages import user
from multiturn.path import Path
from multiturn.server.paths import Paths
from multiturn.turns import Totals, Turn


def turn(id: str, parent: str | None) -> Turn:
    return Turn(id=id, conversation="c", parent=parent, input=(user("hi"),), totals=Totals(bytes=10))


def path(*ids: str) -> Path:
    return Path(turn(id, ids[n - 1] if n else None) for n, id in enumerate(ids))


def ids(found: Path | None) -> list[str] | None:
    return None if found is None else [each.id for each in found.turns]


def test_several_may_follow_the_same_turn_and_none_reads_it_anew() -> None:
    paths, base = Paths(1 << 20), path("a", "b")
    encoded = base.encoded("key", lambda messages: b"made once")
    paths.keep("", base)
    for id in ("c", "d"):
        before = paths.get("", "b")
        assert before is not None
        assert ids(before) == ["a", "b"]
        assert list(before.encoded("key", lambda messages: b"anew")) == list(encoded)
        paths.keep("", before.followed_by(turn(id, "b")))
    assert (ids(paths.get("", "c")), ids(paths.get("", "d"))) == (["a", "b", "c"], ["a", "b", "d"])
    assert paths.get("another", "b") is None


def test_what_goes_takes_its_mark_along() -> None:
    paths = Paths(13_000)
    for number in range(50):
        paths.keep("", path(f"{number}", f"{number} on"))
        assert ids(paths.get("", f"{number}")) == [f"{number}"]
    assert len(paths._paths) == len(paths._longer) == 3
    assert paths.get("", "3") is None


def test_a_path_that_was_continued_twice_is_forgotten_with_the_latest() -> None:
    paths = Paths(1 << 20)
    for id in ("c", "d", "c"):
        paths.keep("", path("a", "b", id))
    paths._drop(("", "c"))
    assert paths.get("", "b") is None
    assert ids(paths.get("", "d")) == ["a", "b", "d"]
