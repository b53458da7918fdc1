"""Where settings come from: a flag, else a variable, else the file, else the default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from multiturn.errors import InvalidInput
from multiturn.models.config import VARIABLE
from multiturn.server.settings.checks import check_keys, check_secrets
from multiturn.server.settings.options import Option, options, sections
from multiturn.server.settings.values import ServerSettings

_PROVIDERS = "providers"


class Given(NamedTuple):
    """Settings, and for each key that was given, where: `--port`, `MULTITURN_PORT`, or the file. `file` is the one that
    was read; `has_providers` says whether rows of providers stand in it too (`multiturn.models.config`)."""

    settings: ServerSettings
    origins: dict[str, str]
    file: Path | None = None
    has_providers: bool = False


class _Found(NamedTuple):
    option: Option
    value: Any
    origin: str


def read(
    *,
    store: str,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Given:
    """The settings. `store` is where conversations are kept if nothing else says so; `flags` are checked values by key;
    `environ` holds the variables, the process's own if it is not given; `file` is the TOML file, else the one that
    MULTITURN_CONFIG names. Raises `InvalidInput`, which names the place and the key, for what cannot be used."""
    environ = os.environ if environ is None else environ
    if file is None and environ.get(VARIABLE):
        file = Path(environ[VARIABLE]).expanduser()
    content = _content(file) if file else {}
    values, origins = {"store": store}, {}
    for source in (_in_file(content, file), _in_variables(environ), _in_flags(flags or {})):
        for option, value, origin in source:
            values[option.key] = value
            origins[option.key] = origin
    return Given(_built(values), origins, file, _PROVIDERS in content)


def _in_flags(flags: Mapping[str, Any]) -> Iterator[_Found]:
    return (_Found(option, flags[option.key], option.flag) for option in options() if option.key in flags)


def _in_variables(environ: Mapping[str, str]) -> Iterator[_Found]:
    """Those that are set to something."""
    for option in options():
        if text := environ.get(option.variable, "").strip():
            yield _Found(option, option.parsed(text, option.variable), option.variable)


def _in_file(content: dict[str, Any], file: Path | None) -> Iterator[_Found]:
    flat = dict(content)
    for name in sections():
        table = flat.pop(name, {})
        flat |= {f"{name}.{key}": value for key, value in table.items()}
    for option in options():
        if option.key in flat:
            yield _Found(option, option.checked(flat[option.key], f"{file}: {option.key}"), str(file))


def _content(file: Path) -> dict[str, Any]:
    """What stands in the file, every key of which is known. Rows of providers are checked where they are used."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} is not TOML: {error}") from error
    at = f"{file}: "
    own = {key: value for key, value in content.items() if key != _PROVIDERS}
    check_secrets(own, at)
    check_keys(content, [*ServerSettings.__struct_fields__, _PROVIDERS], at)
    for name, struct in sections().items():
        table = content.get(name, {})
        if not isinstance(table, dict):
            raise InvalidInput(f"{at}{name} must be a table, as in [{name}]")
        check_keys(table, struct.__struct_fields__, f"{at}{name}.")
    return content


def _built(values: Mapping[str, Any]) -> ServerSettings:
    top: dict[str, Any] = {key: value for key, value in values.items() if "." not in key}
    for name, struct in sections().items():
        within = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{name}.")}
        top[name] = struct(**within)
    return ServerSettings(**top)
