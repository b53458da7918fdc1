"""`multiturn serve`: the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from multiturn.cli.places import data_folder, make_data_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from multiturn.server.settings.options import Option
    from multiturn.server.settings.sources import Given
    from multiturn.server.settings.values import ServerSettings
    from multiturn.stores.records import KeyRecord

_EVERYDAY = ("host", "port", "grpc_port", "store", "upstream", "workers")
_SECTIONS = {"limits": "Limits", "log": "Log", "background": "Background responses"}
_FILE = "sqlite:///"


class _Serve(click.Command):
    """Its flags are the keys of the settings, which are imported when somebody asks for them."""

    _has_flags = False

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if not self._has_flags:
            self._has_flags = True
            self.params = [*_flags(), *self.params]
        return super().get_params(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """In parts, the everyday ones first."""
        parts: dict[str, list[tuple[str, str]]] = {title: [] for title in ("Options", "More options")}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                parts.setdefault(_part_of(param.name or ""), []).append(record)
        for title, records in parts.items():
            with formatter.section(title):
                formatter.write_dl(records)


@click.command(
    cls=_Serve,
    epilog="""\b
Examples:
  multiturn serve                                 with no key and no network
  multiturn serve --upstream http://gpu:8000/v1   in front of one server
  multiturn serve --config server.toml            in front of many
  multiturn serve --config server.toml --check    what it would do, and why
  multiturn serve --store postgresql://me@db/chats --host 0.0.0.0

\b
Then, in Python, with nothing but the base URL changed:
  client = OpenAI(base_url="http://127.0.0.1:8787/v1", api_key="any")
  first = client.responses.create(model="any", input="My name is Alice.")
  client.responses.create(model="any", input="What is my name?",
                          previous_response_id=first.id)

\b
Every flag is also a key of the file and a variable: --limits-depth 50 is
depth = 50 under [limits], and MULTITURN_LIMITS_DEPTH=50. A flag comes before
its variable, that before the file. docs/reference/configuration.md says more
of each.

\b
Without API keys, only programs on this machine are served; the first one is
made with 'multiturn keys create'.""",
)
@click.option(
    "--config", metavar="FILE", type=click.Path(path_type=Path), help="The TOML file.  [or: MULTITURN_CONFIG]"
)
@click.option("--check", is_flag=True, help="Only check the settings, and say what the server would do.")
def serve(config: Path | None, check: bool, **flags: Any) -> None:
    """Serve conversations to the official SDKs.

    OpenAI's Responses, Conversations and Chat Completions, Anthropic's Messages and xAI's gRPC, in front of any model.
    What was said is kept, and goes on.
    """
    import os

    from multiturn.server.auth import check_start
    from multiturn.server.settings.words import explain, summary

    given = _given(config, flags)
    settings = given.settings
    keys = _keys(settings.store)
    check_start(settings.host, keys)
    _check_models(settings)
    if check:
        click.echo(explain(given, keys, os.environ))
        return
    run = _server()
    _check_ports(settings)
    if settings.store == _usual_store():
        make_data_folder()
    if settings.log.format == "text":
        click.echo(summary(settings, keys))
    run(settings)


def _given(config: Path | None, flags: dict[str, Any]) -> Given:
    """The settings. Rows of providers in their file are this process's, and those of its workers, from here on."""
    import os

    from multiturn.models.config import VARIABLE
    from multiturn.server.settings.options import options
    from multiturn.server.settings.sources import read

    keys = {_name(option): option.key for option in options()}
    chosen = {keys[name]: value for name, value in flags.items() if value is not None}
    given = read(store=_usual_store(), flags=chosen, file=config)
    if given.file and given.has_providers:
        os.environ[VARIABLE] = str(given.file.absolute())
    return given


def _usual_store() -> str:
    return f"{_FILE}{data_folder() / 'chats.db'}"


def _keys(url: str) -> tuple[KeyRecord, ...]:
    """The API keys in the store; none where there is no store yet, which is not made."""
    from multiturn import sync
    from multiturn.stores import open_store

    if url.startswith(_FILE) and not Path(url.removeprefix(_FILE)).expanduser().exists():
        return ()
    store = open_store(url)

    async def read() -> tuple[KeyRecord, ...]:
        try:
            return await store.keys()
        finally:
            await store.aclose()

    return sync.run(read())


def _check_models(settings: ServerSettings) -> None:
    """Raise `InvalidInput` where an upstream, a route or a row of a provider cannot be used."""
    from multiturn.models.providers import known_providers
    from multiturn.server.upstreams import Upstreams

    known_providers()
    Upstreams(settings.routes, settings.upstreams)


def _server() -> Callable[[ServerSettings], None]:
    try:
        from multiturn.server.app import serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("multiturn"):
            raise
        raise click.ClickException(
            f"the server needs {error.name}, which is not installed: pip install 'multiturn[server]'"
        ) from error
    return serve


# --- ports ----------------------------------------------------------------------------------------------------------


def _check_ports(settings: ServerSettings) -> None:
    from importlib.util import find_spec

    _check_port(settings.host, settings.port, "--port")
    if settings.grpc and settings.grpc_port and find_spec("xai_sdk"):
        _check_port(settings.host, settings.grpc_port, "--grpc-port")


def _check_port(host: str, port: int, flag: str) -> None:
    """Raise where nobody can listen there, in one sentence."""
    import errno
    import socket

    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with socket.create_server(found[0][4][:2], family=found[0][0]):
            pass
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"port {port} is in use; choose another with {flag}, or stop what listens there"
        else:
            why = f"cannot listen on {host}, port {port}: {error.strerror}"
        raise click.ClickException(why) from error


# --- flags ----------------------------------------------------------------------------------------------------------


def _flags() -> list[click.Parameter]:
    from multiturn.server.settings.options import options

    return [_flag(option) for option in options()]


def _flag(option: Option) -> click.Option:
    name = f"{option.flag}/--no-{option.flag[2:]}" if option.is_switch else option.flag
    return click.Option(
        [_name(option), name],
        default=None,
        metavar=None if option.is_switch else _metavar(option),
        type=None if option.is_switch else _Value(option),
        help=_help(option),
    )


def _name(option: Option) -> str:
    return option.key.replace(".", "__")


def _part_of(name: str) -> str:
    section = name.partition("__")[0]
    everyday = name in _EVERYDAY or name in ("config", "check", "help")
    return _SECTIONS.get(section, "Options" if everyday else "More options")


def _help(option: Option) -> str:
    """Its first sentence, and the default."""
    text, _, rest = option.doc.replace("`", "").partition(". ")
    says = f"[{rest.partition('[')[2]}" if "[default" in rest else ""
    if option.default not in (None, ()) and not says:
        says = f"[default: {_said(option.default)}]"
    return f"{text.rstrip('.')}.  {says}".rstrip()


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _metavar(option: Option) -> str:
    match option.wants.split():
        case ["a", "whole", *_]:
            return "N"
        case ["a", "number", *_]:
            return "SECONDS"
        case ["a", "list", *_]:
            return "A,B,…"
        case ["text"]:
            return option.key.upper()
        case words:
            return "|".join(word.strip(",") for word in words if word != "or")


if TYPE_CHECKING:
    _Text = click.ParamType[Any]
else:
    _Text = click.ParamType  # generic since click 8.4


class _Value(_Text):
    """A value as its option takes it."""

    name = "value"

    def __init__(self, option: Option) -> None:
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from multiturn.errors import InvalidInput

        try:
            return self._option.parsed(str(value), "it")
        except InvalidInput as error:
            self.fail(str(error), param, ctx)
