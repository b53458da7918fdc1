"""The user's own rows: `providers.toml`, where MULTITURN_CONFIG says, else in the user's config folder.

    [providers.mybox]
    base_url = "http://gpu:8000/v1"
    like = "vllm"                    # a provider whose habits it has
    key_variable = "MYBOX_API_KEY"   # the variable that holds the key; the key itself is refused
    alternate = false                # any habit: a field of the format's dialect

A row of a built-in name changes that provider.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.switching import Modality
from multiturn.models.catalogue import ModelInfo
from multiturn.models.provider import Provider, Spoken
from multiturn.models.rows import unknown

VARIABLE = "MULTITURN_CONFIG"
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_ENVIRONMENT = re.compile(r"[A-Z_][A-Z0-9_]*")
_SECRET = re.compile(r"(.*[-_])?(key|apikey|token|secret|password|authorization|auth|cookie)", re.IGNORECASE)
_PASSWORD = re.compile(r"//[^/@]*:[^/@]*@")
_NO_SECRETS = "a key does not belong in this file; put it into a variable, and name that with key_variable"
_NOT_HABITS = ("provider", "key_variable", "switching", "inputs")  # fields of a dialect that are no habits


class _Row(msgspec.Struct, kw_only=True):
    """What a row may say beside the habits of its dialect."""

    base_url: str | None = None
    like: str | None = None
    format: Literal["chat_completions", "responses", "anthropic", "gemini"] | None = None
    key_variable: str | None = None
    key_header: str | None = None
    headers: dict[str, str] = {}
    inputs: tuple[Modality, ...] | None = None
    models: dict[str, ModelInfo] = {}


def merged(builtin: Mapping[str, Provider]) -> Mapping[str, Provider]:
    """These rows and the user's own over them. Raises `InvalidInput`, naming the file and the key, for what cannot be
    used."""
    file = path()
    if file is None:
        return builtin
    stat, shared = file.stat(), bool(os.environ.get(VARIABLE))
    return {**builtin, **_read(file, (stat.st_mtime_ns, stat.st_size), tuple(builtin.values()), shared)}


def path() -> Path | None:
    """The file; None if there is none. Raises `InvalidInput` where MULTITURN_CONFIG names one that is not there."""
    if named := os.environ.get(VARIABLE):
        file = Path(named).expanduser()
        if not file.is_file():
            raise InvalidInput(f"{VARIABLE} names {file}, and there is no such file")
        return file
    usual = Path(os.environ.get("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME", ""))
    file = (usual if usual.is_absolute() else Path.home() / ".config") / "multiturn" / "providers.toml"
    return file if file.is_file() else None


@functools.lru_cache(maxsize=4)
def _read(file: Path, version: tuple[int, int], builtin: tuple[Provider, ...], shared: bool) -> Mapping[str, Provider]:
    """The file's rows; read once a version of it. One that is `shared` is the server's as well (`server.settings`),
    which knows the other keys in it."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} is not TOML: {error}") from error
    known = {row.name: row for row in builtin}
    own = [key for key in content if not shared or difflib.get_close_matches(key, ("providers",), cutoff=0.8)]
    _check_keys(f"{file}: ", {key: content[key] for key in own}, ("providers",))
    rows = _table(f"{file}: providers", content.get("providers", {}))
    return {name: _provider(f"{file}: providers.{name}", name, row, known) for name, row in rows.items()}


# --- one row --------------------------------------------------------------------------------------------------------


def _provider(at: str, name: str, content: object, known: Mapping[str, Provider]) -> Provider:
    """The provider that a row makes; `at` is where it stands."""
    if not _NAME.fullmatch(name) or name == "offline":
        raise InvalidInput(f"{at} cannot be a provider's name; take small letters and digits, as in mybox")
    table = _table(at, content)
    row = _Row(**_converted(at, table, msgspec.structs.fields(_Row)))
    if row.like is not None and row.like not in known:
        raise InvalidInput(f"{at}.like: there is no provider {row.like!r}{_guess(row.like, known)}")
    base = known.get(row.like or name) or unknown(name, "")
    format = row.format or base.spoken[0].format
    fields = msgspec.structs.fields(importlib.import_module(f"multiturn.formats.{format}").Dialect)
    habits = [field for field in fields if field.name not in _NOT_HABITS]
    _check_keys(f"{at}.", table, [*_Row.__struct_fields__, *(field.name for field in habits)])
    _check_row(at, row, is_new=name not in known)
    return _put_together(name, row, base, _spoken(base, format, _converted(at, table, habits)))


def _spoken(base: Provider, format: str, habits: Mapping[str, Any]) -> tuple[Spoken, ...]:
    """What the model of the row speaks, this format first, with these habits over its own."""
    first = next((spoken for spoken in base.spoken if spoken.format == format), Spoken(format))
    changed = Spoken(
        format,
        tuple({**dict(first.habits), **habits}.items()),
        tuple(
            (pattern, tuple((name, value) for name, value in theirs if name not in habits))
            for pattern, theirs in first.of_models
        ),
    )
    return (changed, *(spoken for spoken in base.spoken if spoken.format != format))


def _put_together(name: str, row: _Row, base: Provider, spoken: tuple[Spoken, ...]) -> Provider:
    keys = base.keys if name == base.name else ()  # another's key is not for this address
    moved = {"needs_host": False, "host_variable": None, "url_variable": None, "grpc": False} if row.base_url else {}
    return msgspec.structs.replace(
        base,
        name=name,
        base_url=row.base_url or base.base_url,
        spoken=spoken,
        keys=(row.key_variable,) if row.key_variable else keys,
        key_header=row.key_header or base.key_header,
        headers=tuple({**dict(base.headers), **row.headers}.items()),
        needs_key=bool(row.key_variable) or (base.needs_key and not row.base_url),
        models=tuple(msgspec.structs.replace(info, id=id) for id, info in row.models.items()),
        reads=row.inputs,
        **moved,
    )


# --- checks ---------------------------------------------------------------------------------------------------------


def _table(at: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{at} must be a table, as in [providers.mybox]")
    return value


def _check_keys(at: str, table: Mapping[str, object], possible: Iterable[str]) -> None:
    known = list(possible)
    for key in table:
        if key not in known and _SECRET.fullmatch(key):
            raise InvalidInput(f"{at}{key}: {_NO_SECRETS}")
        if key not in known:
            raise InvalidInput(f"{at}{key} is not known{_guess(key, known)} Possible are {', '.join(sorted(known))}.")


def _guess(word: str, possible: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(possible), n=1)
    return f"; did you mean {near[0]}?" if near else "."


def _converted(at: str, table: Mapping[str, object], fields: Iterable[msgspec.structs.FieldInfo]) -> dict[str, Any]:
    """The values of those fields that the table has, each checked against the field's type."""
    made = {}
    for field in fields:
        if field.name in table:
            try:
                made[field.name] = msgspec.convert(table[field.name], field.type)
            except msgspec.ValidationError as error:
                raise InvalidInput(f"{at}.{field.name}: {error}") from error
    return made


def _check_row(at: str, row: _Row, *, is_new: bool) -> None:
    from multiturn.formats.failures import without_secrets

    if is_new and not row.base_url:
        raise InvalidInput(f"{at} needs a base_url")
    if row.key_variable and not _ENVIRONMENT.fullmatch(row.key_variable):
        raise InvalidInput(f"{at}.key_variable must be the name of a variable, such as MYBOX_API_KEY; {_NO_SECRETS}")
    if row.base_url and (_PASSWORD.search(row.base_url) or without_secrets(row.base_url) != row.base_url):
        raise InvalidInput(f"{at}.base_url: {_NO_SECRETS}")
    for header, value in row.headers.items():
        if _SECRET.fullmatch(header) or without_secrets(value) != value:
            raise InvalidInput(f"{at}.headers.{header}: {_NO_SECRETS}, and its header with key_header")
