"""What a file of settings must not hold: keys that nobody knows, and secrets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

import msgspec

from multiturn.errors import InvalidInput
from multiturn.formats.failures import without_secrets

_SECRET = re.compile(r"(.*[-_])?(key|apikey|keys|token|secret|password|authorization|auth|cookie)", re.IGNORECASE)
_PASSWORD = re.compile(r"//[^/@\s]*:[^/@\s]*@|[?&](ssl)?password=", re.IGNORECASE)


def check_secrets(content: object, at: str) -> None:
    """Raise `InvalidInput`, which does not repeat it, where a key or a password stands in a file as it is."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if _SECRET.fullmatch(key) and isinstance(value, str):
                raise InvalidInput(f"{at}{key}: {_KEYS_GO}")
            check_secrets(value, f"{at}{key}." if isinstance(value, Mapping) else f"{at}{key}")
    elif isinstance(content, list):
        for value in content:
            check_secrets(value, at)
    elif isinstance(content, str):
        _check_text(content, at)


def _check_text(text: str, at: str) -> None:
    if _PASSWORD.search(text):
        raise InvalidInput(f"{at}: {_PASSWORDS_GO}")
    if without_secrets(text) != text:
        raise InvalidInput(f"{at}: {_KEYS_GO}")


_KEYS_GO = (
    "a key does not belong in this file; put it into a variable and name that with key_variable, "
    "or into a file of its own and name that with key_file"
)
_PASSWORDS_GO = (
    "a password does not belong in this file; give the whole URL by its variable (MULTITURN_STORE), "
    "or PostgreSQL's password by PGPASSWORD or PGPASSFILE"
)


def check_keys(table: Mapping[str, object], known: Iterable[str], at: str) -> None:
    """Raise `InvalidInput` for a key that is none of these, with the one that may have been meant. `at` is where the
    table stands, with its dot."""
    names = list(known)
    for key in table:
        if key not in names:
            raise InvalidInput(f"{at}{key} is not known{guess(key, names)}")


def check_fields(table: Mapping[str, object], struct: type[msgspec.Struct], at: str, *, but: str = "") -> None:
    """The same for the fields of a struct, and of those within it; `but` is no key."""
    fields = {field.name: field.type for field in msgspec.structs.fields(struct) if field.name != but}
    check_keys(table, fields, at)
    for key, value in table.items():
        inner = fields[key]
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            check_fields(value, inner, f"{at}{key}.")


def guess(word: str, possible: Iterable[str]) -> str:
    """The end of the sentence about a word that is not known."""
    names = sorted(possible)
    near = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {near[0]}?" if near else f". Possible are {', '.join(names)}."
