"""A paused run that other processes go on with: real processes, on both stores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from multiturn import Conversation, TurnStatus
from multiturn.runs import DECLINED, INTERRUPTED
from multiturn.turns import Turn
from scripted import ScriptedModel
from stores.urls import ON_DISK, fresh_url

Child = subprocess.Popen[str]


class Place:
    """A fresh store, and a file of marks that tools leave."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.url, self.marks = fresh_url(kind, folder), folder / "marks"

    @contextmanager
    def process(self, task: str | dict[str, Any]) -> Iterator[Child]:
        """One that is ready, and does the task as soon as it is told to."""
        text = task if isinstance(task, str) else json.dumps(task)
        command = [sys.executable, "-m", "stores.resuming", self.url, str(self.marks), text]
        env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path[:1]])}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": env}
        with subprocess.Popen(command, **pipes) as child:
            try:
                assert line(child) == "ready"
                yield child
            finally:
                child.kill()

    def done(self, task: str | dict[str, Any]) -> dict[str, Any]:
        """What a process says at last."""
        with self.process(task) as child:
            return outcome(start(child))

    def done_when_free(self, task: dict[str, Any]) -> dict[str, Any]:
        """The same; PostgreSQL may take a moment to notice that the one before is gone."""
        for _ in range(20):
            if (told := self.done(task)) != {"error": "ConversationBusy"}:
                break
        return told

    def chat(self) -> Conversation:
        return Conversation(ScriptedModel(lambda request: "still here"), store=self.url, id="c")

    def latest(self) -> Turn:
        turn = self.chat().latest
        assert turn is not None
        return turn

    @property
    def marked(self) -> list[str]:
        return self.marks.read_text().split() if self.marks.exists() else []


def start(child: Child) -> Child:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    return child


def line(child: Child) -> str:
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n")


def outcome(child: Child) -> dict[str, Any]:
    assert child.stdout is not None
    told: dict[str, Any] = json.loads(child.stdout.read().splitlines()[-1])
    return told


def results(turn: Turn) -> list[tuple[str, str]]:
    return [(result.call_id, result.text) for message in turn.output for result in message.tool_results]


@pytest.fixture(params=ON_DISK)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(request.param, tmp_path)


@pytest.fixture
def paused(place: Place) -> Place:
    """A process has asked, was paused, and is gone."""
    told = place.done("pause")
    assert (told["status"], told["reason"], place.marked) == ("paused", "result", ["looked"])
    turn = place.latest()
    assert (turn.status, [call.call_id for call in turn.pending]) == (TurnStatus.PAUSED, ["call_2", "call_3"])
    assert place.chat().turns == []
    return place


@pytest.mark.parametrize(
    ("decisions", "told", "marks"),
    [
        ({"approve": ["call_2"]}, "paid 5", ["looked", "paid5"]),
        ({"deny": {"call_2": "Too much."}}, f"{DECLINED} Too much.", ["looked"]),
        ({"results": {"call_2": "paid in cash"}}, "paid in cash", ["looked"]),
    ],
    ids=["approve", "deny", "supply"],
)
def test_another_process_goes_on(decisions: dict[str, Any], told: str, marks: list[str], paused: Place) -> None:
    before = paused.latest()
    supplied = {**decisions, "results": {**decisions.get("results", {}), "call_3": {"page": "blank"}}}
    ended = paused.done(supplied)
    assert (ended["id"], ended["status"], ended["text"]) == (before.id, "completed", "all is done")
    turn = paused.latest()
    assert results(turn) == [("call_1", "looked"), ("call_2", told), ("call_3", '{"page":"blank"}')]
    assert paused.marked == marks
    chat = paused.chat()
    assert chat.turns == [turn]
    assert chat.send("and now?").text == "still here"


def test_each_decision_may_come_from_a_process_of_its_own(paused: Place) -> None:
    assert paused.done({"approve": ["call_2"]})["status"] == "paused"
    assert paused.marked == ["looked", "paid5"]
    assert paused.done({}) == paused.done({"approve": True})  # it still waits for its page
    assert paused.done({"approve": ["call_2"]}) == {"error": "InvalidInput"}
    assert paused.done({"results": {"call_3": "blank"}})["status"] == "completed"
    assert paused.done({"results": {"call_3": "blank"}}) == {"error": "InvalidInput"}
    assert paused.marked == ["looked", "paid5"]


def test_of_two_processes_that_go_on_at_once_one_does(paused: Place) -> None:
    with ExitStack() as stack:
        task = {"approve": ["call_2"], "results": {"call_3": "blank"}, "slow_s": 0.3}
        children = [stack.enter_context(paused.process(task)) for _ in range(3)]
        for child in children:
            start(child)
        outcomes = [outcome(child) for child in children]
    assert [told["status"] for told in outcomes if "status" in told] == ["completed"]
    refused = [told["error"] for told in outcomes if "error" in told]
    assert len(refused) == 2
    assert set(refused) <= {"ConversationBusy", "InvalidInput"}
    assert paused.marked == ["looked", "paid5"]
    assert results(paused.latest())[1:] == [("call_2", "paid 5"), ("call_3", "blank")]


def test_a_process_that_dies_while_it_goes_on_has_called_once(paused: Place) -> None:
    with paused.process({"approve": ["call_2"], "slow_s": 60}) as child:
        start(child)
        while line(child) != "ToolCallStarted":
            pass
        while paused.marked != ["looked", "paid5"]:
            assert child.poll() is None
        assert paused.done({"approve": ["call_2"]}) == {"error": "ConversationBusy"}
    told = paused.done_when_free({"results": {"call_3": "blank"}})
    assert told["status"] == "completed"
    assert results(paused.latest()) == [("call_1", "looked"), ("call_2", INTERRUPTED), ("call_3", "blank")]
    assert paused.marked == ["looked", "paid5"]


def test_whoever_approves_again_after_that_has_it_called_again(paused: Place) -> None:
    with paused.process({"approve": ["call_2"], "slow_s": 60}) as child:
        start(child)
        while paused.marked != ["looked", "paid5"]:
            assert child.poll() is None
    told = paused.done_when_free({"approve": ["call_2"], "results": {"call_3": "blank"}})
    assert told["status"] == "completed"
    assert paused.marked == ["looked", "paid5", "paid5"]
