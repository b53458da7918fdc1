"""The command line: `multiturn`, one module a command.

Nothing here is imported before it is needed: `--help` must be quick, and rich, prompt_toolkit and the library itself
are not. Every error a person can make or meet is one sentence on stderr and a status: 1, 2 for a wrong command line,
128 and the signal's number after a signal.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import click

import multiturn
from multiturn.cli.chat import chat
from multiturn.cli.check import check
from multiturn.cli.console import prepare_streams
from multiturn.cli.delete import delete
from multiturn.cli.export import export
from multiturn.cli.fork import fork
from multiturn.cli.gc import gc
from multiturn.cli.import_ import import_
from multiturn.cli.keys import keys
from multiturn.cli.listing import list_
from multiturn.cli.models import models
from multiturn.cli.seal import new_key, reseal
from multiturn.cli.search import search
from multiturn.cli.serve import serve
from multiturn.cli.show import show
from multiturn.cli.stats import stats
from multiturn.cli.usage import usage
from multiturn.errors import MultiturnError


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added: what one needs first, first."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click itself would make it a plain 1
            return _hung_up()


@click.group(
    name="multiturn",
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Start here:
  multiturn chat                              talk, with no key and no network
  multiturn chat --model openai:gpt-5-mini    a real model (OPENAI_API_KEY)
  multiturn models                            who can be asked, and for what
  echo "What is 15 * 23?" | multiturn chat    one question, one answer
  multiturn list                              what there is to come back to
  multiturn serve                             for programs, over the big APIs

Conversations are kept in ~/.local/share/multiturn/chats.db, or where MULTITURN_STORE says.""",
)
@click.version_option(multiturn.__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Conversations with language models that are kept: streamed, forked, resumed, on any provider."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


_ASKING = (chat, models)
_KEPT = (list_, show, search, fork, export, import_, usage, stats, delete, gc, check, new_key, reseal)
_SERVING = (serve, keys)
for command in _ASKING + _SERVING + _KEPT:
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, the process's own if none is given, and say how it went: the exit status."""
    prepare_streams()
    try:
        status = cli.main(_readable(arguments), prog_name="multiturn", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        return _complain(_with_help(error), status=error.exit_code)
    except click.ClickException as error:
        return _complain(error.format_message(), status=error.exit_code)
    except MultiturnError as error:
        return _complain(str(error))
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return _hung_up()
    return status if isinstance(status, int) else 0


def _readable(arguments: Sequence[str] | None) -> list[str]:
    """The arguments as text that can be kept: bytes that are no UTF-8 come as lone surrogates, which cannot."""
    given = sys.argv[1:] if arguments is None else arguments
    return [argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for argument in given]


def _complain(message: str, *, status: int = 1) -> int:
    from rich.text import Text

    from multiturn.cli.console import console, sentence

    err = console(stderr=True)
    err.print(Text.assemble(("Error: ", "bold red"), sentence(message)), soft_wrap=not err.is_terminal)
    return status


def _with_help(error: click.UsageError) -> str:
    message = error.format_message()
    see = f"see '{error.ctx.command_path} --help'" if error.ctx else "see 'multiturn --help'"
    return f"{message} S{see[1:]}" if message.endswith("?") else f"{message.rstrip('.')}; {see}"


def _hung_up() -> int:
    """Whoever read our output has gone, as `head -1` does; the status is what SIGPIPE would have made it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
    return 128 + 13
