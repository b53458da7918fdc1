"""One question, one answer: `multiturn chat PROMPT`, and `multiturn chat` at the end of a pipe."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from rich.console import Console

from multiturn.cli.asking import Outcome, ask
from multiturn.cli.console import console, is_terminal, printable
from multiturn.cli.opening import Asked, Opened, open_chat
from multiturn.cli.signals import Signals
from multiturn.cli.views import PlainView, SilentView, View

STAND_IN = (
    "The built-in offline model answers: a small stand-in, not a real model. "
    "Name one with --model, such as openai:gpt-5-mini (and OPENAI_API_KEY)."
)


async def answer_once(asked: Asked, words: str, *, as_json: bool) -> int:
    """Ask, print the answer, and give back the exit status."""
    opened = await open_chat(asked)
    err = console(stderr=True)
    if opened.stand_in:
        err.print(STAND_IN, style="note", soft_wrap=True)
    with Signals() as signals:
        outcome = await ask(opened.chat, words, _view(opened, as_json), signals)
    if as_json:
        print(msgspec.json.encode(_report(opened, outcome)).decode(), flush=True)
    return _tell(opened, outcome, err)


def _view(opened: Opened, as_json: bool) -> View:
    if as_json:
        return SilentView()
    out = console()
    if out.is_terminal and not out.is_dumb_terminal:
        from multiturn.cli.live import LiveView

        return LiveView(out, waiting_for=str(opened.chat.model))
    return PlainView()


def _report(opened: Opened, outcome: Outcome) -> dict[str, Any]:
    turn, error = outcome.turn, outcome.error
    if turn is None:
        report: dict[str, Any] = {"conversation": opened.chat.id, "turn": None, "status": "failed", "text": ""}
    else:
        message = turn.output[-1] if turn.output else None
        answered_by = (message.origin.model if message and message.origin else None) or turn.model
        report = {"conversation": turn.conversation, "turn": turn.id, "status": turn.status, "text": turn.text}
        report |= {"model": answered_by, "usage": _usage(opened, outcome)}
        report |= {"reasoning": message.reasoning} if message and message.reasoning else {}
        report |= {"reason": turn.reason} if turn.reason else {}
    return report | ({"error": {"kind": type(error).__name__, "message": str(error)}} if error else {})


def _usage(opened: Opened, outcome: Outcome) -> dict[str, Any]:
    assert outcome.turn is not None
    usage = outcome.turn.usage
    counted = {name: getattr(usage, name) for name in usage.__struct_fields__ if getattr(usage, name) is not None}
    return counted | {"total_tokens": usage.total_tokens}


def _tell(opened: Opened, outcome: Outcome, err: Console) -> int:
    """What a person should know beyond the answer, on stderr; the exit status."""
    if outcome.error:
        raise outcome.error
    kept = "what there is of the answer is kept" if outcome.turn and outcome.turn.output else "nothing had come yet"
    if outcome.signal:
        err.print(f"Stopped; {kept}.", style="warning")
        return 128 + outcome.signal
    if outcome.turn and outcome.turn.reason:
        err.print(f"The answer is cut short ({printable(outcome.turn.reason)}).", style="warning")
    if is_terminal(sys.stdin, sys.stdout, sys.stderr):
        err.print(f"\nTo go on: {opened.asked.way_back(opened.chat.id)}", style="note", soft_wrap=True)
    return 0
