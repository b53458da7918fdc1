"""The page docs/reference/configuration.md, made of what stands in the code: `python -m multiturn.server.settings`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from multiturn.server.settings.options import docs_of, options, sections
from multiturn.server.upstreams import Route, Upstream

EXAMPLE = """\
store = "sqlite:////var/lib/multiturn/chats.db"
host = "0.0.0.0"
workers = 2

[upstreams.gpu]
provider = "vllm"
urls = ["http://gpu-1:8000/v1", "http://gpu-2:8000/v1"]
concurrency = 32

[upstreams.openai]
key_variable = "OPENAI_API_KEY"

[[routes]]
match = "gpt-*"
to = "openai"

[[routes]]
match = "*"
to = "gpu"
model = "qwen3"

[limits]
requests_per_minute = 600

[log]
format = "json"
"""

_INTRODUCTION = f"""\
# Configuration of the server

<!-- Made by `python -m multiturn.server.settings > docs/reference/configuration.md`; do not edit. -->

`multiturn serve` needs no configuration. What there is can be said in one TOML file, by flags, and by variables:

| in the file | as a flag | as a variable |
|---|---|---|
| `port = 9000` | `--port 9000` | `MULTITURN_PORT=9000` |
| `depth = 50` under `[limits]` | `--limits-depth 50` | `MULTITURN_LIMITS_DEPTH=50` |
| `metrics = false` | `--no-metrics` | `MULTITURN_METRICS=false` |
| `cors_origins = ["https://a.example"]` | `--cors-origins https://a.example` | `MULTITURN_CORS_ORIGINS=…` |
| `[[routes]]` | `--routes '[{{"match": "gpt-*", "to": "gpu"}}]'` | `MULTITURN_ROUTES='[…]'` |

A flag comes before its variable, the variable before the file, the file before the default. In flags and variables, a
comma separates one text from the next, and tables are JSON. A variable that is empty counts as not set. The file is the
one that `--config` names, else the one in `MULTITURN_CONFIG`; a key in it that is not known is an error.
`multiturn serve --check` checks all of it, and says what the server would do, and where each value comes from.

No key and no password may stand in the file. A key is named by its variable (`key_variable`) or by the file that it
stands in (`key_file`); a store's URL with a password goes into `MULTITURN_STORE`.

```toml
{EXAMPLE}```

The file may also hold [rows of providers](../howto/models.md#a-row-of-your-own), as `[providers.mybox]`.
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([_INTRODUCTION, *_parts()])


class _Row(NamedTuple):
    key: str
    default: Any
    doc: str


def _parts() -> Iterator[str]:
    listed = [_Row(option.key, option.default, option.doc) for option in options()]
    yield _table("The server", "", [row for row in listed if "." not in row.key])
    for name, struct in sections().items():
        rows = [
            _Row(row.key.partition(".")[2], row.default, row.doc) for row in listed if row.key.startswith(f"{name}.")
        ]
        yield _table(f"`[{name}]`", struct.__doc__ or "", rows)
    upstream = list(_fields(Upstream))
    yield _table("`[upstreams.NAME]`", "A server or a provider that models are asked at.", upstream[1:])
    for row in upstream:
        if isinstance(row.default, msgspec.Struct):
            yield _table(f"`[upstreams.NAME.{row.key}]`", row.doc, list(_lines(row.default)))
    yield _table("`[[routes]]`", "Which upstream a model's name leads to.", list(_fields(Route)))


def _fields(struct: type[msgspec.Struct]) -> Iterator[_Row]:
    docs = docs_of(struct)
    for field in msgspec.structs.fields(struct):
        yield _Row(field.name, None if field.required else field.default, docs[field.name])


def _lines(limits: msgspec.Struct) -> Iterator[_Row]:
    """The fields of one that says in its docstring what they are, a line each: `Timeouts(connect_s=10)  until …`."""
    lines = re.findall(r"^ *\w+\((\w+)=\S*\) +(.*)$", type(limits).__doc__ or "", re.MULTILINE)
    for name, says in lines:
        yield _Row(name, getattr(limits, name), f"{says[0].upper()}{says[1:]}.")


def _table(title: str, about: str, rows: list[_Row]) -> str:
    lines = [f"| `{row.key}` | {_default(row)} | {_DEFAULT.sub('', row.doc)} |" for row in rows]
    about = f"{about.strip()}\n\n" if about else ""
    return "\n".join([f"## {title}\n\n{about}| key | default | |\n|---|---|---|", *lines, ""])


_DEFAULT = re.compile(r" *\[default: (.*)\]$")


def _default(row: _Row) -> str:
    """As the file would say it."""
    if told := _DEFAULT.search(row.doc):
        return told[1]
    if row.default in (None, ()) or isinstance(row.default, msgspec.Struct):
        return ""
    return f"`{msgspec.json.encode(row.default).decode()}`"
