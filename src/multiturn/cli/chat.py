"""`multiturn chat`: a conversation in the terminal, or one question from a script."""

from __future__ import annotations

import sys

import click

from multiturn.cli.console import is_terminal
from multiturn.cli.places import store_option, tenant_option


@click.command(
    epilog="""\b
Examples:
  multiturn chat                              talk
  multiturn chat --conversation trip          under a name, to go on later
  multiturn chat --model openai:gpt-5-mini    a real model (OPENAI_API_KEY)
  multiturn chat --model qwen3 --base-url http://localhost:8000/v1
  multiturn chat "What is 15 * 23?"           one question, one answer
  git diff | multiturn chat                   the same, from a pipe
  git diff | multiturn chat "Review:" -       words, then the pipe
  multiturn chat --json "Hi" | jq -r .text    the answer as one JSON object

\b
--json prints one object: conversation, turn, status, text, model, usage, and,
where there is one, reasoning, reason and error. The status is completed (exit
0), failed (exit 1) or incomplete (exit 130 or 143 after a signal, 0 where the
answer was cut at a limit). A stopped answer is kept; the next turn sees it."""
)
@click.argument("prompt", nargs=-1)
@click.option(
    "--model",
    metavar="NAME",
    help="Who answers: offline, or provider:name, such as openai:gpt-5-mini.  "
    "[default: what the conversation used last, else MULTITURN_MODEL, else offline]",
)
@store_option
@tenant_option
@click.option("--conversation", metavar="ID", help="Go on with this conversation, or begin one of this name.")
@click.option("--system", metavar="TEXT", help="Instructions for the model, kept with the conversation.")
@click.option("--base-url", metavar="URL", help="An OpenAI-compatible server, such as http://localhost:8000/v1.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object (see below).")
def chat(
    prompt: tuple[str, ...],
    model: str | None,
    store: str | None,
    tenant: str | None,
    conversation: str | None,
    system: str | None,
    base_url: str | None,
    as_json: bool,
) -> int:
    """Talk with a model. The conversation is kept, and you can come back to it.

    With a PROMPT, or words on stdin, answers once and ends; a PROMPT of - stands for stdin.
    """
    import asyncio

    from multiturn.cli.opening import Asked

    asked = Asked(model, store, conversation, system, base_url, tenant)
    if not prompt and not as_json and is_terminal(sys.stdin, sys.stdout):
        from multiturn.cli.repl import talk

        return asyncio.run(talk(asked))
    from multiturn.cli.oneshot import answer_once

    return asyncio.run(answer_once(asked, _words(prompt), as_json=as_json))


def _words(prompt: tuple[str, ...]) -> str:
    """The question: the arguments, `-` among them standing for stdin, or stdin alone."""
    pieces = [_stdin() if piece == "-" else piece for piece in prompt or ("-",)]
    words = ("\n\n" if "-" in prompt else " ").join(piece for piece in pieces if piece.strip())
    if not words:
        raise click.UsageError("there is nothing to say; give a PROMPT, or words on stdin", click.get_current_context())
    return words


def _stdin() -> str:
    return sys.stdin.buffer.read().decode("utf-8", "replace").strip("\n")
