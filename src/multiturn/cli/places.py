"""Where the command line keeps things: the store it uses by default, and what was typed."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from multiturn.stores.base import Store

_FILE = "sqlite:///"

store_option = click.option(
    "--store",
    metavar="URL",
    help="Where conversations are kept: sqlite:///relative.db, sqlite:////absolute.db or postgresql://….  "
    "[default: MULTITURN_STORE, else ~/.local/share/multiturn/chats.db]",
)

tenant_option = click.option(
    "--tenant",
    metavar="NAME",
    help="Whose conversations, where a server keeps those of several.  [default: those of nobody]",
)


def data_folder() -> Path:
    """`multiturn` in the user's data folder (XDG_DATA_HOME, ~/.local/share; LOCALAPPDATA on Windows)."""
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_DATA_HOME", "")
    return (Path(named) if Path(named).is_absolute() else Path.home() / ".local" / "share") / "multiturn"


def make_data_folder() -> Path:
    """The data folder, made if need be, for its owner's eyes only."""
    folder = data_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"cannot make {folder}: {error.strerror}; say where to keep conversations with --store or MULTITURN_STORE"
        ) from error
    return folder


def store_url(named: str | None) -> str:
    """The URL given, else MULTITURN_STORE, else the file in the data folder."""
    return named or os.environ.get("MULTITURN_STORE") or f"{_FILE}{data_folder() / 'chats.db'}"


def open_for_writing(named: str | None, tenant: str | None = None) -> Store:
    """The store, which may be new, as a tenant sees it. Raises `InvalidInput` for a URL that is none."""
    from multiturn.stores import open_store

    url = store_url(named)
    if _file(url) == data_folder() / "chats.db":
        make_data_folder()
    return open_store(url).tenant(tenant or "")


def open_for_reading(named: str | None, tenant: str | None = None) -> Store | None:
    """The store as a tenant sees it, or None if nothing has ever been kept by default. A file that was named must be
    there."""
    from multiturn.stores import open_store

    url = store_url(named)
    file = _file(url)
    if file is not None and not file.exists():
        if not named and not os.environ.get("MULTITURN_STORE"):
            return None
        raise click.ClickException(f"there is no store at {file}; --store says where conversations are kept")
    return open_store(url).tenant(tenant or "")


def shown(url: str) -> str:
    """The URL for people: a file as they would write it, never a password."""
    file = _file(url)
    if file is None:
        return without_password(url)
    home = Path.home()
    return f"~/{file.relative_to(home)}" if file.is_relative_to(home) else str(file)


def without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)


def _file(url: str) -> Path | None:
    if not url.startswith(_FILE) or url in (_FILE, f"{_FILE}:memory:"):
        return None
    return Path(url.removeprefix(_FILE)).expanduser()
