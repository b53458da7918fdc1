"""`multiturn models`: who can be asked, and for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from rich.table import Table

    from multiturn.models.catalogue import ModelInfo
    from multiturn.models.provider import Provider

_LOCAL_S = 1.0  # how long a server on this machine may take to answer
_LIVE_S = 15.0  # ... and a provider somewhere in the world
_UPSTREAM = "upstream"


class _Model(NamedTuple):
    """`name` is what to give to --model."""

    name: str
    info: ModelInfo


class _Standing(NamedTuple):
    """How it stands with one provider: whether it can be asked now, in words why or why not, and for what. `variable`
    holds its key, or would."""

    provider: str
    ready: bool
    words: str
    base_url: str | None
    variable: str | None
    models: tuple[_Model, ...]


@click.command(
    epilog="""\b
Examples:
  multiturn models                       who can be asked, and for what
  multiturn models openai anthropic      only these, with or without a key
  multiturn models --live openrouter     what it lists at this moment
  multiturn models | grep gpt            names, as --model takes them
  multiturn models --json | jq -c 'select(.ready) | .provider'

\b
A provider can be asked once the variable of its key is set; a server on this
machine, once it runs. Rows of your own go into providers.toml (see
docs/howto/models.md). What is shown of a model comes from the catalogue that
is part of multiturn; a model that is not in it can be asked all the same.
Through a pipe, it is one name a line."""
)
@click.argument("providers", nargs=-1, metavar="[PROVIDER]...")
@click.option("--live", is_flag=True, help="Ask providers with a key for their list of models.")
@click.option("--offline", is_flag=True, help="Ask nobody, not even servers on this machine.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one a provider.")
def models(providers: tuple[str, ...], live: bool, offline: bool, as_json: bool) -> None:
    """Show which providers can be asked, and their models.

    Servers on this machine (Ollama, vLLM, llama.cpp, LM Studio) and the one in MULTITURN_UPSTREAM are asked quickly
    whether they are there.
    """
    import asyncio

    if live and offline:
        raise click.UsageError("--live asks, and --offline does not; choose one", click.get_current_context())
    standings = asyncio.run(_standings(providers, live=live, offline=offline))
    if as_json:
        _print_json(standings)
    else:
        _print(standings, chosen=bool(providers))


# --- finding out ----------------------------------------------------------------------------------------------------


async def _standings(chosen: tuple[str, ...], *, live: bool, offline: bool) -> list[_Standing]:
    import asyncio

    from multiturn.models.providers import known_providers

    known = known_providers()
    names = [name.lower().removesuffix(":") for name in chosen] or [*known, *_upstream_if_set()]
    for name in names:
        if name not in known and name != _UPSTREAM:
            raise click.UsageError(
                f"there is no provider {name!r}; there are {', '.join([*known, _UPSTREAM])}",
                click.get_current_context(),
            )
    asked = (_standing(name, known.get(name), live=live, offline=offline, chosen=bool(chosen)) for name in names)
    return list(await asyncio.gather(*asked))


def _upstream_if_set() -> list[str]:
    import os

    from multiturn.models.registry import UPSTREAM

    return [_UPSTREAM] if os.environ.get(UPSTREAM) else []


async def _standing(name: str, row: Provider | None, *, live: bool, offline: bool, chosen: bool) -> _Standing:
    """How it stands with the provider of this row; with the upstream where there is none."""
    import os

    from multiturn.errors import InvalidInput
    from multiturn.models.providers import compatible
    from multiturn.models.registry import UPSTREAM, key_variable

    try:
        provider = row or compatible(os.environ[UPSTREAM])
    except KeyError:
        return _Standing(name, False, f"set {UPSTREAM}", None, None, ())
    except InvalidInput as error:
        return _Standing(name, False, str(error), None, None, ())
    prefix = f"{name}:" if row else ""
    found = await _asked(provider, live=live, offline=offline)
    if found.names is not None:
        models = _with_infos(provider, prefix, found.names)
    else:
        models = _known(provider, prefix) if found.ready or chosen else ()
    variable = key_variable(provider) or next(iter(provider.keys), None)
    return _Standing(name, found.ready, found.words, found.base_url, variable, models)


class _Found(NamedTuple):
    """What came of it; `names` are None where nobody listed any."""

    ready: bool
    words: str
    base_url: str | None
    names: tuple[str, ...] | None = None


async def _asked(provider: Provider, *, live: bool, offline: bool) -> _Found:
    """Whether a provider can be asked, by its variables, and by asking it where that is quick or wanted."""
    import os

    from multiturn.errors import InvalidInput
    from multiturn.models.listing import list_models
    from multiturn.models.registry import key_variable, must_have_key, own_url

    try:
        url = own_url(provider)
    except InvalidInput:
        return _Found(False, f"set {provider.host_variable} and {provider.keys[0]}", None)
    local, variable = not provider.needs_key, key_variable(provider)
    if variable is None and must_have_key(provider, url):
        return _Found(False, f"set {' or '.join(provider.keys)}", url)
    has = f"{variable} is set" if variable else f"it is at {_shown(url)}, without a key"
    if offline or not (local or live):
        return _Found(False, f"not asked, at {_shown(url)}", url) if local else _Found(True, has, url)
    key = os.environ.get(variable or "", "").strip() or None
    listing = await list_models(provider, url, key, within_s=_LOCAL_S if local else _LIVE_S)
    if listing.problem:
        return _Found(False, f"{listing.problem}, at {_shown(url)}", url)
    words = f"answers at {_shown(url)}" if local else f"{has}, and it answers"
    return _Found(True, words, url, listing.names)


def _known(provider: Provider, prefix: str) -> tuple[_Model, ...]:
    """The models of which something is known without asking: the user's own word first."""
    from multiturn.models import catalogue

    own = {info.id: info for info in provider.models}
    every = {**{info.id: info for info in catalogue.listed(provider.name)}, **own}
    return tuple(_Model(prefix + id, info) for id, info in every.items())


def _with_infos(provider: Provider, prefix: str, names: tuple[str, ...]) -> tuple[_Model, ...]:
    from multiturn.models.registry import info_of

    return tuple(_Model(prefix + name, info_of(provider, name)) for name in names)


def _shown(url: str) -> str:
    from multiturn.cli.places import without_password

    return without_password(url)


# --- showing --------------------------------------------------------------------------------------------------------


def _print_json(standings: list[_Standing]) -> None:
    import msgspec

    for standing in standings:
        fields: dict[str, Any] = {
            "provider": standing.provider,
            "ready": standing.ready,
            "status": standing.words,
            "base_url": standing.base_url and _shown(standing.base_url),
            "key_variable": standing.variable,
            "models": [_fields(model) for model in standing.models],
        }
        click.echo(msgspec.json.encode(fields))


def _fields(model: _Model) -> dict[str, Any]:
    info = model.info
    known = {"context": info.context, "output": info.output, "inputs": info.inputs, "prices": info.prices}
    return {"name": model.name, **known}


def _print(standings: list[_Standing], *, chosen: bool) -> None:
    from multiturn.cli.console import console, note, print_lines, printable

    models = [model for standing in standings for model in standing.models]
    ready = any(standing.ready for standing in standings)
    out = console()
    if not out.is_terminal:
        for model in models:
            click.echo(printable(model.name))
        if not models:
            note("There is nobody to ask yet." if not ready and not chosen else "No models are known.")
        return
    print_lines(out, _providers_table(standings))
    if models:
        out.print()
        print_lines(out, _models_table(models))
    if prices := _prices_of(models):
        out.print(f"\n{prices}", style="note")
    if not ready and not chosen:
        out.print("\nSet the variable of a provider's key, or start a server such as Ollama.", style="note")


def _prices_of(models: list[_Model]) -> str:
    from multiturn.models.catalogue import load

    if not any(model.info.prices for model in models):
        return ""
    more = " +: more for long requests, or later." if any(len(model.info.prices) > 1 for model in models) else ""
    return f"Dollars for a million tokens, as of {load().date}.{more}"


def _providers_table(standings: list[_Standing]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from multiturn.cli.console import printable

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for standing in standings:
        style = "cyan" if standing.ready else "note"
        table.add_row(Text(standing.provider, style), Text(printable(standing.words), "" if standing.ready else "note"))
    return table


def _models_table(models: list[_Model]) -> Table:
    from rich.table import Table

    from multiturn.cli.console import printable

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="note")
    table.add_column("model", style="cyan", overflow="fold")
    for title in ("context", "answer"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("reads", no_wrap=True)
    for title in ("in", "cached", "out"):
        table.add_column(title, justify="right", no_wrap=True)
    for model in models:
        info = model.info
        price = info.price()
        more = "+" if len(info.prices) > 1 else ""
        figures = (price.input, price.cached, price.output) if price else (None, None, None)
        table.add_row(
            printable(model.name),
            *(f"{count:,}" if count else "" for count in (info.context, info.output)),
            "" if info.inputs is None else ", ".join(info.inputs) or "text",
            *("" if figure is None else f"{_dollars(figure)}{more}" for figure in figures),
        )
    return table


def _dollars(figure: float) -> str:
    return f"${figure:.2f}" if round(figure, 2) == figure else f"${figure:g}"
